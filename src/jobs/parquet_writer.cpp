#include "jobs/parquet_writer.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "base/descriptor.hpp"
#include "base/error.hpp"
#include "jobs/builtin_parquet.hpp"
#include "jobs/image_source.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

std::string interpreter() {
  const char* named = std::getenv("SAM3TRT_PYTHON");
  return named != nullptr && *named != '\0' ? named : "python3";
}

/// A process of Python that runs builtin_parquet(), with one end of a pipe: its standard input or
/// output. Its messages go to standard error.
struct PythonProcess {
  pid_t child = -1;
  int pipe = -1;
};

PythonProcess start_python(const std::vector<std::string>& arguments, int its_descriptor) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorCode::kInternal, std::string("no pipe: ") + std::strerror(errno));
  }
  const bool it_reads = its_descriptor == STDIN_FILENO;
  const int its_end = it_reads ? ends[0] : ends[1];
  const int our_end = it_reads ? ends[1] : ends[0];
  std::vector<std::string> words = {interpreter(), "-c", std::string(builtin_parquet())};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, its_end, its_descriptor);
  // Its own standard output, which names the parts, is not ours.
  if (it_reads) {
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  }
  posix_spawnattr_t attributes{};
  ::posix_spawnattr_init(&attributes);
  // Ctrl-C is for us; it ends when its input does.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  // Modules of the working directory are not for it (Python 3.11 and later).
  ::setenv("PYTHONSAFEPATH", "1", 0);
  PythonProcess python{-1, our_end};
  const int error =
      ::posix_spawnp(&python.child, pointers[0], &actions, &attributes, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  ::close(its_end);
  if (error == 0) return python;
  ::close(our_end);
  throw Error(ErrorCode::kUnavailable, "Parquet is written with Python, and " + words[0] +
                                           " cannot be started (" + std::strerror(error) +
                                           "); name an interpreter with SAM3TRT_PYTHON");
}

/// Waits for its end; throws when its exit status is not 0.
void wait_for(pid_t child) {
  const int status = wait_for_child(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (WIFEXITED(status) && (WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 3)) {
    throw Error(ErrorCode::kUnavailable,
                "Parquet is written with Python's pyarrow: 'pip install pyarrow' for " +
                    interpreter() +
                    ", or name another interpreter with SAM3TRT_PYTHON; its messages are above");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
    throw_bad_input("the Parquet files there cannot be gone on with; the reason is above");
  }
  throw Error(ErrorCode::kInternal,
              "the Parquet files were not written completely; the messages of " + interpreter() +
                  " are above. --resume goes on with what is there");
}

}  // namespace

ParquetWriter::ParquetWriter(const std::filesystem::path& folder) : folder_(folder) {
  // Says at once what is missing.
  const PythonProcess check = start_python({"--check", folder.string()}, STDOUT_FILENO);
  static_cast<void>(read_to_end(check.pipe));
  ::close(check.pipe);
  wait_for(check.child);
  const PythonProcess python = start_python({folder.string()}, STDIN_FILENO);
  child_ = python.child;
  pipe_ = python.pipe;
}

ParquetWriter::~ParquetWriter() {
  if (pipe_ >= 0) ::close(pipe_);
  if (child_ > 0) static_cast<void>(wait_for_child(child_));
}

void ParquetWriter::add(std::string_view line) {
  while (!line.empty()) {
    const ssize_t size = ::write(pipe_, line.data(), line.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      throw Error(ErrorCode::kInternal, "the process that writes the Parquet files has ended (" +
                                            std::string(std::strerror(errno)) +
                                            "); --resume goes on with what is there");
    }
    line.remove_prefix(static_cast<size_t>(size));
  }
}

void ParquetWriter::finish() {
  if (pipe_ >= 0) ::close(pipe_);
  pipe_ = -1;
  const pid_t child = std::exchange(child_, -1);
  if (child > 0) wait_for(child);
}

std::vector<bool> images_in_parquet(const std::filesystem::path& folder,
                                    std::span<const ListedImage> images,
                                    const std::string& expected) {
  std::vector<bool> done(images.size());
  std::error_code error;
  if (!fs::exists(folder, error)) return done;
  const PythonProcess python =
      start_python({"--paths", folder.string(), "--like", expected}, STDOUT_FILENO);
  const std::string text = read_to_end(python.pipe);
  ::close(python.pipe);
  wait_for(python.child);
  std::multiset<std::tuple<std::string, int64_t, int64_t>> written;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const auto line = nlohmann::json::parse(text.substr(begin, end - begin));
    const auto number = [&](const char* name) {
      return line.at(name).is_null() ? int64_t{-1} : line.at(name).get<int64_t>();
    };
    written.emplace(line.at("path").get<std::string>(), number("bytes"), number("modified"));
    begin = end + 1;
  }
  for (size_t i = 0; i < images.size(); ++i) {
    const ListedImage& image = images[i];
    const FileStamp stamp = stamp_of(image.path).value_or(FileStamp{-1, -1});
    const auto found = image.archive.empty()
                           ? written.find({image.path, stamp.bytes, stamp.modified})
                           : written.lower_bound({image.path, INT64_MIN, INT64_MIN});
    if (found == written.end() || std::get<0>(*found) != image.path) continue;
    done[i] = true;
    written.erase(found);
  }
  return done;
}

}  // namespace sam3trt

#include "jobs/result_lines.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/descriptor.hpp"
#include "base/error.hpp"
#include "base/temporary.hpp"
#include "jobs/image_source.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

[[noreturn]] void throw_system(const fs::path& path, const std::string& what) {
  throw Error(ErrorCode::kInternal, path.string() + ": " + what + ": " + std::strerror(errno));
}

/// Nobody else writes to it; a process that was just killed may need a moment to be gone.
void lock(int fd, const fs::path& path) {
  for (int attempt = 0; ::flock(fd, LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (errno != EWOULDBLOCK) return;  // a file system without locks
    if (attempt == 50) {
      throw_bad_input(path.string() +
                      ": another process is writing to it; wait for it, or name "
                      "another file with --output");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

/// Calls `action` with each whole line and its position; returns where the last one ends.
uint64_t each_line(int fd, const fs::path& path,
                   const std::function<void(const std::string&)>& action) {
  std::string pending;
  std::vector<char> block(size_t{1} << 18);
  uint64_t position = 0;
  uint64_t end = 0;
  while (true) {
    const ssize_t size = ::pread(fd, block.data(), block.size(), static_cast<off_t>(position));
    if (size < 0) throw_system(path, "cannot be read");
    if (size == 0) return end;
    position += static_cast<uint64_t>(size);
    std::string_view rest(block.data(), static_cast<size_t>(size));
    for (size_t feed = rest.find('\n'); feed != std::string_view::npos; feed = rest.find('\n')) {
      pending += rest.substr(0, feed);
      rest.remove_prefix(feed + 1);
      action(pending);
      pending.clear();
      end = position - rest.size();
    }
    pending += rest;
  }
}

/// Where the last whole line ends; 0 when there is none. Looks from the end.
uint64_t end_of_lines(int fd, const fs::path& path, uint64_t size) {
  std::vector<char> block(size_t{1} << 16);
  while (size > 0) {
    const uint64_t length = std::min<uint64_t>(size, block.size());
    const ssize_t got = ::pread(fd, block.data(), length, static_cast<off_t>(size - length));
    if (got != static_cast<ssize_t>(length)) throw_system(path, "cannot be read");
    const size_t feed = std::string_view(block.data(), length).rfind('\n');
    if (feed != std::string_view::npos) return size - length + feed + 1;
    size -= length;
  }
  return 0;
}

void write_all(int fd, const fs::path& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw_system(path, "writing failed");
    text.remove_prefix(static_cast<size_t>(size));
  }
}

bool is_number_list(const Json& json, size_t size) {
  return json.is_array() && json.size() == size &&
         std::ranges::all_of(json, [](const Json& value) { return value.is_number(); });
}

bool is_instance(const Json& json) {
  return json.is_object() && json.contains("score") && json["score"].is_number() &&
         json.contains("area") && json["area"].is_number() && json.contains("box") &&
         is_number_list(json["box"], 4) && json.contains("mask") && json["mask"].is_object();
}

bool is_prompt(const Json& json) {
  return json.is_object() && json.contains("instances") && json["instances"].is_array() &&
         std::ranges::all_of(json["instances"], is_instance);
}

/// Whether it has what the documents are made of.
bool is_entry(const Json& json) {
  if (!json.is_object() || !json.contains("path") || !json["path"].is_string()) return false;
  if (!json.contains("version") || json["version"] != 1) return false;
  if (!json.contains("prompts")) return json.contains("error");
  return json["prompts"].is_array() && std::ranges::all_of(json["prompts"], is_prompt) &&
         json.contains("width") && json.contains("height");
}

Json parse_line(const fs::path& path, const std::string& line, uint64_t number) {
  Json entry = Json::parse(line, nullptr, false);
  if (!is_entry(entry)) {
    throw_bad_input(path.string() + ": line " + std::to_string(number) +
                    " is not a result of 'sam3trt infer'; name another file with --output");
  }
  return entry;
}

/// What a line says of how it was made: the same for all lines of a job.
Json origin_of(const Json& entry) {
  Json origin = Json::object();
  for (const char* name : {"version", "backend", "semantics"})
    origin[name] = entry.value(name, Json());
  if (!entry.contains("prompts") || !entry["prompts"].is_array()) return origin;
  origin["prompts"] = Json::array();
  for (const Json& prompt : entry["prompts"]) {
    origin["prompts"].push_back({{"text", prompt.value("text", Json())},
                                 {"boxes", prompt.value("boxes", Json())},
                                 {"box_labels", prompt.value("box_labels", Json())}});
  }
  return origin;
}

void check_origin(const fs::path& path, const Json& entry, const Json& expected) {
  const Json found = origin_of(entry);
  for (const auto& [name, value] : found.items()) {
    if (value == expected.at(name)) continue;
    throw_bad_input("--resume: " + path.string() + " differs from this job in its " + name + ": " +
                    value.dump() + ", not " + expected.at(name).dump() +
                    "; name another file with --output, or give what the first run was given");
  }
}

std::optional<FileStamp> stamp_in(const Json& entry) {
  if (!entry.contains("bytes") || !entry.contains("modified") ||
      !entry["bytes"].is_number_integer() || !entry["modified"].is_number_integer()) {
    return std::nullopt;
  }
  return FileStamp{entry["bytes"].get<int64_t>(), entry["modified"].get<int64_t>()};
}

/// A path as it comes back from a document.
std::string written_path(const std::string& path) {
  return Json::parse(Json(path).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

/// What a line is to a job that goes on.
enum class LineUse {
  kDone,     ///< The result of an image that was given.
  kOther,    ///< Of one that was not given this time.
  kChanged,  ///< Of an image that was changed since.
};

/// Images that wait for their line, by path; of the same path in their order.
class WaitingImages {
 public:
  explicit WaitingImages(std::span<const ListedImage> images) : images_(images) {
    for (size_t i = images.size(); i-- > 0;) waiting_[written_path(images[i].path)].push_back(i);
  }

  /// The image that this line is of does not wait any more.
  LineUse take(const Json& entry, std::vector<bool>& done) {
    const auto found = waiting_.find(entry["path"].get<std::string>());
    if (found == waiting_.end() || found->second.empty()) return LineUse::kOther;
    const size_t image = found->second.back();
    // What is in a tar file is as old as that; a file that is missing had no stamp.
    if (images_[image].archive.empty() && stamp_in(entry) != stamp_of(images_[image].path)) {
      return LineUse::kChanged;
    }
    found->second.pop_back();
    done[image] = true;
    return LineUse::kDone;
  }

 private:
  std::span<const ListedImage> images_;
  std::unordered_map<std::string, std::vector<size_t>> waiting_;
};

}  // namespace

ResultLines::ResultLines(std::filesystem::path path) : path_(std::move(path)) {
  if (!path_.empty()) return;
  const fs::path folder = fs::temp_directory_path();
  fd_ = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) {  // a file system that has none
    std::string name = (folder / "sam3trt-XXXXXX").string();
    fd_ = ::mkostemp(name.data(), O_APPEND | O_CLOEXEC);
    if (fd_ >= 0) ::unlink(name.c_str());
  }
  if (fd_ < 0) throw_system(folder, "no temporary file can be made");
}

ResultLines::~ResultLines() {
  if (fd_ >= 0 && path_ != "-") ::close(fd_);
}

void ResultLines::open() {
  if (path_ == "-") {
    fd_ = STDOUT_FILENO;
    return;
  }
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) throw_bad_input(path_.string() + ": cannot be opened: " + std::strerror(errno));
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return;
  lock(fd_, path_);
  // Another process may have written until it let go of the lock.
  if (::fstat(fd_, &info) != 0) throw_system(path_, "cannot be read");
  const uint64_t end = end_of_lines(fd_, path_, static_cast<uint64_t>(info.st_size));
  if (::ftruncate(fd_, static_cast<off_t>(end)) != 0) throw_system(path_, "cannot be cut");
}

void ResultLines::create() {
  if (fd_ < 0) open();
}

void ResultLines::add(std::string_view line) {
  if (fd_ < 0) open();
  struct stat before {};
  const bool regular = ::fstat(fd_, &before) == 0 && S_ISREG(before.st_mode);
  try {
    write_all(fd_, path_.empty() ? fs::temp_directory_path() : path_, line);
  } catch (const Error&) {
    if (regular && path_ != "-") {
      static_cast<void>(::ftruncate(fd_, before.st_size));
      // No trace of what has not even begun.
      if (before.st_size == 0 && !path_.empty()) ::unlink(path_.c_str());
    }
    throw;
  }
}

void ResultLines::each(const std::function<void(const std::string&)>& action) const {
  if (fd_ >= 0) {
    each_line(fd_, path_, action);
    return;
  }
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() >= 0) each_line(file.get(), path_, action);
}

std::string ResultLines::read(uint64_t begin, uint64_t size) const {
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(fd_, text.data() + done, size - done, static_cast<off_t>(begin + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw_system(path_, "cannot be read");
    done += static_cast<size_t>(got);
  }
  return text;
}

void ResultLines::flush() {
  if (fd_ >= 0 && path_ != "-" && !path_.empty()) static_cast<void>(::fsync(fd_));
}

EarlierResults take_up_results(const std::filesystem::path& path,
                               std::span<const ListedImage> images, const std::string& expected) {
  EarlierResults earlier{std::vector<bool>(images.size()), 0};
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return earlier;
    throw_bad_input(path.string() + ": cannot be opened: " + std::strerror(errno));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw_bad_input("--resume: " + path.string() + " is not a regular file");
  }
  lock(file.get(), path);
  const Json origin = origin_of(Json::parse(expected));
  WaitingImages waiting(images);
  uint64_t number = 0;
  bool is_whole = true;
  std::vector<bool> stays;
  const uint64_t end = each_line(file.get(), path, [&](const std::string& line) {
    const Json entry = parse_line(path, line, ++number);
    check_origin(path, entry, origin);
    stays.push_back(waiting.take(entry, earlier.done) != LineUse::kChanged);
    if (stays.back()) ++earlier.lines;
    is_whole = is_whole && stays.back();
  });
  if (is_whole && end == static_cast<uint64_t>(info.st_size)) return earlier;
  TemporaryFile fresh(fs::absolute(path).parent_path(), path);
  static_cast<void>(::fchmod(fresh.descriptor(), info.st_mode & 07777));
  number = 0;
  each_line(file.get(), path, [&](const std::string& line) {
    if (stays[number++]) write_all(fresh.descriptor(), path, line + "\n");
  });
  if (::fsync(fresh.descriptor()) != 0 || !fresh.rename_to(path)) {
    throw_system(path, "cannot be replaced");
  }
  return earlier;
}

bool has_result_lines(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  return end_of_lines(file.get(), path, static_cast<uint64_t>(info.st_size)) > 0;
}

}  // namespace sam3trt

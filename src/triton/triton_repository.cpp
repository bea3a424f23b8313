#include "triton/triton_repository.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <list>
#include <string_view>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "base/temporary.hpp"
#include "components/components.hpp"
#include "sam3trt/version.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = "# Written by sam3trt ";
constexpr std::string_view kDigest = " triton-repository; sha256 of the lines below: ";
constexpr const char* kVideo = "sam3_video";

/// A file of the repository and the one inside the program that it is made of.
struct Part {
  fs::path path;  ///< In the repository.
  std::string_view source;
};

std::vector<Part> parts_of(bool video) {
  std::vector<Part> parts{{"sam3/config.pbtxt", "sam3.pbtxt"},
                          {"sam3/1/model.py", "model.py"},
                          {"sam3/1/sam3trt_triton.py", "sam3trt_triton.py"}};
  if (video) {
    parts.insert(parts.end(), {{"sam3_video/config.pbtxt", "sam3_video.pbtxt"},
                               {"sam3_video/1/model.py", "video_model.py"},
                               {"sam3_video/1/sam3trt_triton.py", "sam3trt_triton.py"}});
  }
  return parts;
}

std::string source_text(std::string_view name) {
  const auto files = builtin_triton_files();
  const auto found = std::ranges::find(files, name, &EmbeddedFile::name);
  if (found == files.end()) {
    throw Error(ErrorCode::kInternal, "there is no " + std::string(name) + " in the program");
  }
  return {reinterpret_cast<const char*>(found->bytes.data()), found->bytes.size()};
}

/// Inside the quotes of a string in protobuf's text format.
std::string quoted(const std::string& text) {
  std::string result;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      result += {'\\', character};
    } else if (byte < 0x20 || byte == 0x7F) {
      std::array<char, 5> octal{};
      std::snprintf(octal.data(), octal.size(), "\\%03o", static_cast<unsigned>(byte));
      result += octal.data();
    } else {
      result += character;
    }
  }
  return result;
}

void replace(std::string& text, std::string_view name, const std::string& value) {
  if (const size_t at = text.find(name); at != std::string::npos) {
    text.replace(at, name.size(), value);
  }
}

std::string digest_of(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

/// With the line that says what it is.
std::string marked(const std::string& text) {
  return std::string(kMark) + SAM3TRT_VERSION + std::string(kDigest) + digest_of(text) + "\n" +
         text;
}

/// Whether a text is what marked() made.
bool is_unchanged(std::string_view text) {
  const size_t end = text.find('\n');
  if (!text.starts_with(kMark) || end == std::string_view::npos) return false;
  const std::string_view line = text.substr(0, end);
  const size_t at = line.find(kDigest);
  return at != std::string_view::npos &&
         line.substr(at + kDigest.size()) == digest_of(text.substr(end + 1));
}

/// Folders inside each other: those that are made last go first, where they go at all.
struct Folders {
  Folders() = default;
  ~Folders() {
    while (!all.empty()) all.pop_back();
  }
  Folders(const Folders&) = delete;
  Folders& operator=(const Folders&) = delete;

  std::list<ResultFolder> all;
};

/// Throws unless the file may be written: it is missing, or was written by this function.
void check_replaceable(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return;
  if (fs::is_regular_file(path, error)) {
    const std::vector<std::byte> bytes = read_file(path);
    if (is_unchanged({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) return;
  }
  throw_bad_input(path.string() +
                  ": was not written by 'sam3trt triton-repository', or was changed since; keep it "
                  "and name another folder, or move it away");
}

bool tracks(const ModelFiles& files) {
  return files.config.tracker.has_value() && files.has_all_of(Task::kTrack);
}

}  // namespace

std::vector<fs::path> write_triton_repository(const ModelFiles& files,
                                              const TritonRepository& repository) {
  const fs::path& output = repository.output;
  std::error_code error;
  if (!tracks(files) && fs::exists(fs::symlink_status(output / kVideo, error))) {
    throw_bad_input((output / kVideo).string() +
                    ": is in the repository, and this model does not track; move it away, or name "
                    "a model that was exported from a checkpoint with the tracker");
  }
  const std::vector<Part> parts = parts_of(tracks(files));
  for (const Part& part : parts) check_replaceable(output / part.path);
  const bool python = repository.backend == TritonBackend::kPython;
  Folders folders;
  AtomicFiles written;
  for (const Part& part : parts) {
    const fs::path path = output / part.path;
    // The folder of a version must be there, whether anything is in it or not.
    folders.all.emplace_back(path.parent_path(), path.string());
    if (!python && path.extension() == ".py") {
      written.remove_last(path);
      continue;
    }
    std::string text = source_text(part.source);
    replace(text, "@BACKEND@", python ? "python" : "sam3trt");
    replace(text, "@KIND@", files.form == ModelForm::kEngines ? "KIND_GPU" : "KIND_CPU");
    replace(text, "@MODEL@", quoted(repository.model_folder));
    replace(text, "@ALLOW_UNVERIFIED@", repository.allow_unverified ? "true" : "false");
    written.add(path).write(marked(text));
  }
  std::vector<fs::path> paths = written.commit();
  for (ResultFolder& folder : folders.all) folder.keep();
  return paths;
}

}  // namespace sam3trt

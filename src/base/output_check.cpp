#include "base/output_check.hpp"

#include <sys/stat.h>

#include "base/error.hpp"
#include "base/output_target.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// One name per file that does not exist: its folder may be reached in several ways.
fs::path unique_name(const fs::path& path) {
  std::error_code error;
  fs::path folder = fs::weakly_canonical(fs::absolute(path).parent_path(), error);
  if (error) folder = fs::absolute(path).parent_path().lexically_normal();
  return folder / path.filename();
}

/// Where a link whose target is missing leads.
fs::path final_name(const fs::path& path) {
  try {
    return find_output_target(path, path.string()).path;
  } catch (const Error&) {
    return path;  // cannot be written, which others say
  }
}

}  // namespace

void OutputCheck::reads(const fs::path& file, const std::string& what) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  inputs_.emplace(FileId{info.st_dev, info.st_ino}, what);
}

void OutputCheck::reads_files_of(const fs::path& path, const std::string& what) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return reads(path, what);
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    reads(entry->path(), what + " (" + entry->path().filename().string() + ")");
  }
}

void OutputCheck::writes(const fs::path& file, const std::string& what) {
  writes_later(file, what);
  static_cast<void>(find_output_target(file, what));
}

void OutputCheck::writes_later(const fs::path& file, const std::string& what) {
  const auto refuse = [&](const std::string& other, const char* role, const char* next) {
    throw_bad_input(what + ": would overwrite the " + role + " " + other + "; " + next);
  };
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    const auto [known, fresh] = new_outputs_.emplace(unique_name(final_name(file)), what);
    if (!fresh) refuse(known->second, "output", "name another file");
    return;
  }
  if (!S_ISREG(info.st_mode)) return;
  const FileId id{info.st_dev, info.st_ino};
  if (const auto input = inputs_.find(id); input != inputs_.end()) {
    refuse(input->second, "input", "name another file or folder");
  }
  const auto [known, fresh] = outputs_.emplace(id, what);
  if (!fresh) refuse(known->second, "output", "name another file");
}

}  // namespace sam3trt

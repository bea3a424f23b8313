#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>

namespace sam3trt {

/// Holds what a command reads against what it will write, before anything is loaded: an output is
/// never one of the inputs or another output, by whatever name, link or folder it is named. Devices
/// and pipes may be named several times.
class OutputCheck {
 public:
  /// `what` appears in messages, such as "--image a.png". A file that is missing is ignored: those
  /// who read it say so.
  void reads(const std::filesystem::path& file, const std::string& what);

  /// The regular files of a folder, not of folders in it; a file is taken as it is.
  void reads_files_of(const std::filesystem::path& path, const std::string& what);

  /// Throws Error(kBadInput), beginning with `what`, when the file is an input or another output,
  /// and as find_output_target does.
  void writes(const std::filesystem::path& file, const std::string& what);

  /// The same for a file whose folder may have to be made, or whose own failure is not that of the
  /// whole run: whether it can be written is left to the writing.
  void writes_later(const std::filesystem::path& file, const std::string& what);

 private:
  using FileId = std::pair<dev_t, ino_t>;

  std::map<FileId, std::string> inputs_;
  std::map<FileId, std::string> outputs_;
  std::map<std::filesystem::path, std::string> new_outputs_;  ///< Those that do not exist yet.
};

}  // namespace sam3trt

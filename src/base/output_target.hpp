#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

namespace sam3trt {

/// Where the bytes of an output go.
struct OutputTarget {
  /// Permissions and owner of the file that is replaced.
  struct Replaced {
    mode_t mode;
    uid_t owner;
    gid_t group;
  };

  std::filesystem::path path;  ///< Symbolic links followed, as far as they can be.
  /// A device, a pipe or an open file of a process (/dev/stdout, /dev/fd/3): written as it is.
  bool written_through = false;
  int descriptor = -1;  ///< Of this process, when `path` names one; still the caller's.
  std::optional<Replaced> replaced;
};

/// The policy for every file that is written: what does not exist or is a regular file is replaced
/// by a complete new one, also behind symbolic links, which stay (a dangling one gets its target);
/// everything else is written through. Throws Error(kBadInput), beginning with `what`, for a
/// folder, a socket, links in a circle, a missing folder, and whatever this user cannot write or
/// whose folder cannot take the new file. Changes nothing.
[[nodiscard]] OutputTarget find_output_target(const std::filesystem::path& path,
                                              const std::string& what);

/// Throws Error(kBadInput), beginning with `what`, unless `folder` is a writable folder, or can be
/// made. "-" is refused: a folder cannot go to standard output. Changes nothing.
void check_output_folder(const std::filesystem::path& folder, const std::string& what);

}  // namespace sam3trt

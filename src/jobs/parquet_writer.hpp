#pragma once

#include <sys/types.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/image_list.hpp"

namespace sam3trt {

/// Writes result lines as a folder of Parquet files through Python's pyarrow, in a process of its
/// own: `python3`, or what SAM3TRT_PYTHON names, with the script that is in this program. Parts
/// appear in the folder as they are complete; the last one when this object is finished, or its
/// process dies.
class ParquetWriter {
 public:
  /// Throws Error(kUnavailable) when there is no Python with pyarrow.
  explicit ParquetWriter(const std::filesystem::path& folder);
  ~ParquetWriter();
  ParquetWriter(const ParquetWriter&) = delete;
  ParquetWriter& operator=(const ParquetWriter&) = delete;

  /// Throws Error(kInternal) when the process is gone.
  void add(std::string_view line);

  /// Waits until everything is written. Throws Error(kInternal) when that failed.
  void finish();

  /// In a copy of the process that started this one: the end is left to that.
  void leave_to_parent() { child_ = -1; }

 private:
  std::filesystem::path folder_;
  pid_t child_ = -1;
  int pipe_ = -1;
};

/// Which of the images the parts in `folder` hold. Throws as the class does, and Error(kBadInput)
/// for parts that were made with other prompts or by another kind of model than the line
/// `expected` says.
[[nodiscard]] std::vector<bool> images_in_parquet(const std::filesystem::path& folder,
                                                  std::span<const ListedImage> images,
                                                  const std::string& expected);

}  // namespace sam3trt

#pragma once

#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/image_list.hpp"
#include "jobs/parquet_writer.hpp"
#include "jobs/result_lines.hpp"

namespace sam3trt {

enum class ResultFormat { kJson, kJsonLines, kCoco, kParquet };

/// By name ("json", "jsonl", "coco", "parquet"), or without one by the ending of `output`: .jsonl,
/// .ndjson, .parquet; everything else is JSON.
[[nodiscard]] ResultFormat result_format(const std::string& name,
                                         const std::filesystem::path& output);

/// Where the results of a job go. JSON Lines and Parquet grow as results come. JSON and COCO are
/// written at the end from lines that are kept beside them until then, in OUTPUT.partial; these
/// stay when the job is interrupted, and it is from them that it can go on.
class JobOutput {
 public:
  /// `path` "-" or empty: standard output. Throws Error(kBadInput) for Parquet to there.
  JobOutput(std::filesystem::path path, ResultFormat format);

  /// Which images have their result from an earlier run (--resume). `expected`: a line of this run
  /// with these prompts. Throws as take_up_results does.
  [[nodiscard]] std::vector<bool> take_up(std::span<const ListedImage> images,
                                          const std::string& expected);

  /// Throws Error(kBadInput) when results of an earlier run are there that a new one would add to
  /// or lose.
  void refuse_earlier() const;

  /// Once, before the first add(), in the process that lives longest.
  void start();

  /// In the process that start() was not called in.
  void leave_to_parent();

  /// One image's line (to_json_line). May be called while another thread calls interrupt().
  void add(std::string_view line);

  /// Everything was added: writes the document, where there is one; to standard output as well when
  /// `print` asks for it, as JSON.
  void finish(const RunHeader& header, std::span<const Prompt> prompts, bool print = false);

  /// The process is about to die: the document holds what was added so far, and nothing is added
  /// from now on.
  void interrupt(const RunHeader& header, std::span<const Prompt> prompts);

  /// The last part of Parquet is written; in the process that called start().
  void close();

  /// Whether lines of this run or an earlier one are kept for --resume.
  [[nodiscard]] bool is_resumable() const;

  [[nodiscard]] ResultFormat format() const { return format_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The file that holds the lines of JSON and COCO until the end; empty: one without a name.
  [[nodiscard]] std::filesystem::path partial() const;

 private:
  /// Where lines are kept that a job can go on from; empty: nowhere. Not for Parquet.
  [[nodiscard]] std::filesystem::path kept_lines() const;
  void write_document(const RunHeader& header, std::span<const Prompt> prompts);

  std::filesystem::path path_;
  ResultFormat format_;
  bool to_standard_output_;
  bool written_through_ = false;  ///< A device or a pipe: nothing lies beside it.
  std::optional<ResultLines> lines_;
  std::optional<ParquetWriter> parquet_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point flushed_ = std::chrono::steady_clock::now();
};

}  // namespace sam3trt

#include "jobs/job_output.hpp"

#include <iostream>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/output_target.hpp"
#include "jobs/job_documents.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kFlushInterval{10};
constexpr size_t kMaxNameBytes = 255;  // of Linux's file systems

bool is_folder_with_files(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error) && !fs::is_empty(path, error);
}

}  // namespace

ResultFormat result_format(const std::string& name, const std::filesystem::path& output) {
  if (name == "json") return ResultFormat::kJson;
  if (name == "jsonl") return ResultFormat::kJsonLines;
  if (name == "coco") return ResultFormat::kCoco;
  if (name == "parquet") return ResultFormat::kParquet;
  const fs::path ending = output.extension();
  if (ending == ".jsonl" || ending == ".ndjson") return ResultFormat::kJsonLines;
  if (ending == ".parquet") return ResultFormat::kParquet;
  return ResultFormat::kJson;
}

JobOutput::JobOutput(std::filesystem::path path, ResultFormat format)
    : path_(std::move(path)), format_(format), to_standard_output_(path_.empty() || path_ == "-") {
  if (format_ == ResultFormat::kParquet) {
    if (to_standard_output_) {
      throw_bad_input("--format parquet: needs a folder for its files; name one with --output");
    }
    check_output_folder(path_, "--output " + path_.string());
    return;
  }
  if (!to_standard_output_) {
    written_through_ = find_output_target(path_, "--output " + path_.string()).written_through;
  }
}

std::filesystem::path JobOutput::partial() const {
  if (to_standard_output_ || written_through_) return {};
  if (format_ != ResultFormat::kJson && format_ != ResultFormat::kCoco) return {};
  fs::path path = path_;
  path += ".partial";
  // A name may be so long that nothing can be added to it: such a job cannot go on.
  return path.filename().native().size() > kMaxNameBytes ? fs::path() : path;
}

std::filesystem::path JobOutput::kept_lines() const {
  if (to_standard_output_ || written_through_) return {};
  return format_ == ResultFormat::kJsonLines ? path_ : partial();
}

std::vector<bool> JobOutput::take_up(std::span<const ListedImage> images,
                                     const std::string& expected) {
  if (to_standard_output_ || written_through_) {
    throw_bad_input(
        "--resume: what was written to standard output, a device or a pipe is not "
        "there any more; name a file with --output");
  }
  if (format_ == ResultFormat::kParquet) return images_in_parquet(path_, images, expected);
  if (kept_lines().empty()) {
    throw_bad_input(
        "--resume: the name of --output is too long for a file OUTPUT.partial beside "
        "it; name a shorter one, or use --format jsonl");
  }
  return take_up_results(kept_lines(), images, expected).done;
}

void JobOutput::refuse_earlier() const {
  if (to_standard_output_ || written_through_) return;
  if (format_ == ResultFormat::kParquet && is_folder_with_files(path_)) {
    throw_bad_input("--output " + path_.string() +
                    ": there are files in this folder; add --resume to go on with a job, or name "
                    "another folder");
  }
  if (format_ == ResultFormat::kJsonLines && has_result_lines(path_)) {
    throw_bad_input("--output " + path_.string() +
                    ": holds the results of an earlier run; add --resume to go on with it, remove "
                    "it, or name another file");
  }
  if (!partial().empty() && has_result_lines(partial())) {
    throw_bad_input("--output " + path_.string() + ": " + partial().string() +
                    " holds the results of a run that did not end; add --resume to go on with it, "
                    "or remove it");
  }
}

void JobOutput::start() {
  if (format_ == ResultFormat::kParquet) {
    parquet_.emplace(path_);
  } else if (format_ == ResultFormat::kJsonLines) {
    lines_.emplace(to_standard_output_ ? fs::path("-") : path_);
  } else {
    lines_.emplace(partial());
  }
}

void JobOutput::leave_to_parent() {
  if (parquet_) parquet_->leave_to_parent();
}

void JobOutput::add(std::string_view line) {
  const std::scoped_lock lock(mutex_);
  if (parquet_) return parquet_->add(line);
  lines_->add(line);
  const auto now = std::chrono::steady_clock::now();
  if (now - flushed_ < kFlushInterval) return;
  lines_->flush();
  flushed_ = now;
}

void JobOutput::write_document(const RunHeader& header, std::span<const Prompt> prompts) {
  const auto write_to = [&](const WriteText& write) {
    if (format_ == ResultFormat::kJson) write_json_document(header, *lines_, write);
    if (format_ == ResultFormat::kCoco) write_coco_document(prompts, *lines_, write);
  };
  if (to_standard_output_) return write_to([](std::string_view text) { std::cout << text; });
  AtomicFile file(path_);
  // Texts of a few characters are gathered before they go to the file.
  std::string gathered;
  write_to([&](std::string_view text) {
    gathered += text;
    if (gathered.size() < size_t{1} << 20) return;
    file.write(gathered);
    gathered.clear();
  });
  file.write(gathered);
  file.commit();
}

void JobOutput::finish(const RunHeader& header, std::span<const Prompt> prompts, bool print) {
  const std::scoped_lock lock(mutex_);
  if (!lines_) return;
  if (format_ == ResultFormat::kJsonLines) lines_->create();
  lines_->flush();
  if (format_ != ResultFormat::kJsonLines) write_document(header, prompts);
  if (print) {
    write_json_document(header, *lines_, [](std::string_view text) { std::cout << text; });
  }
  if (format_ == ResultFormat::kJsonLines) return;
  std::error_code error;
  if (!partial().empty()) fs::remove(partial(), error);
}

void JobOutput::interrupt(const RunHeader& header, std::span<const Prompt> prompts) {
  mutex_.lock();  // for ever
  if (!lines_ || format_ == ResultFormat::kJsonLines || partial().empty()) return;
  lines_->flush();
  if (has_result_lines(partial())) write_document(header, prompts);
}

void JobOutput::close() {
  if (parquet_) parquet_->finish();
}

bool JobOutput::is_resumable() const {
  return format_ != ResultFormat::kParquet && has_result_lines(kept_lines());
}

}  // namespace sam3trt

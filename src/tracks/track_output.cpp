#include "tracks/track_output.hpp"

#include <array>
#include <string_view>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/output_target.hpp"
#include "jobs/job_documents.hpp"
#include "tracks/coco_vis.hpp"
#include "tracks/line_index.hpp"
#include "tracks/mot_text.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kFlushInterval{10};

struct Kind {
  std::string_view name;
  std::string TrackExports::*path;
};

constexpr std::array<Kind, 4> kKinds = {{{"coco-vis", &TrackExports::coco_vis},
                                         {"davis", &TrackExports::davis},
                                         {"mot", &TrackExports::mot},
                                         {"mots", &TrackExports::mots}}};

/// The kind that a text begins with; null for none.
const Kind* kind_of(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return nullptr;
  for (const Kind& kind : kKinds) {
    if (text.substr(0, colon) == kind.name) return &kind;
  }
  return nullptr;
}

/// Where the next export begins: behind a comma, with a known name. Paths may have commas.
size_t end_of_export(std::string_view text) {
  for (size_t comma = text.find(','); comma != std::string_view::npos;
       comma = text.find(',', comma + 1)) {
    std::string_view rest = text.substr(comma + 1);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    if (kind_of(rest) != nullptr) return comma;
  }
  return text.size();
}

void write_file(const std::string& path, const std::function<void(const WriteText&)>& write) {
  AtomicFile file(path);
  // Texts of a few characters are gathered before they go to the file.
  std::string gathered;
  write([&](std::string_view text) {
    gathered += text;
    if (gathered.size() < size_t{1} << 20) return;
    file.write(gathered);
    gathered.clear();
  });
  file.write(gathered);
  file.commit();
}

}  // namespace

TrackExports parse_exports(const std::vector<std::string>& texts) {
  TrackExports exports;
  for (std::string_view rest : texts) {
    while (true) {
      while (rest.starts_with(' ')) rest.remove_prefix(1);
      const std::string_view one = rest.substr(0, end_of_export(rest));
      const Kind* kind = kind_of(one);
      const std::string option = "--export " + std::string(one);
      if (kind == nullptr || one.size() == kind->name.size() + 1) {
        throw_bad_input(option + ": expected coco-vis:FILE, davis:FOLDER, mot:FILE or mots:FILE");
      }
      std::string& path = exports.*(kind->path);
      if (!path.empty()) throw_bad_input(option + ": this form is asked for twice");
      path = one.substr(kind->name.size() + 1);
      if (one.size() == rest.size()) break;
      rest.remove_prefix(one.size() + 1);
    }
  }
  return exports;
}

TrackOutput::TrackOutput(std::filesystem::path path, TrackExports exports, OutputCheck& check)
    : path_(path.empty() ? fs::path("-") : std::move(path)),
      exports_(std::move(exports)),
      lines_(path_) {
  bool readable = false;
  if (!to_standard_output()) {
    const std::string option = "--output " + path_.string();
    check.writes(path_, option);
    readable = !find_output_target(path_, option).written_through;
    if (readable && has_result_lines(path_)) {
      throw_bad_input(option +
                      ": holds the results of an earlier run; remove it, or name another file");
    }
  }
  if (exports_.has_documents() && !readable) copy_ = std::make_unique<ResultLines>(fs::path());
  for (const Kind& kind : kKinds) {
    const std::string& file = exports_.*(kind.path);
    if (file.empty()) continue;
    const std::string option = "--export " + std::string(kind.name) + ":" + file;
    if (kind.name == "davis") {
      check_output_folder(file, option);
    } else {
      check.writes(file, option);
    }
  }
}

void TrackOutput::begin(const RunHeader& header, const VideoInfo& video,
                        std::function<std::string(int64_t)> name_of) {
  video_ = video;
  name_of_ = std::move(name_of);
  if (!exports_.davis.empty()) {
    davis_ = std::make_unique<DavisFolder>(exports_.davis, "--export davis:" + exports_.davis);
  }
  add_line(to_header_line(header, video));
}

void TrackOutput::add_line(const std::string& line) {
  lines_.add(line);
  if (copy_) copy_->add(line);
  const auto now = std::chrono::steady_clock::now();
  if (now - flushed_ < kFlushInterval) return;
  lines_.flush();
  flushed_ = now;
}

void TrackOutput::add(const FrameResult& result, std::optional<double> time) {
  if (davis_) davis_->add(result, name_of_(result.frame));
  add_line(to_frame_line(result, time));
}

void TrackOutput::add_error(int64_t frame, std::optional<double> time, const std::string& error) {
  add_line(to_error_line(frame, time, error));
}

void TrackOutput::finish() {
  lines_.flush();
  if (!exports_.has_documents() || !name_of_) return;
  const LineIndex index(copy_ ? *copy_ : lines_);
  if (!exports_.mot.empty()) {
    write_file(exports_.mot, [&](const WriteText& write) { write_mot(index, write); });
  }
  if (!exports_.mots.empty()) {
    write_file(exports_.mots, [&](const WriteText& write) { write_mots(index, write); });
  }
  if (!exports_.coco_vis.empty()) {
    write_file(exports_.coco_vis,
               [&](const WriteText& write) { write_coco_vis(index, video_, name_of_, write); });
  }
}

}  // namespace sam3trt

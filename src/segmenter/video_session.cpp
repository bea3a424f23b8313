#include <memory>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "runtime/prompt.hpp"
#include "sam3trt/video.hpp"
#include "segmenter/shared_model.hpp"
#include "tracking/backend_tracker.hpp"
#include "tracking/state_file.hpp"
#include "tracking/tracking_session.hpp"

namespace sam3trt {
namespace {

/// The tracker's numbers of a model that can track.
const TrackerConfig& tracker_of(const SharedModel& model) {
  if (!model.config().tracker || !model.can_track()) {
    throw_bad_input(
        "the model only detects: it has no components that follow objects; export the whole "
        "checkpoint with 'sam3trt export --component all'");
  }
  const TrackerConfig& tracker = *model.config().tracker;
  if (model.semantics() == Semantics::kMeta && tracker.mask_prompt_size == 0) {
    throw_bad_input(
        "the model was exported with Meta's semantics by a version that did not track with them; "
        "export it again");
  }
  return tracker;
}

}  // namespace

class VideoSession::Impl {
 public:
  Impl(Model shared, const TrackOptions& options)
      : model(std::move(shared)),
        config(tracker_of(*model.loaded())),
        backend(model.loaded()->lend_backend()),
        tracker(*backend, model.loaded()->tokenizer(), model.loaded()->config(),
                model.loaded()->semantics()),
        session(tracker, config, options, tracking_rules(model.semantics())) {}

  void check(const Prompt& wanted) const {
    check_prompt(wanted, model.loaded()->tokenizer(), model.loaded()->config(),
                 model.loaded()->semantics());
  }

  [[nodiscard]] StateOwner owner() const {
    return {model.loaded()->checkpoint(), std::string(semantics_name(model.semantics())),
            tracker.sizes()};
  }

  Model model;
  TrackerConfig config;
  std::shared_ptr<Backend> backend;
  BackendTracker tracker;
  TrackingSession session;
};

VideoSession::VideoSession(Model model, const TrackOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {}
VideoSession::~VideoSession() = default;
VideoSession::VideoSession(VideoSession&&) noexcept = default;
VideoSession& VideoSession::operator=(VideoSession&&) noexcept = default;

void VideoSession::add(const Prompt& concept_prompt) {
  impl_->check(concept_prompt);
  impl_->session.add(concept_prompt);
}

void VideoSession::add(const ObjectPrompt& object, int64_t frame) {
  impl_->session.add(object, frame);
}

std::vector<FrameResult> VideoSession::step(const ImageView& image, int64_t frame) {
  impl_->backend->begin();
  try {
    std::vector<FrameResult> results = impl_->session.step(image, frame);
    impl_->backend->wait();
    impl_->backend->end();
    return results;
  } catch (...) {
    impl_->backend->recover();
    throw;
  }
}

std::vector<FrameResult> VideoSession::finish() { return impl_->session.finish(); }

void VideoSession::remove(int64_t id) { impl_->session.remove(id); }

void VideoSession::reset() { impl_->session.reset(); }

void VideoSession::save(const std::filesystem::path& file) const {
  const TrackingSession& session = impl_->session;
  AtomicFile output(file);
  output.write(write_state({session.options(), session.state()}, impl_->owner()));
  output.flush();
  output.commit();
}

void VideoSession::load(const std::filesystem::path& file) {
  const std::vector<std::byte> bytes = read_file(file);
  SavedState saved = read_state(bytes, impl_->owner(), file.string());
  for (const Concept& wanted : saved.state.concepts) {
    if (wanted.text || !wanted.boxes.empty()) impl_->check({wanted.text, wanted.boxes});
  }
  impl_->session.restore(std::move(saved.state), saved.options);
}

std::vector<int64_t> VideoSession::objects() const { return impl_->session.objects(); }

std::optional<int64_t> VideoSession::last_frame() const { return impl_->session.state().last; }

const Model& VideoSession::model() const { return impl_->model; }

}  // namespace sam3trt

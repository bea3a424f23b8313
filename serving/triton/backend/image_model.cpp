#include <exception>
#include <memory>
#include <mutex>
#include <semaphore>
#include <utility>

#include "answerer.hpp"
#include "base/error.hpp"
#include "metrics.hpp"
#include "runtime/result.hpp"
#include "segmenter/shared_model.hpp"
#include "server/base64.hpp"
#include "server/kserve_model.hpp"
#include "server/request_images.hpp"
#include "server/service.hpp"
#include "server/thread_group.hpp"

namespace sam3trt {
namespace {

/// Requests that are worked on at once; those of one batch wait together.
constexpr size_t kThreads = 16;

class ImageAnswerer : public Answerer {
 public:
  explicit ImageAnswerer(const Model& model)
      : service_({model}, "sam3", {}, {model.backend(), model.semantics(), {}}) {}

  void take(std::shared_ptr<TritonRequest> request) override {
    free_.acquire();
    const bool started = threads_.start([this, request = std::move(request)]() mutable {
      answer(*request);
      request.reset();
      free_.release();
    });
    if (!started) {  // the request says that it was not answered
      free_.release();
    }
  }

 private:
  void answer(TritonRequest& request) {
    try {
      const KserveRequest asked = request.read();
      const KserveQuestion question = question_of(asked);
      const ServedImage image = service_.decode(file_bytes_of(question.image->texts[0]));
      const ImageResult result = service_.detect(image, question.prompts, question.options, {});
      throw_if_failed(result);
      count();
      request.send(tensors_of(result));
    } catch (...) {
      request.fail(std::current_exception());
    }
  }

  /// What the vision encoder has done since the last time.
  void count() {
    double runs = 0;
    double images = 0;
    const std::scoped_lock lock(counts_);
    for (const auto& [size, times] : service_.stats().batches) {
      runs += static_cast<double>(times);
      images += static_cast<double>(size * times);
    }
    batches_.add(runs - std::exchange(counted_batches_, runs));
    images_.add(images - std::exchange(counted_images_, images));
  }

  Service service_;
  std::mutex counts_;
  double counted_batches_ = 0;
  double counted_images_ = 0;
  Metric batches_{"sam3_batches", "sam3trt: runs of the vision encoder", Metric::Kind::kCounter};
  Metric images_{"sam3_images", "sam3trt: images that went through it", Metric::Kind::kCounter};
  std::counting_semaphore<> free_{kThreads};
  ThreadGroup threads_{2 * kThreads};  // a thread is free a little after its request is
};

}  // namespace

std::unique_ptr<Answerer> answer_images(const Model& model) {
  return std::make_unique<ImageAnswerer>(model);
}

std::string file_bytes_of(const std::string& given) {
  try {
    return decode_base64(given);
  } catch (const Error&) {
    return given;  // no image file looks like base64
  }
}

}  // namespace sam3trt

#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/engine.hpp"

namespace sam3trt {

/// An engine that remembers its outputs in files, so that a reference which takes minutes on the
/// processor runs once. A file is found by the hash of everything that decides the outputs, and
/// holds a hash of its own content: a damaged one is computed again. The engine itself is loaded
/// only when a call is new.
class CachedEngine : public Engine {
 public:
  struct Source {
    std::vector<TensorInfo> inputs;
    std::vector<TensorInfo> outputs;
    std::function<std::string()> identity;  ///< Of the graph, its weights and what runs them.
    std::function<std::unique_ptr<Engine>()> load;
  };

  /// `folder` is made when needed; one that cannot be written costs time, not the result. Files
  /// beyond `largest_bytes` in all are removed, the oldest first.
  CachedEngine(Source source, std::filesystem::path folder, uint64_t largest_bytes = kLargestBytes)
      : source_(std::move(source)), folder_(std::move(folder)), largest_bytes_(largest_bytes) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return source_.inputs; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return source_.outputs; }

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override;

 private:
  static constexpr uint64_t kLargestBytes = uint64_t{8} << 30;

  [[nodiscard]] std::string key_of(const TensorMap& inputs);
  void store(const std::filesystem::path& path, const std::map<std::string, Tensor>& outputs) const;
  void prune() const;

  Source source_;
  std::filesystem::path folder_;
  uint64_t largest_bytes_;
  std::string identity_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace sam3trt

// Compiled once per flavour with its own headers (cmake/tensorrt.cmake). NVIDIA's namespaces are
// renamed on the command line, because the classes of two majors have the same names but other
// layouts, and one program holds them all.
#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "trt/error_log.hpp"
#include "trt/library.hpp"
#include "trt/profile_choice.hpp"

#if SAM3TRT_FLAVOUR == 10 || SAM3TRT_FLAVOUR == 11
#include "trt/flavour/operator_plugins.hpp"
#endif

namespace sam3trt {
namespace {

#if SAM3TRT_FLAVOUR == 10
constexpr TensorRtFlavour kFlavour = TensorRtFlavour::kTensorRt10;
#elif SAM3TRT_FLAVOUR == 11
constexpr TensorRtFlavour kFlavour = TensorRtFlavour::kTensorRt11;
#else
constexpr TensorRtFlavour kFlavour = TensorRtFlavour::kTensorRtRtx;
#endif

/// Hands warnings to the log and keeps errors for the exception that will follow.
class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    try {
      const bool is_error = severity == Severity::kERROR || severity == Severity::kINTERNAL_ERROR;
      if (is_error && errors_.add(message)) return;
      if (is_error || severity == Severity::kWARNING) {
        sam3trt::log(LogLevel::kInfo, std::string(name_of(kFlavour)) + ": " + message);
      }
    } catch (...) {
      return;  // while reporting: the failure itself is reported by its caller
    }
  }

  [[nodiscard]] ErrorLog& errors() { return errors_; }

 private:
  ErrorLog errors_;
};

[[noreturn]] void fail(ErrorLog::Call& call, ErrorCode code, const std::string& what) {
  throw Error(code, std::string(name_of(kFlavour)) + " " + what + ": " + call.take());
}

DType to_dtype(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kFLOAT:
      return DType::kF32;
    case nvinfer1::DataType::kHALF:
      return DType::kF16;
    case nvinfer1::DataType::kBF16:
      return DType::kBF16;
    case nvinfer1::DataType::kINT64:
      return DType::kI64;
    case nvinfer1::DataType::kINT32:
      return DType::kI32;
    case nvinfer1::DataType::kINT8:
      return DType::kI8;
    case nvinfer1::DataType::kUINT8:
      return DType::kU8;
    case nvinfer1::DataType::kBOOL:
      return DType::kBool;
    default:
      throw_bad_input("the plan has a tensor of a type that is not supported (number " +
                      std::to_string(static_cast<int>(type)) + ")");
  }
}

Shape to_shape(const nvinfer1::Dims& dims) { return {dims.d, dims.d + std::max(dims.nbDims, 0)}; }

nvinfer1::Dims to_dims(const Shape& shape) {
  nvinfer1::Dims dims{};
  if (shape.size() > nvinfer1::Dims::MAX_DIMS) {
    throw_bad_input("a tensor has more than 8 dimensions: " + to_string(shape));
  }
  dims.nbDims = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

/// Forwards TensorRT's progress; the builder calls it from several threads.
class Progress : public nvinfer1::IProgressMonitor {
 public:
  explicit Progress(const BuildProgress& report) : report_(report) {}

  void phaseStart(const char* phase, const char* /*parent*/, int32_t steps) noexcept override {
    forward(phase, 0, steps);
  }
  bool stepComplete(const char* phase, int32_t step) noexcept override {
    return forward(phase, step + 1, 0);
  }
  void phaseFinish(const char* /*phase*/) noexcept override {}

  /// Throws what the caller's function threw, or Error(kInternal) when it cancelled the build.
  void check() const {
    if (failure_) std::rethrow_exception(failure_);
    if (cancelled_) throw Error(ErrorCode::kInternal, "the build was cancelled");
  }

 private:
  bool forward(const char* phase, int32_t step, int32_t steps) noexcept {
    const std::lock_guard lock(mutex_);
    try {
      if (steps > 0) steps_[phase] = steps;
      if (!cancelled_ && !report_(phase, step, steps_[phase])) cancelled_ = true;
    } catch (...) {
      cancelled_ = true;
      failure_ = std::current_exception();
    }
    return !cancelled_;
  }

  const BuildProgress& report_;
  std::mutex mutex_;
  std::map<std::string, int32_t> steps_;
  bool cancelled_ = false;
  std::exception_ptr failure_;
};

/// Collects what the layers of one run took.
class LayerTimes : public nvinfer1::IProfiler {
 public:
  void reportLayerTime(const char* layer, float milliseconds) noexcept override {
    try {
      times_.push_back({layer, static_cast<double>(milliseconds)});
    } catch (...) {
      times_.clear();  // out of memory: no times rather than some
    }
  }

  [[nodiscard]] std::vector<LayerTime> take() { return std::exchange(times_, {}); }

 private:
  std::vector<LayerTime> times_;
};

class FlavourPlan : public LoadedPlan, public std::enable_shared_from_this<FlavourPlan> {
 public:
  FlavourPlan(std::shared_ptr<Logger> logger, std::unique_ptr<nvinfer1::IRuntime> runtime,
              std::unique_ptr<nvinfer1::ICudaEngine> engine)
      : logger_(std::move(logger)),
        runtime_(std::move(runtime)),
        engine_(std::move(engine)),
        profiles_(static_cast<size_t>(engine_->getNbOptimizationProfiles())) {
    for (int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
      const char* name = engine_->getIOTensorName(i);
      const bool is_input = engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
      TensorInfo info{name, to_dtype(engine_->getTensorDataType(name)),
                      to_shape(engine_->getTensorShape(name))};
      (is_input ? inputs_ : outputs_).push_back(std::move(info));
    }
    for (size_t index = 0; index < profiles_.size(); ++index) {
      for (const TensorInfo& input : inputs_) {
        profiles_[index][input.name] = read_profile(input.name, static_cast<int32_t>(index));
      }
    }
  }

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }

  [[nodiscard]] ProfileShape profile(const std::string& input) const override {
    return envelope_of(profiles_, input);
  }

  [[nodiscard]] uint64_t activation_bytes() const override {
    return static_cast<uint64_t>(std::max<int64_t>(engine_->getDeviceMemorySizeV2(), 0));
  }

  [[nodiscard]] std::string layers_json() const override {
    const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine_->createEngineInspector());
    if (!inspector) return "{}";
    const char* text = inspector->getEngineInformation(nvinfer1::LayerInformationFormat::kJSON);
    return text == nullptr ? "{}" : text;
  }

  [[nodiscard]] std::unique_ptr<PlanContext> make_context(ActivationMemory memory) const override;

  [[nodiscard]] const std::vector<Profile>& profiles() const { return profiles_; }
  [[nodiscard]] ErrorLog& errors() const { return logger_->errors(); }

  /// For callers that hold library_turn().
  [[nodiscard]] std::unique_ptr<nvinfer1::IExecutionContext> make_execution_context(
      nvinfer1::ExecutionContextAllocationStrategy strategy, ErrorLog::Call& call) const {
    std::unique_ptr<nvinfer1::IExecutionContext> context(engine_->createExecutionContext(strategy));
    if (!context) fail(call, ErrorCode::kInternal, "could not make an execution context");
    return context;
  }

 private:
  [[nodiscard]] ProfileShape read_profile(const std::string& input, int32_t index) const {
    const auto shape = [&](nvinfer1::OptProfileSelector selector) {
      return to_shape(engine_->getProfileShape(input.c_str(), index, selector));
    };
    return {shape(nvinfer1::OptProfileSelector::kMIN), shape(nvinfer1::OptProfileSelector::kOPT),
            shape(nvinfer1::OptProfileSelector::kMAX)};
  }

  std::shared_ptr<Logger> logger_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::vector<Profile> profiles_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
};

/// The turn of a thread in which contexts are made, get their shapes and start their work. The
/// library's documents let each context have a thread of its own; with contexts on two GPUs
/// TensorRT 10.6 nevertheless dereferenced a null pointer of its own in one of seven runs. Work
/// that is recorded into CUDA graphs does not come here.
[[nodiscard]] std::unique_lock<std::mutex> library_turn() {
  static std::mutex mutex;
  return std::unique_lock(mutex);
}

class FlavourContext : public PlanContext {
 public:
  FlavourContext(std::shared_ptr<const FlavourPlan> plan, ActivationMemory memory)
      : plan_(std::move(plan)), memory_(memory), contexts_(plan_->profiles().size()) {}

  [[nodiscard]] const LoadedPlan& plan() const override { return *plan_; }

  [[nodiscard]] uint64_t shaped_activation_bytes() override {
    const auto turn = library_turn();
    return context().updateDeviceMemorySizeForShapes();
  }

  void set_activation_memory(uint64_t address, uint64_t bytes) override {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a device address
    context().setDeviceMemoryV2(reinterpret_cast<void*>(address), static_cast<int64_t>(bytes));
  }

  void set_input_shapes(const std::map<std::string, Shape>& shapes, void* stream) override {
    ErrorLog::Call call(plan_->errors());
    const auto turn = library_turn();
    use_profile(choose_profile(plan_->profiles(), shapes), stream, call);
    for (const auto& [name, shape] : shapes) {
      if (context().setInputShape(name.c_str(), to_dims(shape))) continue;
      fail(call, ErrorCode::kBadInput, "refuses the shape " + to_string(shape) + " of " + name);
    }
  }

  [[nodiscard]] Shape output_shape(const std::string& name) const override {
    return to_shape(context().getTensorShape(name.c_str()));
  }

  void bind(const std::string& name, uint64_t address) override {
    ErrorLog::Call call(plan_->errors());
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a device address
    if (!context().setTensorAddress(name.c_str(), reinterpret_cast<void*>(address))) {
      fail(call, ErrorCode::kInternal, "refuses the address of " + name);
    }
  }

  void enqueue(void* stream) override {
    ErrorLog::Call call(plan_->errors());
    const auto turn = library_turn();
    if (!context().enqueueV3(static_cast<cudaStream_t>(stream))) {
      fail(call, ErrorCode::kInternal, "could not run the engine");
    }
  }

  [[nodiscard]] std::vector<LayerTime> time_layers(void* stream) override {
    if (context().getProfiler() != &layer_times_) context().setProfiler(&layer_times_);
    static_cast<void>(layer_times_.take());
    enqueue(stream);
    return layer_times_.take();
  }

 private:
  /// An execution context of its own for each profile, because one that changes its profile sets up
  /// all its layers again.
  void use_profile(size_t index, void* stream, ErrorLog::Call& call) {
    auto& slot = contexts_.at(index);
    if (!slot) slot = make_execution_context(static_cast<int32_t>(index), stream, call);
    current_ = slot.get();
  }

  [[nodiscard]] std::unique_ptr<nvinfer1::IExecutionContext> make_execution_context(
      int32_t profile, void* stream, ErrorLog::Call& call) {
    using Strategy = nvinfer1::ExecutionContextAllocationStrategy;
    const bool several = contexts_.size() > 1;
    // kSTATIC would reserve for every context what the largest profile needs.
    const Strategy own = several ? Strategy::kON_PROFILE_CHANGE : Strategy::kSTATIC;
    auto context = plan_->make_execution_context(
        memory_ == ActivationMemory::kOwn ? own : Strategy::kUSER_MANAGED, call);
    if (several &&
        !context->setOptimizationProfileAsync(profile, static_cast<cudaStream_t>(stream))) {
      fail(call, ErrorCode::kInternal, "refuses its profile " + std::to_string(profile));
    }
    return context;
  }

  [[nodiscard]] nvinfer1::IExecutionContext& context() const {
    if (current_ == nullptr) throw Error(ErrorCode::kInternal, "a plan's shapes are not set");
    return *current_;
  }

  std::shared_ptr<const FlavourPlan> plan_;
  ActivationMemory memory_;
  LayerTimes layer_times_;  // outlives the contexts that report to it
  std::vector<std::unique_ptr<nvinfer1::IExecutionContext>> contexts_;  ///< By profile.
  nvinfer1::IExecutionContext* current_ = nullptr;
};

std::unique_ptr<PlanContext> FlavourPlan::make_context(ActivationMemory memory) const {
  return std::make_unique<FlavourContext>(shared_from_this(), memory);
}

class FlavourApi : public TensorRtApi {
 public:
  explicit FlavourApi(TensorRtEntryPoints entry) : entry_(std::move(entry)) { add_plugins(); }

  [[nodiscard]] TensorRtFlavour flavour() const override { return kFlavour; }
  [[nodiscard]] std::string version() const override {
    return version_text(entry_.library_version());
  }

  [[nodiscard]] Plan build(const std::filesystem::path& onnx,
                           const PlanSettings& settings) override {
    ErrorLog::Call call(logger_->errors(), ErrorLog::Workers::kYes);
    const auto builder = make_builder(call);
    uint32_t flags = 0;
#if SAM3TRT_FLAVOUR == 10
    using CreationFlag = nvinfer1::NetworkDefinitionCreationFlag;
    if (settings.strongly_typed) flags = 1U << static_cast<uint32_t>(CreationFlag::kSTRONGLY_TYPED);
#endif
    const std::unique_ptr<nvinfer1::INetworkDefinition> network(builder->createNetworkV2(flags));
    if (!network) fail(call, ErrorCode::kInternal, "could not make a network");
    const auto parser = parse(*network, onnx, call);
    const std::unique_ptr<nvinfer1::IBuilderConfig> config(builder->createBuilderConfig());
    if (!config) fail(call, ErrorCode::kInternal, "could not make a configuration");
    configure(*config, settings);
    for (const Profile& profile : settings.profiles) {
      add_profile(*builder, *network, *config, profile, call);
    }
    const auto cache = set_timing_cache(*config, settings);
    Progress progress(settings.progress);
    if (settings.progress) config->setProgressMonitor(&progress);
    const std::unique_ptr<nvinfer1::IHostMemory> memory(
        builder->buildSerializedNetwork(*network, *config));
    progress.check();
    if (!memory) fail(call, ErrorCode::kInternal, "could not build " + onnx.string());
    return {to_bytes(*memory), timing_cache_bytes(*config)};
  }

  [[nodiscard]] std::shared_ptr<const LoadedPlan> load(std::span<const std::byte> plan) override {
    ErrorLog::Call call(logger_->errors());
    std::unique_ptr<nvinfer1::IRuntime> runtime = make_runtime();
    if (!runtime) fail(call, ErrorCode::kUnavailable, "does not start");
    std::unique_ptr<nvinfer1::ICudaEngine> engine(
        runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (!engine) {
      fail(call, ErrorCode::kBadInput, "refuses the engine; build it again on this machine");
    }
    return std::make_shared<const FlavourPlan>(logger_, std::move(runtime), std::move(engine));
  }

 private:
  /// Once per process: the registry belongs to the library, which is never unloaded.
  void add_plugins() {
#if SAM3TRT_FLAVOUR == 10 || SAM3TRT_FLAVOUR == 11
    static const bool kAdded = [this] {
      auto* registry = entry_.plugin_registry == nullptr
                           ? nullptr
                           : static_cast<nvinfer1::IPluginRegistry*>(entry_.plugin_registry());
      return registry != nullptr &&
             std::ranges::all_of(operator_plugin_creators<SAM3TRT_FLAVOUR>(), [&](auto* creator) {
               return registry->registerCreator(*creator, "");
             });
    }();
    if (kAdded) return;
    throw Error(
        ErrorCode::kUnavailable,
        std::string(name_of(kFlavour)) + " does not take the kernels of this program as plugins");
#endif
  }

  /// One at a time; what the library sets up with the first one is not said to be thread safe.
  [[nodiscard]] std::unique_ptr<nvinfer1::IRuntime> make_runtime() {
    const std::lock_guard lock(runtime_mutex_);
    return std::unique_ptr<nvinfer1::IRuntime>(static_cast<nvinfer1::IRuntime*>(
        entry_.create_runtime(logger_.get(), entry_.library_version())));
  }

  /// Without a GPU, TensorRT 10 may throw here and later versions give null.
  [[nodiscard]] std::unique_ptr<nvinfer1::IBuilder> make_builder(ErrorLog::Call& call) {
    std::string reason;
    try {
      std::unique_ptr<nvinfer1::IBuilder> builder(static_cast<nvinfer1::IBuilder*>(
          entry_.create_builder(logger_.get(), entry_.library_version())));
      if (builder) return builder;
      reason = call.take();
    } catch (const std::exception& error) {
      reason = error.what();
    }
    throw Error(ErrorCode::kUnavailable, std::string(name_of(kFlavour)) + " " + version() +
                                             " does not start: " + reason +
                                             "; 'sam3trt doctor' says what is missing");
  }

  [[nodiscard]] std::unique_ptr<nvonnxparser::IParser> parse(nvinfer1::INetworkDefinition& network,
                                                             const std::filesystem::path& onnx,
                                                             ErrorLog::Call& call) {
    std::unique_ptr<nvonnxparser::IParser> parser(static_cast<nvonnxparser::IParser*>(
        entry_.create_parser(&network, logger_.get(), NV_ONNX_PARSER_VERSION)));
    if (!parser) fail(call, ErrorCode::kInternal, "could not make its ONNX parser");
    constexpr int kErrorsOnly = 1;
    if (parser->parseFromFile(onnx.c_str(), kErrorsOnly)) return parser;
    std::string problems;
    for (int i = 0; i < parser->getNbErrors(); ++i) {
      const auto* error = parser->getError(i);
      problems += std::string("\n  ") + error->desc();
      if (error->nodeName() != nullptr)
        problems += std::string(" (node ") + error->nodeName() + ")";
    }
    throw_bad_input(onnx.string() + ": " + std::string(name_of(kFlavour)) + " " + version() +
                    " refuses the graph:" + problems);
  }

  static void configure(nvinfer1::IBuilderConfig& config, const PlanSettings& settings) {
    config.setProfilingVerbosity(nvinfer1::ProfilingVerbosity::kDETAILED);
    if (!settings.allow_tf32) config.clearFlag(nvinfer1::BuilderFlag::kTF32);
    if (settings.workspace_bytes > 0) {
      config.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, settings.workspace_bytes);
    }
#if SAM3TRT_FLAVOUR == 10
    if (!settings.strongly_typed) config.setFlag(nvinfer1::BuilderFlag::kFP16);
#endif
#if SAM3TRT_FLAVOUR == 10 || SAM3TRT_FLAVOUR == 11
    config.setBuilderOptimizationLevel(settings.optimization_level);
#else
    using Capability = nvinfer1::ComputeCapability;
    config.setNbComputeCapabilities(1);
    config.setComputeCapability(settings.compute_capability == 0
                                    ? Capability::kCURRENT
                                    : static_cast<Capability>(settings.compute_capability),
                                0);
#endif
  }

  static void add_profile(nvinfer1::IBuilder& builder, const nvinfer1::INetworkDefinition& network,
                          nvinfer1::IBuilderConfig& config, const Profile& shapes,
                          ErrorLog::Call& call) {
    auto* profile = builder.createOptimizationProfile();
    for (int32_t i = 0; i < network.getNbInputs(); ++i) {
      const char* name = network.getInput(i)->getName();
      const auto shape = shapes.find(name);
      if (shape == shapes.end()) continue;
      using Selector = nvinfer1::OptProfileSelector;
      profile->setDimensions(name, Selector::kMIN, to_dims(shape->second.min));
      profile->setDimensions(name, Selector::kOPT, to_dims(shape->second.opt));
      profile->setDimensions(name, Selector::kMAX, to_dims(shape->second.max));
    }
    if (!profile->isValid() || config.addOptimizationProfile(profile) < 0) {
      fail(call, ErrorCode::kInternal, "refuses the shape profile");
    }
  }

  /// TensorRT-RTX keeps no timing cache: it compiles ahead of time without measuring.
  [[nodiscard]] std::unique_ptr<nvinfer1::ITimingCache> set_timing_cache(
      [[maybe_unused]] nvinfer1::IBuilderConfig& config,
      [[maybe_unused]] const PlanSettings& settings) {
#if SAM3TRT_FLAVOUR == 10 || SAM3TRT_FLAVOUR == 11
    const ErrorLog::Call ignored(logger_->errors());  // a cache that does not fit is no failure
    std::unique_ptr<nvinfer1::ITimingCache> cache(
        config.createTimingCache(settings.timing_cache.data(), settings.timing_cache.size()));
    if (!cache) cache.reset(config.createTimingCache(nullptr, 0));
    if (cache && !config.setTimingCache(*cache, false)) {
      cache.reset(config.createTimingCache(nullptr, 0));  // of another GPU or version
      if (cache) config.setTimingCache(*cache, false);
    }
    return cache;
#else
    return nullptr;
#endif
  }

  static std::vector<std::byte> to_bytes(const nvinfer1::IHostMemory& memory) {
    const auto* data = static_cast<const std::byte*>(memory.data());
    return {data, data + memory.size()};
  }

  static std::vector<std::byte> timing_cache_bytes(
      [[maybe_unused]] const nvinfer1::IBuilderConfig& config) {
#if SAM3TRT_FLAVOUR == 10 || SAM3TRT_FLAVOUR == 11
    const auto* cache = config.getTimingCache();
    if (cache == nullptr) return {};
    const std::unique_ptr<nvinfer1::IHostMemory> memory(cache->serialize());
    if (memory) return to_bytes(*memory);
#endif
    return {};
  }

  std::shared_ptr<Logger> logger_ = std::make_shared<Logger>();
  TensorRtEntryPoints entry_;
  std::mutex runtime_mutex_;
};

}  // namespace

#if SAM3TRT_FLAVOUR == 10
std::shared_ptr<TensorRtApi> make_tensorrt10(TensorRtEntryPoints entry_points) {
#elif SAM3TRT_FLAVOUR == 11
std::shared_ptr<TensorRtApi> make_tensorrt11(TensorRtEntryPoints entry_points) {
#else
std::shared_ptr<TensorRtApi> make_tensorrt_rtx(TensorRtEntryPoints entry_points) {
#endif
  return std::make_shared<FlavourApi>(std::move(entry_points));
}

}  // namespace sam3trt

// products_check [GPU [LAUNCHES [TOKENS [WIDTH HIDDEN]]]]: runs the products of the vision encoder
// by cuBLASLt on a GPU against float64, and times them over so many launches (20; with 0 it only
// compares), for images of so many tokens (5184). One JSON line per case; a case that fails is
// printed and the others go on. The library is found as src/cuda/cublaslt.hpp says. Exit code 0:
// all passed; 1: some failed; 3: no GPU or no cuBLASLt.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "cuda/cublaslt.hpp"
#include "cuda/kernels.hpp"
#include "cuda/product_choice.hpp"
#include "cuda/products.hpp"
#include "device_bench.hpp"
#include "product_cases.hpp"

namespace {

using sam3trt::DeviceBuffer;
using sam3trt::DType;
using sam3trt::ProductScaling;
using sam3trt::ProductSizes;
using Json = nlohmann::ordered_json;

constexpr int kBlocks = 32;

/// One of the four products of a block.
struct Layer {
  const char* name;
  int64_t inputs;
  int64_t outputs;
  bool residual;
  bool gelu;
};

/// Sizes of the vision encoder.
struct Sizes {
  int64_t tokens = 5184;
  int64_t width = 1024;
  int64_t hidden = 4736;
};

class Check {
 public:
  Check(const sam3trt::CudaDevice& device, const sam3trt::CublasLt& library, int launches,
        const Sizes& sizes)
      : device_(device),
        library_(library),
        kernels_(device.driver()),
        bench_(device, {}),
        launches_(launches),
        tokens_(sizes.tokens),
        width_(sizes.width),
        hidden_(sizes.hidden),
        layers_({{{"qkv", width_, 3 * width_, false, false},
                  {"proj", width_, width_, true, false},
                  {"fc1", width_, hidden_, false, true},
                  {"fc2", hidden_, width_, true, false}}}) {}

  int run() {
    print({{"gpu", device_.info().name},
           {"cuda", device_.driver().cuda_version()},
           {"cublaslt", library_.version_text()},
           {"file", library_.file()}});
    attempt("normalise", [&] {
      sam3trt::run_normalise_cases(device_, {.exact = false, .timed_launches = launches_},
                                   [&](const sam3trt::CaseResult& result) {
                                     report(result.passed, {{"case", result.name},
                                                            {"passed", result.passed},
                                                            {"values", result.values},
                                                            {"largest_difference", result.largest},
                                                            {"microseconds", result.microseconds}});
                                   });
    });
    attempt("small products", [&] {
      sam3trt::run_product_cases(device_, library_, [&](const auto& result) { report(result); });
    });
    refusals();
    asks();
    full_size(1);
    if (launches_ > 0) {
      for (const int64_t batch : {1, 8}) blocks(batch);
      products(1);
      probes();
    }
    full_size(8);
    print({{"cases", cases_}, {"failed", failed_}});
    return failed_ == 0 && cases_ > 0 ? 0 : 1;
  }

 private:
  static void print(const Json& line) { std::cout << line.dump() << std::endl; }

  void report(bool passed, const Json& line) {
    ++cases_;
    failed_ += passed ? 0 : 1;
    print(line);
  }

  void report(const sam3trt::ProductResult& result) {
    report(result.passed, {{"case", result.name},
                           {"passed", result.passed},
                           {"values", result.values},
                           {"rms", result.rms},
                           {"largest_difference", result.largest},
                           {"rms_to_exact", result.rms_exact},
                           {"rms_to_erf", result.rms_erf},
                           {"algorithm", result.algorithm}});
  }

  /// What throws is printed and counts as failed, unless it was only asked whether it can be.
  template <typename Work>
  bool attempt(const std::string& name, const Work& work, bool may_fail = false) {
    try {
      work();
      return true;
    } catch (const std::exception& error) {
      report(may_fail, {{"case", name}, {"passed", may_fail}, {"error", error.what()}});
      return false;
    }
  }

  /// Sizes that cuBLASLt does not take are refused with a clear error.
  void refusals() {
    for (const bool fp8 : {false, true}) {
      ProductSizes sizes;
      sizes.fp8 = sizes.weight_rows = fp8;
      sizes.rows = 7;
      sizes.inputs = fp8 ? 24 : 20;
      sizes.outputs = 16;
      try {
        const sam3trt::Product product(library_, sizes);
        report(false, {{"case", "refusal"}, {"passed", false}, {"error", "it was not refused"}});
      } catch (const sam3trt::Error& error) {
        const bool right = error.code() == sam3trt::ErrorCode::kBadInput;
        report(right, {{"case", "refusal"}, {"passed", right}, {"says", error.what()}});
      }
    }
  }

  /// All operators of the vision encoder against float64.
  void full_size(int64_t batch) {
    for (const bool fp8 : {true, false}) {
      for (const bool fast : {false, true}) {
        if (fast && !fp8) continue;
        for (const DType type : {DType::kF16, DType::kBF16}) {
          if (type == DType::kBF16 && (fast || batch > 1)) continue;
          sam3trt::ProductCase sizes{type, fp8, true, false, fast, batch * tokens_};
          sizes.inputs = width_;
          sizes.outputs = 3 * width_;
          attempt("qkv", [&] { report(run_product_case(device_, library_, sizes)); });
          sizes.normalised = false;
          sizes.residual = true;
          sizes.outputs = width_;
          attempt("proj", [&] { report(run_product_case(device_, library_, sizes)); });
          sizes.outputs = hidden_;
          sizes.normalised = true;
          attempt("mlp", [&] { report(run_mlp_case(device_, library_, sizes)); });
        }
      }
    }
  }

  /// Microseconds of what `launch` puts into the stream: median of launches of a graph that has it
  /// ten times.
  double time(const std::function<void()>& launch, int times = 10) const {
    launch();
    bench_.stream().synchronize();
    const sam3trt::CudaGraph graph(bench_.stream(), [&] {
      for (int i = 0; i < times; ++i) launch();
    });
    graph.launch(bench_.stream());
    bench_.stream().synchronize();
    std::vector<double> all;
    for (int i = 0; i < launches_; ++i) {
      const sam3trt::Event begin(device_);
      const sam3trt::Event end(device_);
      bench_.stream().record(begin);
      graph.launch(bench_.stream());
      bench_.stream().record(end);
      end.synchronize();
      all.push_back(1000.0 * static_cast<double>(end.milliseconds_since(begin)) / times);
    }
    std::ranges::sort(all);
    return all[all.size() / 2];
  }

  /// Memory with small numbers in it.
  DeviceBuffer memory(uint64_t bytes, std::byte value = std::byte{0x11}) const {
    DeviceBuffer buffer(device_, bytes);
    sam3trt::fill_bytes(bench_.stream(), buffer.data(), value, bytes);
    return buffer;
  }

  /// Operands of any product of the vision encoder.
  sam3trt::ProductOperands operands(int64_t batch) const {
    ProductSizes most;
    most.rows = batch * tokens_;
    most.inputs = std::max(width_, hidden_);
    most.outputs = std::max(3 * width_, hidden_);
    return {device_, bench_.stream(), most};
  }

  DeviceBuffer random(uint64_t bytes) const {
    DeviceBuffer buffer(device_, bytes);
    sam3trt::fill_with_numbers(device_, bench_.stream(), buffer);
    return buffer;
  }

  /// The bare products, with all that the library's heuristic offers.
  void products(int64_t batch) {
    const sam3trt::ProductOperands memory = operands(batch);
    std::map<std::string, std::array<double, 2>> sums;
    for (const Layer& layer : layers_) {
      const auto one = [&](const std::string& form, ProductSizes sizes, bool counts) {
        sizes.rows = batch * tokens_;
        sizes.inputs = layer.inputs;
        sizes.outputs = layer.outputs;
        sizes.residual = layer.residual;
        attempt(form + " " + layer.name, [&] {
          const auto [first, best] = time_candidates(layer.name, form, batch, sizes, memory);
          if (!counts) return;
          sums[form][0] += kBlocks * first / 1000;
          sums[form][1] += kBlocks * best / 1000;
        });
      };
      ProductSizes sizes;
      sizes.gelu = layer.gelu;
      one("fp16", sizes, true);
      sizes.weight_rows = true;
      one("fp16 weights by rows", sizes, true);
      sizes.fp8 = true;
      sizes.fp8_result = layer.gelu;
      one("fp8", sizes, true);
      sizes.fast_sums = true;
      one("fp8 fast sums", sizes, true);
      if (!layer.gelu) continue;
      sizes.gelu = false;
      sizes.fast_sums = false;
      one("fp8 without GELU", sizes, false);
      sizes.fp8_result = false;
      one("fp8 without GELU, 16-bit result", sizes, false);
      sizes.fp8 = sizes.weight_rows = false;
      one("fp16 without GELU", sizes, false);
    }
    for (const auto& [form, sum] : sums) {
      print({{"products_of_32_blocks", form},
             {"batch", batch},
             {"milliseconds", sum[0]},
             {"with_fastest_algorithms", sum[1]}});
    }
  }

  std::array<double, 2> time_candidates(const char* layer, const std::string& form, int64_t batch,
                                        const ProductSizes& sizes,
                                        const sam3trt::ProductOperands& memory) {
    constexpr int kCandidates = 8;
    sam3trt::Product product(library_, sizes, kCandidates);
    const sam3trt::Product aligned(library_, sizes, 1, 256);
    const std::string first_text = product.describe();
    double first = 0;
    double best = 0;
    size_t fastest = 0;
    std::vector<double> times;
    for (size_t i = 0; i < product.candidates(); ++i) {
      product.choose(i);
      attempt(std::string("candidate of ") + layer + " " + form, [&] {
        const double taken =
            time([&] { product.launch(memory.at(sizes.residual), bench_.stream().handle()); });
        times.push_back(taken);
        if (i == 0) first = taken;
        if (best > 0 && taken >= best) return;
        best = taken;
        fastest = i;
      });
    }
    product.choose(fastest);
    const double operations = 2.0 * static_cast<double>(sizes.rows) *
                              static_cast<double>(sizes.inputs) *
                              static_cast<double>(sizes.outputs);
    print({{"product", layer},
           {"form", form},
           {"batch", batch},
           {"microseconds", first},
           {"teraflops", operations / first / 1e6},
           {"algorithm", first_text},
           {"fastest", best},
           {"fastest_candidate", fastest},
           {"fastest_algorithm", product.describe()},
           {"all", times},
           {"with_256_bytes_alignment",
            aligned.describe() == first_text ? "the same" : aligned.describe()}});
    return {first, best};
  }

  /// All operators of 32 blocks in turn, each with weights of its own.
  void blocks(int64_t batch) {
    for (const std::string form : {"fp16", "fp8", "fp8 fast sums"}) {
      for (const bool choose : {false, true}) {
        attempt("32 blocks " + form, [&] { time_blocks(batch, form, choose); });
      }
    }
  }

  void time_blocks(int64_t batch, const std::string& form, bool choose) {
    const bool fp8 = form != "fp16";
    const bool fast = form == "fp8 fast sums";
    const int64_t rows = batch * tokens_;
    const uint64_t element = fp8 ? 1 : 2;
    const DeviceBuffer stream = random(static_cast<uint64_t>(rows * width_) * 2);
    const DeviceBuffer attended = random(static_cast<uint64_t>(rows * width_) * 2);
    const DeviceBuffer packed = memory(static_cast<uint64_t>(rows * width_) * 6);
    const DeviceBuffer result = memory(static_cast<uint64_t>(rows * width_) * 2);
    const DeviceBuffer vector = memory(static_cast<uint64_t>(std::max(3 * width_, hidden_)) * 4);
    const DeviceBuffer scales = bench_.upload(std::vector<float>(24, 1.0F / 64));
    std::vector<DeviceBuffer> weights;
    for (int i = 0; i < kBlocks; ++i) {
      weights.push_back(
          random(static_cast<uint64_t>(2 * width_ * (hidden_ + 2 * width_)) * element));
    }
    sam3trt::ProductCall qkv;
    qkv.fp8 = fp8;
    qkv.normalised = true;
    qkv.epsilon = 1e-6F;
    qkv.rows = rows;
    qkv.inputs = width_;
    qkv.outputs = 3 * width_;
    qkv.input = stream.data();
    qkv.bias = qkv.gain = qkv.shift = vector.data();
    qkv.scales = scales.data();
    qkv.result = packed.data();
    sam3trt::ProductCall proj = qkv;
    proj.normalised = false;
    proj.outputs = width_;
    proj.input = attended.data();
    proj.added = true;
    proj.residual = stream.data();
    proj.result = result.data();
    sam3trt::MlpCall mlp;
    mlp.fp8 = fp8;
    mlp.epsilon = 1e-6F;
    mlp.rows = rows;
    mlp.width = width_;
    mlp.hidden = hidden_;
    mlp.input = stream.data();
    mlp.gain = mlp.shift = mlp.hidden_bias = mlp.bias = vector.data();
    mlp.scales = scales.data();
    mlp.result = result.data();
    const DeviceBuffer scratch(
        device_, std::max({qkv.scratch_bytes(), proj.scratch_bytes(), mlp.scratch_bytes()}));
    qkv.scratch = proj.scratch = mlp.scratch = scratch.data();
    const auto product = [&](ProductSizes sizes) {
      sizes.fast_sums = fast;
      if (!choose) return std::make_unique<sam3trt::Product>(library_, sizes);
      const auto chosen = sam3trt::choose_algorithm(library_, device_, sizes);
      const auto again = sam3trt::choose_algorithm(library_, device_, sizes);
      print({{"chosen", text_of(sizes)},
             {"candidates", chosen.candidates},
             {"microseconds", chosen.microseconds},
             {"first_microseconds", chosen.first_microseconds},
             {"algorithm", chosen.description},
             {"again", again.algorithm == chosen.algorithm ? "the same" : again.description},
             {"again_microseconds", again.microseconds}});
      return std::make_unique<sam3trt::Product>(library_, sizes, chosen.algorithm);
    };
    const auto qkv_product = product(qkv.product());
    const auto proj_product = product(proj.product());
    const auto hidden_product = product(mlp.hidden_product());
    const auto mlp_product = product(mlp.product());
    void* queue = bench_.stream().handle();
    const auto step = [&](int which) {
      for (const DeviceBuffer& weight : weights) {
        DevicePointerSum at{weight.data(), element};
        qkv.weight = at.take(3 * width_ * width_);
        proj.weight = at.take(width_ * width_);
        mlp.hidden_weight = at.take(width_ * hidden_);
        mlp.weight = at.take(width_ * hidden_);
        if (which == 0 || which == 3) launch(kernels_, qkv, *qkv_product, queue);
        if (which == 1 || which == 3) launch(kernels_, proj, *proj_product, queue);
        if (which == 2 || which == 3) launch(kernels_, mlp, *hidden_product, *mlp_product, queue);
      }
    };
    Json line = {{"operators_of_32_blocks", form}, {"batch", batch}, {"chosen_by_time", choose}};
    for (const auto& [name, which] : {std::pair{"normalise_qkv_ms", 0}, std::pair{"proj_ms", 1},
                                      std::pair{"mlp_ms", 2}, std::pair{"milliseconds", 3}}) {
      line[name] = time([&] { step(which); }, 1) / 1000;
    }
    print(line);
  }

  struct DevicePointerSum {
    sam3trt::DevicePointer at;
    uint64_t element;
    sam3trt::DevicePointer take(int64_t count) {
      const sam3trt::DevicePointer before = at;
      at += static_cast<uint64_t>(count) * element;
      return before;
    }
  };

  /// What a product with FP8 factors may have, by asking: C where nothing is added, where D's scale
  /// lies, which epilogues and types go together.
  void asks() {
    const sam3trt::ProductOperands memory = operands(1);
    struct Question {
      const char* c;
      bool result_scale;
      bool gelu;
      bool fp8_result;
      bool bf16;
      uint64_t scale_offset;
      bool fast;
    };
    std::vector<Question> questions;
    for (const char* c : {"null", "elsewhere", "result"}) {
      for (const bool scaled : {true, false}) {
        for (const bool gelu : {true, false}) {
          questions.push_back({c, scaled, gelu, true, false, 0, false});
        }
      }
      questions.push_back({c, true, true, true, true, 0, false});
      questions.push_back({c, true, true, true, false, 0, true});
      questions.push_back({c, false, true, false, false, 0, false});
      questions.push_back({c, false, false, false, false, 0, false});
    }
    for (const uint64_t offset : {4, 8, 16}) {
      questions.push_back({"null", false, false, false, false, offset, false});
    }
    for (const Question& q : questions) {
      const std::string text = std::string("C ") + q.c + (q.result_scale ? ", D scale" : "") +
                               (q.gelu ? ", GELU" : "") + (q.fp8_result ? ", D E4M3" : "") +
                               (q.bf16 ? ", bf16" : ", f16") + (q.fast ? ", fast sums" : "") +
                               ", scales at " + std::to_string(q.scale_offset);
      attempt(
          text,
          [&] {
            RawProduct raw;
            raw.sizes.type = q.bf16 ? DType::kBF16 : DType::kF16;
            raw.sizes.fp8 = raw.sizes.weight_rows = true;
            raw.sizes.fp8_result = q.fp8_result;
            raw.sizes.gelu = q.gelu;
            raw.sizes.fast_sums = q.fast;
            raw.sizes.rows = tokens_;
            raw.sizes.inputs = width_;
            raw.sizes.outputs = hidden_;
            raw.result_scale = q.result_scale;
            raw.at = memory.at(false);
            raw.at.input_scale += q.scale_offset;
            raw.at.weight_scale += q.scale_offset;
            raw.c = q.c == std::string("null")     ? 0
                    : q.c == std::string("result") ? raw.at.result
                                                   : memory.at(true).residual;
            print({{"ask", text}, {"answer", ask(raw)}});
          },
          true);
    }
  }

  struct RawProduct {
    ProductSizes sizes;
    bool result_scale = false;
    sam3trt::ProductAddresses at;
    sam3trt::DevicePointer c = 0;
  };

  /// "ok" with the time, or the function that refuses and its status.
  std::string ask(const RawProduct& raw) const {
    using sam3trt::cublaslt::Descriptor;
    const int type =
        raw.sizes.type == DType::kBF16 ? sam3trt::cublaslt::kBFloat16 : sam3trt::cublaslt::kFloat16;
    const int e4m3 = sam3trt::cublaslt::kE4m3;
    void* descriptor = nullptr;
    library_.descriptor_create(&descriptor, sam3trt::cublaslt::kComputeFloat32,
                               sam3trt::cublaslt::kFloat32);
    const auto set = [&]<typename T>(Descriptor attribute, T value) {
      library_.descriptor_set(descriptor, attribute, &value, sizeof(value));
    };
    set(Descriptor::kTransposeA, int32_t{sam3trt::cublaslt::kTranspose});
    set(Descriptor::kEpilogue,
        static_cast<uint32_t>(raw.sizes.gelu ? sam3trt::cublaslt::kEpilogueGeluBias
                                             : sam3trt::cublaslt::kEpilogueBias));
    set(Descriptor::kBiasType, int32_t{type});
    set(Descriptor::kFastAccumulation, static_cast<int8_t>(raw.sizes.fast_sums ? 1 : 0));
    set(Descriptor::kBiasPointer, raw.at.bias);
    set(Descriptor::kAScalePointer, raw.at.weight_scale);
    set(Descriptor::kBScalePointer, raw.at.input_scale);
    if (raw.result_scale) set(Descriptor::kDScalePointer, raw.at.result_scale);
    const auto layout = [&](int of, int64_t rows, int64_t columns) {
      void* made = nullptr;
      library_.layout_create(&made, of, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                             rows);
      return made;
    };
    void* a = layout(e4m3, raw.sizes.inputs, raw.sizes.outputs);
    void* b = layout(e4m3, raw.sizes.inputs, raw.sizes.rows);
    void* c = layout(type, raw.sizes.outputs, raw.sizes.rows);
    void* d = layout(raw.sizes.fp8_result ? e4m3 : type, raw.sizes.outputs, raw.sizes.rows);
    void* preference = nullptr;
    library_.preference_create(&preference);
    const uint64_t workspace = sam3trt::kProductWorkspaceBytes;
    library_.preference_set(preference, sam3trt::cublaslt::Preference::kWorkspaceBytes, &workspace,
                            sizeof(workspace));
    sam3trt::cublaslt::Heuristic found;
    int count = 0;
    int status = library_.heuristic.status(library_.handle(), descriptor, a, b, c, d, preference, 1,
                                           &found, &count);
    std::string answer;
    if (status != 0 || count == 0 || found.state != 0) {
      answer = "heuristic: " + library_.describe(status);
    } else {
      const float one = 1;
      const float zero = 0;
      const auto launch = [&] {
        status = library_.matmul.status(
            library_.handle(), descriptor, &one, sam3trt::device_pointer<void>(raw.at.weight), a,
            sam3trt::device_pointer<void>(raw.at.input), b, &zero,
            sam3trt::device_pointer<void>(raw.c), c, sam3trt::device_pointer<void>(raw.at.result),
            d, &found.algorithm, sam3trt::device_pointer<void>(raw.at.workspace), workspace,
            bench_.stream().handle());
      };
      launch();
      bench_.stream().synchronize();
      answer = status == 0 ? "ok" : "matmul: " + library_.describe(status);
      if (status == 0 && launches_ > 0) answer += ", " + std::to_string(time(launch)) + " us";
    }
    library_.preference_destroy(preference);
    for (void* each : {a, b, c, d}) library_.layout_destroy(each);
    library_.descriptor_destroy(descriptor);
    return answer;
  }

  /// What else the library might do.
  void probes() {
    const sam3trt::ProductOperands memory = operands(1);
    for (const Layer& layer : layers_) {
      for (const auto& [name, scaling] :
           {std::pair{"a scale per output as alpha", ProductScaling::kAlphaVector},
            std::pair{"scales per row and output", ProductScaling::kOuterVectors}}) {
        for (const DType type : {DType::kF16, DType::kBF16}) {
          const std::string text =
              std::string(layer.name) + " " + name + " " + std::string(sam3trt::name_of(type));
          attempt(
              text,
              [&, scaling = scaling] {
                ProductSizes sizes;
                sizes.type = type;
                sizes.fp8 = sizes.weight_rows = true;
                sizes.rows = tokens_;
                sizes.inputs = layer.inputs;
                sizes.outputs = layer.outputs;
                sizes.residual = layer.residual;
                const sam3trt::Product product(library_, sizes, 1, 16, scaling);
                const double taken = time(
                    [&] { product.launch(memory.at(layer.residual), bench_.stream().handle()); });
                print(
                    {{"probe", text}, {"microseconds", taken}, {"algorithm", product.describe()}});
              },
              true);
        }
      }
    }
  }

  const sam3trt::CudaDevice& device_;
  const sam3trt::CublasLt& library_;
  sam3trt::OperatorKernels kernels_;
  sam3trt::DeviceBench bench_;
  int launches_;
  int64_t tokens_;
  int64_t width_;
  int64_t hidden_;
  std::array<Layer, 4> layers_;
  int cases_ = 0;
  int failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto number = [&](int which, int otherwise) {
      return argc > which ? std::atoi(argv[which]) : otherwise;
    };
    const sam3trt::CudaDevice device(number(1, 0));
    const Sizes sizes{number(3, 5184), number(4, 1024), number(5, 4736)};
    return Check(device, sam3trt::cublaslt_library(), number(2, 20), sizes).run();
  } catch (const sam3trt::Error& error) {
    std::cerr << "products_check: " << error.what() << "\n";
    return error.code() == sam3trt::ErrorCode::kUnavailable ? 3 : 1;
  } catch (const std::exception& error) {
    std::cerr << "products_check: " << error.what() << "\n";
    return 1;
  }
}

#include "product_cases.hpp"

#include <algorithm>
#include <array>

#include "cuda/operators.hpp"
#include "cuda/products.hpp"
#include "device_bench.hpp"
#include "product_problem.hpp"

namespace sam3trt {
namespace {

/// Larger than what the inputs of a product become.
constexpr float kMostInput = 8;
constexpr float kMostHidden = 6;
constexpr int64_t kComparedRows = 20;

/// What differences may be, relative to the results: rounding to 16 bits, and for FP8 also what
/// sums of the tensor cores lose, which keep some 14 bits within a step; GELU's result as FP8 may
/// be rounded the other way where the sums differ.
double allowed_rms(const ProductCase& sizes, bool mlp) {
  const double rounding = sizes.type == DType::kF16 ? 1e-3 : 4e-3;
  if (!sizes.fp8) return rounding;
  return (mlp ? 6e-3 : 1.5e-3) + rounding + (sizes.fast_sums ? 4e-3 : 0);
}

std::vector<float> scales_of(float input, float weight) {
  std::vector<float> scales(3 * kScaleBytes / sizeof(float));
  const size_t step = kScaleBytes / sizeof(float);
  scales[0] = 1 / input;
  scales[step] = input;
  scales[2 * step] = weight;
  return scales;
}

/// Uploads what both operators need.
struct OnDevice {
  DeviceBuffer input;
  DeviceBuffer gain;
  DeviceBuffer shift;
  DeviceBuffer result;

  OnDevice(const DeviceBench& bench, const ProductProblem& problem, int64_t results)
      : input(bench.upload(problem.input())),
        gain(bench.upload(problem.gain())),
        shift(bench.upload(problem.shift())),
        result(bench.make<uint16_t>(static_cast<size_t>(results))) {}
};

DeviceBuffer upload_weights(const DeviceBench& bench, const TestWeights& weights) {
  return weights.fp8.empty() ? bench.upload(weights.low) : bench.upload(weights.fp8);
}

void judge(ProductResult& result, const Differences& differences, const Differences& exact,
           double allowed) {
  result.values = differences.count();
  result.largest = differences.largest();
  result.rms = differences.rms();
  result.rms_exact = exact.rms();
  result.passed = result.rms <= allowed;  // not where it is NaN
  result.differing = result.passed ? 0 : 1;
}

}  // namespace

std::string ProductCase::name() const {
  return std::string(fp8 ? "fp8 to " : "") + std::string(name_of(type)) + " " +
         std::to_string(rows) + " x " + std::to_string(inputs) + " x " + std::to_string(outputs) +
         (normalised ? ", normalised" : "") + (residual ? ", residual" : "") +
         (fast_sums ? ", fast sums" : "");
}

ProductResult run_product_case(const CudaDevice& device, const CublasLt& library,
                               const ProductCase& sizes) {
  const DeviceBench bench(device, {});
  const OperatorKernels kernels(device.driver());
  QuickRandom random(static_cast<uint64_t>(sizes.rows + sizes.outputs));
  const ProductProblem problem(sizes, random);
  const TestWeights weights(random, sizes.type, sizes.fp8, sizes.inputs, sizes.outputs);
  const float input_scale = kMostInput / kLargestE4m3;
  std::vector<uint16_t> residual(sizes.residual ? 0 : 8);
  for (int64_t i = 0; sizes.residual && i < sizes.rows * sizes.outputs; ++i) {
    residual.push_back(round_to(sizes.type, random.next()));
  }

  const OnDevice on(bench, problem, sizes.rows * sizes.outputs);
  const DeviceBuffer weight = upload_weights(bench, weights);
  const DeviceBuffer bias = bench.upload(weights.bias);
  const DeviceBuffer scales = bench.upload(scales_of(input_scale, weights.scale));
  const DeviceBuffer added = bench.upload(residual);
  ProductCall call;
  call.type = sizes.type;
  call.fp8 = sizes.fp8;
  call.normalised = sizes.normalised;
  call.epsilon = ProductProblem::kEpsilon;
  call.rows = sizes.rows;
  call.inputs = sizes.inputs;
  call.outputs = sizes.outputs;
  call.input = on.input.data();
  call.weight = weight.data();
  call.bias = bias.data();
  call.added = sizes.residual;
  call.residual = sizes.residual ? added.data() : 0;
  call.gain = on.gain.data();
  call.shift = on.shift.data();
  call.scales = scales.data();
  call.result = on.result.data();
  const DeviceBuffer scratch = bench.make<std::byte>(call.scratch_bytes());
  call.scratch = scratch.data();
  ProductSizes product_sizes = call.product();
  product_sizes.fast_sums = sizes.fast_sums;
  const Product product(library, product_sizes);

  ProductResult result;
  result.name = "product " + sizes.name();
  result.algorithm = product.describe();
  bench.run([&] { launch(kernels, call, product, bench.stream().handle()); });
  const auto found =
      bench.download<uint16_t>(on.result, static_cast<size_t>(sizes.rows * sizes.outputs));
  Differences differences;
  Differences exact;
  for (const int64_t row : problem.some_rows(kComparedRows)) {
    const std::vector<double> values = problem.row(row);
    std::vector<double> factors = values;
    for (double& value : factors) {
      value = sizes.fp8 ? rounded_e4m3(value, input_scale) : rounded(sizes.type, value);
    }
    const auto expected = weights.multiply(sizes.type, factors, weights.rounded);
    const auto unrounded = weights.multiply(sizes.type, values, weights.exact);
    for (size_t n = 0; n < expected.size(); ++n) {
      const size_t at = static_cast<size_t>(row) * expected.size() + n;
      const double add = sizes.residual ? value_of(sizes.type, residual[at]) : 0;
      differences.add(value_of(sizes.type, found[at]), expected[n] + add);
      exact.add(value_of(sizes.type, found[at]), unrounded[n] + add);
    }
  }
  judge(result, differences, exact, allowed_rms(sizes, false));
  return result;
}

ProductResult run_mlp_case(const CudaDevice& device, const CublasLt& library,
                           const ProductCase& sizes) {
  const DeviceBench bench(device, {});
  const OperatorKernels kernels(device.driver());
  QuickRandom random(static_cast<uint64_t>(sizes.rows + sizes.outputs));
  ProductCase normalised = sizes;
  normalised.normalised = true;
  const ProductProblem problem(normalised, random);
  const TestWeights first(random, sizes.type, sizes.fp8, sizes.inputs, sizes.outputs);
  const TestWeights second(random, sizes.type, sizes.fp8, sizes.outputs, sizes.inputs);
  const float input_scale = kMostInput / kLargestE4m3;
  const float hidden_scale = kMostHidden / kLargestE4m3;

  const OnDevice on(bench, problem, sizes.rows * sizes.inputs);
  const DeviceBuffer hidden_weight = upload_weights(bench, first);
  const DeviceBuffer hidden_bias = bench.upload(first.bias);
  const DeviceBuffer weight = upload_weights(bench, second);
  const DeviceBuffer bias = bench.upload(second.bias);
  std::vector<float> all_scales = scales_of(input_scale, first.scale);
  for (const float scale : scales_of(hidden_scale, second.scale)) all_scales.push_back(scale);
  const DeviceBuffer scales = bench.upload(all_scales);
  MlpCall call;
  call.type = sizes.type;
  call.fp8 = sizes.fp8;
  call.epsilon = ProductProblem::kEpsilon;
  call.rows = sizes.rows;
  call.width = sizes.inputs;
  call.hidden = sizes.outputs;
  call.input = on.input.data();
  call.gain = on.gain.data();
  call.shift = on.shift.data();
  call.hidden_weight = hidden_weight.data();
  call.hidden_bias = hidden_bias.data();
  call.weight = weight.data();
  call.bias = bias.data();
  call.scales = scales.data();
  call.result = on.result.data();
  const DeviceBuffer scratch = bench.make<std::byte>(call.scratch_bytes());
  call.scratch = scratch.data();
  ProductSizes hidden_sizes = call.hidden_product();
  ProductSizes product_sizes = call.product();
  hidden_sizes.fast_sums = product_sizes.fast_sums = sizes.fast_sums;
  const Product hidden_product(library, hidden_sizes);
  const Product product(library, product_sizes);

  ProductResult result;
  result.name = "mlp " + sizes.name();
  result.algorithm = hidden_product.describe() + "; " + product.describe();
  bench.run([&] { launch(kernels, call, hidden_product, product, bench.stream().handle()); });
  const auto found =
      bench.download<uint16_t>(on.result, static_cast<size_t>(sizes.rows * sizes.inputs));
  Differences differences;
  Differences exact;
  Differences erf;
  for (const int64_t row : problem.some_rows(kComparedRows)) {
    const std::vector<double> values = problem.row(row);
    std::vector<double> factors = values;
    const auto round = [&](std::vector<double>& these, float scale) {
      for (double& value : these) {
        value = sizes.fp8 ? rounded_e4m3(value, scale) : rounded(sizes.type, value);
      }
    };
    const auto activate = [](std::vector<double> these, double (*gelu)(double)) {
      for (double& value : these) value = gelu(value);
      return these;
    };
    round(factors, input_scale);
    const auto before = first.multiply(sizes.type, factors, first.rounded);
    auto hidden = activate(before, gelu_tanh);
    auto hidden_erf = activate(before, gelu_erf);
    round(hidden, hidden_scale);
    round(hidden_erf, hidden_scale);
    const auto expected = second.multiply(sizes.type, hidden, second.rounded);
    const auto expected_erf = second.multiply(sizes.type, hidden_erf, second.rounded);
    const auto unrounded = second.multiply(
        sizes.type, activate(first.multiply(sizes.type, values, first.exact), gelu_erf),
        second.exact);
    for (size_t n = 0; n < expected.size(); ++n) {
      const size_t at = static_cast<size_t>(row) * expected.size() + n;
      const double add = value_of(sizes.type, problem.input()[at]);
      const double value = value_of(sizes.type, found[at]);
      differences.add(value, expected[n] + add);
      erf.add(value, expected_erf[n] + add);
      exact.add(value, unrounded[n] + add);
    }
  }
  judge(result, differences, exact, allowed_rms(sizes, true));
  result.rms_erf = erf.rms();
  return result;
}

void run_product_cases(const CudaDevice& device, const CublasLt& library,
                       const std::function<void(const ProductResult&)>& report) {
  constexpr DType kF16 = DType::kF16;
  constexpr DType kBF16 = DType::kBF16;
  // type, FP8, normalised, residual, fast sums, rows, inputs, outputs
  constexpr std::array<ProductCase, 12> kProducts = {
      {{kF16, false, false, false, false, 1, 8, 8},
       {kF16, false, true, false, false, 35, 40, 24},
       {kBF16, false, true, true, false, 17, 264, 16},
       {kF16, false, false, true, false, 65, 128, 136},
       {kBF16, false, false, true, false, 3, 16, 8},
       {kF16, true, false, false, false, 1, 16, 16},
       {kF16, true, true, false, false, 35, 48, 32},
       {kF16, true, false, true, false, 65, 128, 144},
       {kF16, true, true, true, false, 129, 1040, 80},
       {kF16, true, true, false, true, 7, 2048, 48},
       {kBF16, true, true, false, false, 33, 64, 96},
       {kBF16, true, false, true, false, 5, 32, 16}}};
  for (const ProductCase& sizes : kProducts) report(run_product_case(device, library, sizes));
  constexpr std::array<ProductCase, 5> kMlps = {{{kF16, false, true, true, false, 35, 40, 72},
                                                 {kBF16, false, true, true, false, 9, 64, 136},
                                                 {kF16, true, true, true, false, 35, 48, 80},
                                                 {kF16, true, true, true, false, 1, 16, 16},
                                                 {kBF16, true, true, true, false, 66, 128, 592}}};
  for (const ProductCase& sizes : kMlps) report(run_mlp_case(device, library, sizes));
}

void run_normalise_cases(const CudaDevice& device, const CaseOptions& options,
                         const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  const auto run = [&](const DeviceBench& bench, const ProductCase& sizes) {
    QuickRandom random(7);
    const ProductProblem problem(sizes, random);
    const auto count = static_cast<size_t>(sizes.rows * sizes.inputs);
    const OnDevice on(bench, problem, sizes.rows * sizes.inputs);
    const float scale = kMostInput / kLargestE4m3;
    const DeviceBuffer factor = bench.upload(std::vector<float>{1 / scale});
    NormalisedRows rows;
    QuantisedValues values;
    rows.type = values.type = sizes.type;
    rows.fp8 = sizes.fp8;
    rows.input = values.input = on.input.data();
    rows.gain = on.gain.data();
    rows.shift = on.shift.data();
    rows.factor = values.factor = factor.data();
    rows.result = values.result = on.result.data();
    rows.epsilon = ProductProblem::kEpsilon;
    rows.rows = sizes.rows;
    rows.columns = sizes.inputs;
    values.count = sizes.rows * sizes.inputs;
    CaseResult result;
    result.name = std::string(sizes.normalised ? "normalised rows " : "quantised values ") +
                  std::string(name_of(sizes.type)) + (sizes.fp8 ? " to fp8 " : " ") +
                  std::to_string(sizes.rows) + " x " + std::to_string(sizes.inputs);
    result.microseconds = bench.run([&] {
      if (sizes.normalised) {
        kernels.launch(rows, bench.stream().handle());
      } else {
        kernels.launch(values, bench.stream().handle());
      }
    });
    std::vector<double> found;
    if (sizes.fp8) {
      for (const uint8_t bits : bench.download<uint8_t>(on.result, count)) {
        found.push_back(e4m3_value(bits) * static_cast<double>(scale));
      }
    } else {
      for (const uint16_t bits : bench.download<uint16_t>(on.result, count)) {
        found.push_back(value_of(sizes.type, bits));
      }
    }
    // Half a step of the result's type, and a little for float32.
    const double step = sizes.fp8 ? 0.0625 : sizes.type == DType::kF16 ? 4.9e-4 : 3.9e-3;
    result.passed = true;
    for (const int64_t row : problem.some_rows(64)) {
      const std::vector<double> expected = problem.row(row);
      for (size_t k = 0; k < expected.size(); ++k) {
        const double value = found[static_cast<size_t>(row * sizes.inputs) + k];
        const double difference = std::abs(value - expected[k]);
        const double least = sizes.fp8 ? static_cast<double>(scale) / 1024 : 1e-6;
        const double allowed = std::abs(expected[k]) * step * 1.01 + least * 1.01;
        ++result.values;
        result.largest = larger(result.largest, difference);
        if (difference <= allowed) continue;
        ++result.differing;
        result.passed = false;
      }
    }
    report(result);
  };
  constexpr DType kF16 = DType::kF16;
  constexpr DType kBF16 = DType::kBF16;
  constexpr std::array<ProductCase, 9> kCases = {{{kF16, false, true, false, false, 9, 1024},
                                                  {kF16, true, true, false, false, 17, 1024},
                                                  {kF16, false, true, false, false, 1, 8},
                                                  {kBF16, true, true, false, false, 3, 248},
                                                  {kBF16, false, true, false, false, 5, 264},
                                                  {kF16, true, true, false, false, 8, 1032},
                                                  {kF16, false, true, false, false, 2, 2048},
                                                  {kF16, true, false, false, false, 7, 264},
                                                  {kBF16, true, false, false, false, 300, 16}}};
  constexpr std::array<ProductCase, 4> kTimed = {{{kF16, false, true, false, false, 5184, 1024},
                                                  {kF16, true, true, false, false, 5184, 1024},
                                                  {kF16, true, true, false, false, 41472, 1024},
                                                  {kF16, true, false, false, false, 5184, 1024}}};
  run_cases(device, options, kCases, kTimed, run);
}

}  // namespace sam3trt

#include "cuda/product_choice.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr int kCandidates = 16;
constexpr int kRounds = 5;  ///< Of so many launches one after another; the median counts.
constexpr int kLaunches = 8;

uint64_t low_bytes(int64_t rows, int64_t columns) {
  return static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns) * sizeof(uint16_t);
}

double measure(const CudaDevice& device, const Stream& stream, const Product& product,
               const ProductAddresses& at) {
  std::vector<double> rounds;
  for (int round = 0; round <= kRounds; ++round) {
    const Event begin(device);
    const Event end(device);
    stream.record(begin);
    for (int i = 0; i < kLaunches; ++i) product.launch(at, stream.handle());
    stream.record(end);
    end.synchronize();
    if (round == 0) continue;  // the first loads code
    rounds.push_back(1000.0 * static_cast<double>(end.milliseconds_since(begin)) / kLaunches);
  }
  std::ranges::sort(rounds);
  return rounds[rounds.size() / 2];
}

}  // namespace

void fill_with_numbers(const CudaDevice& device, const Stream& stream, const DeviceBuffer& buffer) {
  constexpr size_t kPeriod = size_t{1} << 20U;
  std::vector<uint8_t> values(std::min(buffer.size(), kPeriod));
  uint64_t state = 12345;
  for (uint8_t& value : values) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    value = static_cast<uint8_t>(state >> 56U) & 0xBFU;
  }
  DeviceBuffer part(device, values.size());
  copy_to_device(stream, part.data(), std::as_bytes(std::span(values)));
  for (size_t at = 0; at < buffer.size(); at += values.size()) {
    const size_t count = std::min(values.size(), buffer.size() - at);
    copy_on_device(stream, buffer.data() + at, part.data(), count);
  }
  stream.synchronize();
}

ProductOperands::ProductOperands(const CudaDevice& device, const Stream& stream,
                                 const ProductSizes& most)
    : input_(device, low_bytes(most.rows, most.inputs)),
      weight_(device, low_bytes(most.inputs, most.outputs)),
      bias_(device, low_bytes(1, most.outputs)),
      residual_(device, low_bytes(most.rows, most.outputs)),
      result_(device, low_bytes(most.rows, most.outputs)),
      scales_(device, sizeof(float) * static_cast<uint64_t>(std::max(most.rows, most.outputs))),
      workspace_(device, kProductWorkspaceBytes) {
  for (const DeviceBuffer* each : {&input_, &weight_, &bias_, &residual_}) {
    fill_with_numbers(device, stream, *each);
  }
  const std::vector<float> scales(scales_.size() / sizeof(float), 1.0F / 64);
  copy_to_device(stream, scales_.data(), std::as_bytes(std::span(scales)));
  stream.synchronize();
}

ProductAddresses ProductOperands::at(bool residual) const {
  ProductAddresses at;
  at.input = input_.data();
  at.weight = weight_.data();
  at.bias = bias_.data();
  at.residual = residual ? residual_.data() : 0;
  at.result = result_.data();
  at.input_scale = at.weight_scale = at.result_scale = scales_.data();
  at.workspace = workspace_.data();
  return at;
}

ChosenAlgorithm choose_algorithm(const CublasLt& library, const CudaDevice& device,
                                 const ProductSizes& sizes) {
  Product product(library, sizes, kCandidates);
  const Stream stream(device);
  const ProductOperands operands(device, stream, sizes);
  ChosenAlgorithm chosen;
  std::string problem;
  for (size_t i = 0; i < product.candidates(); ++i) {
    product.choose(i);
    double taken = 0;
    try {
      taken = measure(device, stream, product, operands.at(sizes.residual));
    } catch (const Error& error) {
      // The library offers algorithms that it then refuses; what is wrong with the GPU shows here.
      stream.synchronize();
      problem = error.what();
      continue;
    }
    ++chosen.candidates;
    if (i == 0) chosen.first_microseconds = taken;
    if (chosen.candidates > 1 && taken >= chosen.microseconds) continue;
    chosen.microseconds = taken;
    chosen.algorithm = product.algorithm().algorithm;
    chosen.description = product.describe();
  }
  if (chosen.candidates == 0) {
    throw Error(ErrorCode::kUnavailable,
                "cuBLASLt runs none of its algorithms for " + text_of(sizes) + ": " + problem);
  }
  return chosen;
}

}  // namespace sam3trt

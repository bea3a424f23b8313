#include "cuda/product_choice.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "cuda/product_search.hpp"

namespace sam3trt {
namespace {

uint64_t low_bytes(int64_t rows, int64_t columns) {
  return static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns) * sizeof(uint16_t);
}

double measure(const CudaDevice& device, const Stream& stream, const Product& product,
               const ProductAddresses& at, int launches) {
  const Event begin(device);
  const Event end(device);
  stream.record(begin);
  try {
    for (int i = 0; i < launches; ++i) product.launch(at, stream.handle());
  } catch (const Error&) {
    stream.synchronize();
    throw;
  }
  stream.record(end);
  end.synchronize();
  return 1000.0 * static_cast<double>(end.milliseconds_since(begin)) / launches;
}

/// A float's bits, which are sign and magnitude, as an integer in the floats' order.
int32_t ordered(uint32_t bits, uint32_t sign) {
  const auto magnitude = static_cast<int32_t>(bits & (sign - 1));
  return (bits & sign) != 0 ? -magnitude : magnitude;
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
  const std::vector<float> scales(scales_.size() / sizeof(float), 0.25F);
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

std::vector<int32_t> result_of(const Stream& stream, const Product& product,
                               const ProductAddresses& at) {
  constexpr size_t kPart = size_t{1} << 20U;
  const ProductSizes& sizes = product.sizes();
  const size_t width = sizes.fp8_result ? 1 : sizeof(uint16_t);
  const size_t bytes = static_cast<size_t>(sizes.rows * sizes.outputs) * width;
  const size_t part = std::min(bytes, kPart);
  fill_bytes(stream, at.result, std::byte{0xFF}, bytes);
  product.launch(at, stream.handle());
  std::vector<std::byte> read(2 * part);
  copy_to_host(stream, std::span(read).first(part), at.result);
  copy_to_host(stream, std::span(read).last(part), at.result + bytes - part);
  stream.synchronize();
  std::vector<int32_t> values;
  values.reserve(read.size() / width);
  for (size_t i = 0; i < read.size(); i += width) {
    const auto low = std::to_integer<uint32_t>(read[i]);
    values.push_back(width == 1
                         ? ordered(low, 0x80U)
                         : ordered(low | std::to_integer<uint32_t>(read[i + 1]) << 8U, 0x8000U));
  }
  return values;
}

ChosenAlgorithm choose_algorithm(const CublasLt& library, const CudaDevice& device,
                                 const ProductSizes& sizes) {
  Product product(library, sizes, kHeuristicOffers);
  const Stream stream(device);
  const ProductOperands operands(device, stream, sizes);
  const ProductAddresses at = operands.at(sizes.residual);
  return ProductSearch(
             library, product,
             {[&](int launches) { return measure(device, stream, product, at, launches); },
              [&] { return result_of(stream, product, at); }})
      .find();
}

}  // namespace sam3trt

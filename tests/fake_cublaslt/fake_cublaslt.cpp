// A fake libcublasLt.so on the fake driver: products of 16-bit floats and E4M3 with what stands
// after them, in float32. It refuses what NVIDIA's documentation of cublasLtMatmul rules out.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <map>
#include <mutex>

#include "base/e4m3.hpp"
#include "base/half.hpp"
#include "fake_cuda.hpp"

namespace {

enum Status { kSuccess = 0, kInvalidValue = 7, kNotSupported = 15 };
enum Type { kFloat16 = 2, kBFloat16 = 14, kE4m3 = 28 };
constexpr int kGeluBias = 36;
constexpr int kBias = 4;

struct Descriptor {
  int compute = 0;
  int scale = 0;
  std::map<int, uint64_t> attributes;

  [[nodiscard]] uint64_t get(int attribute, uint64_t otherwise = 0) const {
    const auto found = attributes.find(attribute);
    return found == attributes.end() ? otherwise : found->second;
  }
};

struct Layout {
  int type;
  uint64_t rows;
  uint64_t columns;
  int64_t leading;

  [[nodiscard]] size_t bytes() const {
    return static_cast<size_t>(leading) * columns * (type == kE4m3 ? 1 : 2);
  }
};

struct Preference {
  std::map<int, uint64_t> attributes;
};

struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

/// What all of the fake's algorithms have in common, all of whose bits count. In the sixth word are
/// tile, option and cluster shape.
constexpr uint64_t kAlgorithm[8] = {
    0xC0B1A50000000042, 0x8000000100000002, 3, 0xFFFFFFFF00000000, 0x00000000FFFFFFFF, 0, 7,
    0x123456789ABCDEF0};
constexpr size_t kVariant = 5;

enum Config { kTileId = 1, kSplitK = 2, kCustomOption = 5, kClusterShape = 8 };

/// Where a value is in that word.
int shift_of(int attribute) {
  return attribute == kTileId ? 0 : attribute == kCustomOption ? 16 : 32;
}

struct Variant {
  unsigned tile;
  unsigned option;
  unsigned cluster;
};

Variant variant_of(const void* algorithm) {
  uint64_t words[8];
  std::memcpy(words, algorithm, sizeof(words));
  const auto value = [&](Config config) {
    return static_cast<unsigned>(words[kVariant] >> shift_of(config)) & 0xFFFFU;
  };
  return {value(kTileId), value(kCustomOption), value(kClusterShape)};
}

bool is_algorithm(const void* algorithm) {
  uint64_t words[8];
  std::memcpy(words, algorithm, sizeof(words));
  const auto [tile, option, cluster] = variant_of(algorithm);
  const bool whole = words[kVariant] >> 48U == 0;
  words[kVariant] = 0;
  return whole && std::memcmp(words, kAlgorithm, sizeof(words)) == 0 &&
         (tile == 1 || tile == 4 || tile == 8) && option <= 1 && (cluster == 2 || cluster == 4);
}

/// What the heuristic offers: tile 1 to 64 columns and fewer, tile 4 beyond 64, tile 8, whose
/// results are wrong, beyond 192.
void offer(uint64_t (&algorithm)[8], uint64_t columns) {
  std::memcpy(algorithm, kAlgorithm, sizeof(kAlgorithm));
  const uint64_t tile = columns <= 64 ? 1 : columns <= 192 ? 4 : 8;
  const uint64_t option = tile == 4 ? 1 : 0;
  const uint64_t cluster = tile == 1 ? 4 : 2;
  algorithm[kVariant] = tile << shift_of(kTileId) | option << shift_of(kCustomOption) |
                        cluster << shift_of(kClusterShape);
}

float e4m3_to_float(uint8_t bits) {
  const int exponent = bits >> 3 & 15;
  const int digits = bits & 7;
  const float value = (bits & 127) == 127 ? std::nanf("")
                      : exponent == 0     ? std::ldexp(static_cast<float>(digits), -9)
                                      : std::ldexp(static_cast<float>(8 + digits), exponent - 10);
  return (bits & 128) != 0 ? -value : value;
}

float load(const void* data, int type, size_t index) {
  if (type == kE4m3) return e4m3_to_float(static_cast<const uint8_t*>(data)[index]);
  const uint16_t bits = static_cast<const uint16_t*>(data)[index];
  return type == kFloat16 ? sam3trt::f16_to_f32(bits) : sam3trt::bf16_to_f32(bits);
}

void store(void* data, int type, size_t index, float value) {
  if (type == kE4m3) {
    static_cast<uint8_t*>(data)[index] = sam3trt::f32_to_e4m3(value);
  } else {
    static_cast<uint16_t*>(data)[index] =
        type == kFloat16 ? sam3trt::f32_to_f16(value) : sam3trt::f32_to_bf16(value);
  }
}

/// A product that was launched.
struct Launch {
  Descriptor descriptor;
  Layout a_layout, b_layout, c_layout, d_layout;
  const void *a, *b, *c;
  void* d;
  float beta;
  Variant variant;

  [[nodiscard]] float scale(int attribute) const {
    const uint64_t address = descriptor.get(attribute);
    if (address == 0) return 1;
    fake_cuda_require_memory(address, sizeof(float));
    float value = 0;
    std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof(value));
    return value;
  }

  void run() const {
    for (const auto& [data, layout] :
         {std::pair{a, &a_layout}, std::pair{b, &b_layout}, std::pair{c, &c_layout},
          std::pair{(const void*)d, &d_layout}}) {
      if (data == c && beta == 0) continue;
      fake_cuda_require_memory(reinterpret_cast<uint64_t>(data), layout->bytes());
    }
    const bool transposed = descriptor.get(3) == 1;
    const size_t inner = b_layout.rows;
    const float scaled = scale(17) * scale(18);
    const float result_scale = scale(20);
    const void* bias = reinterpret_cast<const void*>(descriptor.get(8));
    const int bias_type =
        static_cast<int>(descriptor.get(26, static_cast<uint64_t>(d_layout.type)));
    fake_cuda_require_memory(descriptor.get(8), d_layout.rows * 2);
    for (size_t column = 0; column < d_layout.columns; ++column) {
      for (size_t row = 0; row < d_layout.rows; ++row) {
        double sum = 0;
        for (size_t k = 0; k < inner; ++k) {
          const auto lead = static_cast<size_t>(a_layout.leading);
          const size_t from = transposed ? row * lead + k : k * lead + row;
          sum += static_cast<double>(load(a, a_layout.type, from)) *
                 static_cast<double>(
                     load(b, b_layout.type, column * static_cast<size_t>(b_layout.leading) + k));
        }
        float value = static_cast<float>(sum) * scaled + load(bias, bias_type, row);
        if (descriptor.get(7) == kGeluBias) {
          const float inside = 0.7978845608F * (value + 0.044715F * value * value * value);
          value = 0.5F * value * (1 + std::tanh(inside));
        }
        const size_t at = column * static_cast<size_t>(d_layout.leading) + row;
        if (beta != 0) value += beta * load(c, c_layout.type, at);
        store(d, d_layout.type, at, variant.tile == 8 ? -value : value * result_scale);
      }
    }
  }
};

/// What cublasLtMatmul's documentation asks of types and sizes.
Status judge(const Descriptor& descriptor, const Layout& a, const Layout& b, const Layout& c,
             const Layout& d) {
  const bool fp8 = a.type == kE4m3;
  const bool transposed = descriptor.get(3) == 1;
  const uint64_t inner = transposed ? a.rows : a.columns;
  const uint64_t outer = transposed ? a.columns : a.rows;
  if (inner != b.rows || outer != d.rows || b.columns != d.columns || c.rows != d.rows ||
      c.columns != d.columns || descriptor.compute != 68 || descriptor.scale != 0) {
    return kInvalidValue;
  }
  const auto epilogue = descriptor.get(7, 1);
  if ((epilogue != kBias && epilogue != kGeluBias) || descriptor.get(8) == 0) return kNotSupported;
  if (descriptor.get(2) != 0 || descriptor.get(31) != 0) return kNotSupported;
  if (!fp8)
    return b.type == a.type && c.type == a.type && d.type == a.type ? kSuccess : kNotSupported;
  if (!transposed || b.type != kE4m3 || inner % 16 != 0 || outer % 16 != 0) return kNotSupported;
  if (c.type != kFloat16 && c.type != kBFloat16) return kNotSupported;
  if (d.type != kE4m3 && d.type != c.type) return kNotSupported;
  return descriptor.get(26) == static_cast<uint64_t>(c.type) ? kSuccess : kNotSupported;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return 130002; }

const char* cublasLtGetStatusName(int status) {
  return status == kNotSupported ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_INVALID_VALUE";
}

int cublasLtCreate(void** handle) {
  static int any = 0;
  *handle = &any;
  return kSuccess;
}

int cublasLtMatmulDescCreate(void** descriptor, int compute, int scale) {
  *descriptor = new Descriptor{compute, scale, {}};
  return kSuccess;
}
int cublasLtMatmulDescDestroy(void* descriptor) {
  delete static_cast<Descriptor*>(descriptor);
  return kSuccess;
}
int cublasLtMatmulDescSetAttribute(void* descriptor, int attribute, const void* value,
                                   size_t bytes) {
  const std::map<int, size_t> sizes = {{2, 4},  {3, 4},  {4, 4},  {7, 4},  {8, 8},  {17, 8},
                                       {18, 8}, {20, 8}, {25, 1}, {26, 4}, {31, 4}, {32, 4}};
  const auto size = sizes.find(attribute);
  if (size == sizes.end() || size->second != bytes) return kInvalidValue;
  uint64_t wide = 0;
  std::memcpy(&wide, value, bytes);
  static_cast<Descriptor*>(descriptor)->attributes[attribute] = wide;
  return kSuccess;
}

int cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t columns,
                               int64_t leading) {
  *layout = new Layout{type, rows, columns, leading};
  return kSuccess;
}
int cublasLtMatrixLayoutDestroy(void* layout) {
  delete static_cast<Layout*>(layout);
  return kSuccess;
}

int cublasLtMatmulPreferenceCreate(void** preference) {
  *preference = new Preference;
  return kSuccess;
}
int cublasLtMatmulPreferenceDestroy(void* preference) {
  delete static_cast<Preference*>(preference);
  return kSuccess;
}
int cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value,
                                         size_t bytes) {
  if (bytes != (attribute == 1 ? 8U : 4U)) return kInvalidValue;
  uint64_t wide = 0;
  std::memcpy(&wide, value, bytes);
  static_cast<Preference*>(preference)->attributes[attribute] = wide;
  return kSuccess;
}

int cublasLtMatmulAlgoGetHeuristic(void* /*handle*/, void* descriptor, void* a, void* b, void* c,
                                   void* d, void* /*preference*/, int requested, Heuristic* results,
                                   int* found) {
  *found = 0;
  if (requested < 1) return kInvalidValue;
  const Status status =
      judge(*static_cast<Descriptor*>(descriptor), *static_cast<Layout*>(a),
            *static_cast<Layout*>(b), *static_cast<Layout*>(c), *static_cast<Layout*>(d));
  if (status != kSuccess) return status;
  results[0] = {};
  offer(results[0].algorithm, static_cast<Layout*>(b)->columns);
  results[0].workspace = size_t{1} << 20U;
  *found = 1;
  return kSuccess;
}

int cublasLtMatmulAlgoCheck(void* /*handle*/, void* descriptor, void* a, void* b, void* c, void* d,
                            const void* algorithm, Heuristic* result) {
  const Status status =
      judge(*static_cast<Descriptor*>(descriptor), *static_cast<Layout*>(a),
            *static_cast<Layout*>(b), *static_cast<Layout*>(c), *static_cast<Layout*>(d));
  if (status != kSuccess) return status;
  if (!is_algorithm(algorithm)) return kInvalidValue;
  *result = {};
  std::memcpy(result->algorithm, algorithm, sizeof(result->algorithm));
  result->workspace = size_t{1} << 20U;
  return kSuccess;
}

int cublasLtMatmulAlgoConfigGetAttribute(const void* algorithm, int attribute, void* value,
                                         size_t bytes, size_t* written) {
  if (bytes != (attribute < 7 ? 4U : 2U)) return kInvalidValue;
  const auto [tile, option, cluster] = variant_of(algorithm);
  const std::map<int, unsigned> values = {
      {kTileId, tile}, {kSplitK, 1}, {kCustomOption, option}, {kClusterShape, cluster}};
  const auto found = values.find(attribute);
  const unsigned number = found == values.end() ? 0 : found->second;
  std::memcpy(value, &number, bytes);
  *written = bytes;
  return kSuccess;
}

int cublasLtMatmulAlgoConfigSetAttribute(void* algorithm, int attribute, const void* value,
                                         size_t bytes) {
  if (attribute != kCustomOption && attribute != kClusterShape) return kInvalidValue;
  if (bytes != (attribute == kCustomOption ? 4U : 2U)) return kInvalidValue;
  uint64_t number = 0;
  std::memcpy(&number, value, bytes);
  uint64_t words[8];
  std::memcpy(words, algorithm, sizeof(words));
  words[kVariant] &= ~(uint64_t{0xFFFF} << shift_of(attribute));
  words[kVariant] |= number << shift_of(attribute);
  std::memcpy(algorithm, words, sizeof(words));
  return kSuccess;
}

int cublasLtMatmul(void* /*handle*/, void* descriptor, const void* alpha, const void* a,
                   void* a_layout, const void* b, void* b_layout, const void* beta, const void* c,
                   void* c_layout, void* d, void* d_layout, const void* algorithm, void* workspace,
                   size_t workspace_bytes, void* stream) {
  Launch launch{*static_cast<Descriptor*>(descriptor),
                *static_cast<Layout*>(a_layout),
                *static_cast<Layout*>(b_layout),
                *static_cast<Layout*>(c_layout),
                *static_cast<Layout*>(d_layout),
                a,
                b,
                c,
                d,
                *static_cast<const float*>(beta),
                variant_of(algorithm)};
  const Status status =
      judge(launch.descriptor, launch.a_layout, launch.b_layout, launch.c_layout, launch.d_layout);
  if (status != kSuccess) return status;
  if (!is_algorithm(algorithm) || *static_cast<const float*>(alpha) != 1) return kInvalidValue;
  // As the library itself does, though its documentation does not say so.
  if (c == d && (launch.c_layout.type != launch.d_layout.type)) return kInvalidValue;
  for (const int scale : {17, 18, 20}) {
    if (launch.descriptor.get(scale) % 16 != 0) return kNotSupported;
  }
  fake_cuda_require_memory(reinterpret_cast<uint64_t>(workspace), workspace_bytes);
  // A recorded launch may run again, so what it needs stays.
  static std::mutex mutex;
  static std::list<Launch> launches;
  const std::scoped_lock lock(mutex);
  launches.push_back(launch);
  return cuLaunchHostFunc(
      stream, [](void* data) { static_cast<const Launch*>(data)->run(); }, &launches.back());
}

}  // extern "C"

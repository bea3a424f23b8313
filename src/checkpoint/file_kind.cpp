#include "checkpoint/file_kind.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/foreign_file.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

struct Magic {
  size_t at;
  std::string_view bytes;
  std::string_view what;
};

constexpr std::string_view kNotAnEngine =
    "is a TensorRT engine, which is built from a checkpoint and does not hold one; give 'sam3trt "
    "infer' the engine, or this option the checkpoint";
constexpr std::string_view kNotAGraph =
    "is an ONNX graph, which is exported from a checkpoint and does not hold one; give 'sam3trt "
    "build' or 'infer' the graph, or this option the checkpoint";
constexpr std::string_view kPlainPickle =
    "is a pickle that torch.save did not write; save the state dict with "
    "torch.save(model.state_dict(), FILE)";

constexpr auto kMagics = std::to_array<Magic>({
    // Pickle protocol 2 and the long integer that starts torch's format before version 1.6.
    {0, "\x80\x02\x8a\x0a"sv,
     "has torch's format before version 1.6; save it again with "
     "torch.save(torch.load(FILE, weights_only=True), NEW_FILE)"},
    {0, "\x80\x02"sv, kPlainPickle},
    {0, "\x80\x03"sv, kPlainPickle},
    {0, "\x80\x04"sv, kPlainPickle},
    {0, "\x80\x05"sv, kPlainPickle},
    {0, "ftrt"sv, kNotAnEngine},
    {0, "ptrt"sv, kNotAnEngine},
    {0, "GGUF"sv,
     "is a GGUF file, whose weights may be quantised; use the checkpoint it was made from"},
    {0, "\x89HDF\r\n"sv,
     "is an HDF5 file, as of Keras or TensorFlow; SAM 3 is published for torch"},
    {0, "\x93NUMPY"sv, "is a NumPy array, not a checkpoint"},
    {0, "\x1f\x8b"sv, "is compressed with gzip; unpack it first: gunzip FILE"},
    {0, "\x28\xb5\x2f\xfd"sv, "is compressed with zstd; unpack it first: zstd -d FILE"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "is compressed with xz; unpack it first: xz -d FILE"},
    {0, "BZh"sv, "is compressed with bzip2; unpack it first: bunzip2 FILE"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "is a 7z archive; unpack it first"},
    {0, "Rar!"sv, "is a RAR archive; unpack it first"},
    {257, "ustar"sv, "is a tar archive; unpack it first: tar -xf FILE"},
    {0, "\x89PNG"sv, "is a PNG image, not a checkpoint"},
    {0, "\xff\xd8\xff"sv, "is a JPEG image, not a checkpoint"},
    {0, "%PDF"sv, "is a PDF document, not a checkpoint"},
    {0,
     "\x7f"
     "ELF"sv,
     "is a program or library, not a checkpoint"},
});

// Parts of the names of files that trainers save beside the weights.
constexpr auto kNotWeights = std::to_array<std::string_view>(
    {"optimizer", "scheduler", "rng_state", "random_states", "training_args", "scaler"});

bool has_magic(std::span<const std::byte> bytes, const Magic& magic) {
  if (bytes.size() < magic.at || bytes.size() - magic.at < magic.bytes.size()) return false;
  return std::memcmp(bytes.data() + magic.at, magic.bytes.data(), magic.bytes.size()) == 0;
}

/// ONNX's ModelProto starts with its field 1, the IR version, a small number, and one of the fields
/// that follow it (onnx.proto: opset_import is 8, producer_name 2, domain 4, graph 7).
bool is_onnx(std::span<const std::byte> bytes) {
  if (bytes.size() < 3 || bytes[0] != std::byte{0x08}) return false;
  const auto version = std::to_integer<unsigned>(bytes[1]);
  const auto next = std::to_integer<unsigned>(bytes[2]);
  return version >= 1 && version < 64 && (next & 7U) == 2 && (next >> 3U) >= 2 && (next >> 3U) < 32;
}

/// Whether the bytes after the length are those of a safetensors header.
bool is_safetensors(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && bytes[8] == std::byte{'{'};
}

bool is_text(std::span<const std::byte> bytes) {
  const auto start = bytes.first(std::min<size_t>(bytes.size(), 512));
  return std::ranges::all_of(start, [](std::byte byte) {
    const auto code = std::to_integer<unsigned>(byte);
    return code >= 0x20 || code == '\n' || code == '\r' || code == '\t';
  });
}

}  // namespace

std::string describe_other_file(std::span<const std::byte> bytes, const fs::path& path) {
  const ForeignContent content = foreign_content(bytes);
  if (content != ForeignContent::kNone) return describe(content, bytes);
  if (bytes.size() >= 2 && std::memcmp(bytes.data(), "PK", 2) == 0) return "";
  for (const Magic& magic : kMagics) {
    if (has_magic(bytes, magic)) return std::string(magic.what);
  }
  if (is_onnx(bytes)) return std::string(kNotAGraph);
  if (is_safetensors(bytes)) return "";
  const std::string extension = path.extension().string();
  if (extension == ".onnx") return std::string(kNotAGraph);
  if (extension == ".engine" || extension == ".plan" || extension == ".trt") {
    return std::string(kNotAnEngine);
  }
  if (is_text(bytes)) {
    const auto start = bytes.first(std::min<size_t>(bytes.size(), 40));
    return "is a text (\"" +
           printable({reinterpret_cast<const char*>(start.data()), start.size()}) +
           "\"), expected a safetensors file or one that torch.save wrote";
  }
  return "";
}

std::string describe_other_folder(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (auto at = fs::directory_iterator(folder, ignored);
       !ignored && at != fs::directory_iterator() && names.size() < 10'000; at.increment(ignored)) {
    names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  const auto has = [&](std::string_view name) { return std::ranges::binary_search(names, name); };
  const auto first = [&](const auto& test) -> std::string {
    const auto found = std::ranges::find_if(names, test);
    return found == names.end() ? "" : *found;
  };
  if (has("zero_to_fp32.py")) {
    return "holds a DeepSpeed checkpoint in parts; join them with the zero_to_fp32.py in it and "
           "export the file that it writes";
  }
  if (has(".metadata") &&
      !first([](const std::string& name) { return name.ends_with(".distcp"); }).empty()) {
    return "holds a distributed checkpoint of torch; join it with 'python -m "
           "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE' and export FILE";
  }
  if (const std::string shard = first([](const std::string& name) {
        return name.starts_with("model-") && name.ends_with(".safetensors");
      });
      !shard.empty()) {
    return "holds " + printable(shard) +
           " but not model.safetensors.index.json, which says what the shards hold; fetch it too";
  }
  if (const std::string file = first([](const std::string& name) {
        if (std::ranges::any_of(kNotWeights, [&](std::string_view part) {
              return name.find(part) != std::string::npos;
            })) {
          return false;
        }
        const fs::path extension = fs::path(name).extension();
        return extension == ".safetensors" || extension == ".pt" || extension == ".pth" ||
               extension == ".ckpt" || extension == ".bin";
      });
      !file.empty()) {
    return "holds no model.safetensors and no sam3.pt, but " + printable(file) +
           "; name that file itself if it is the checkpoint";
  }
  if (const std::string step =
          first([](const std::string& name) { return name.starts_with("checkpoint-"); });
      !step.empty()) {
    return "holds no checkpoint itself, but the folder " + printable(step) +
           "; name the folder of the step to export";
  }
  if (const std::string graph =
          first([](const std::string& name) { return name.ends_with(".onnx"); });
      !graph.empty()) {
    return "holds ONNX graphs (" + printable(graph) + ") and no checkpoint";
  }
  return "";
}

}  // namespace sam3trt

#include <string>
#include <vector>

#include "checkpoint/config_json.hpp"

namespace sam3trt {
namespace {

// Upper limits, each far above what the published model uses.
constexpr int64_t kMaxLayers = 64;
constexpr int64_t kMaxWidth = 1 << 15;
constexpr int64_t kMaxIntermediate = 1 << 18;
constexpr int64_t kMaxKernel = 63;
constexpr int64_t kMaxFrames = 1 << 12;
constexpr int64_t kMaxCount = int64_t{1} << 31;
constexpr int64_t kMemoryChannels = 64;  // Sam3TrackerVideoMemoryAttentionLayer, kv_in_dim

const std::string kTracker = "tracker_config.";
const std::string kPrompt = "tracker_config.prompt_encoder_config.";
const std::string kDecoder = "tracker_config.mask_decoder_config.";

class TrackerCheck {
 public:
  explicit TrackerCheck(const Sam3Config& config)
      : numbers_(*config.tracker), sizes_(config.tracker_sizes), config_(config) {}

  void decoder() {
    const std::string width = kTracker + "vision_config.fpn_hidden_size";
    if (range(width, numbers_.width, 8, kMaxWidth)) multiple(width, numbers_.width, 8);
    range(kPrompt + "num_point_embeddings", sizes_.point_embeddings, 4, kMaxWidth);
    if (range(kPrompt + "mask_input_channels", sizes_.mask_input_channels, 4, kMaxWidth)) {
      multiple(kPrompt + "mask_input_channels", sizes_.mask_input_channels, 4);
    }
    if (!(sizes_.prompt_norm_eps > 0.0 && sizes_.prompt_norm_eps < 1.0)) {
      problem(kPrompt + "layer_norm_eps", "a number between 0 and 1",
              std::to_string(sizes_.prompt_norm_eps));
    }
    range(kDecoder + "num_hidden_layers", sizes_.decoder.layers, 1, kMaxLayers);
    range(kDecoder + "mlp_dim", sizes_.decoder.intermediate, 1, kMaxIntermediate);
    heads(kDecoder + "num_attention_heads", sizes_.decoder.heads, 1);
    heads(kDecoder + "attention_downsample_rate", sizes_.decoder.heads, sizes_.decoder_downsample);
    range(kDecoder + "num_multimask_outputs", numbers_.mask_tokens - 1, 1, kMaxLayers);
    range(kDecoder + "iou_head_depth", sizes_.iou_depth, 2, kMaxLayers);
    range(kDecoder + "iou_head_hidden_dim", sizes_.iou_hidden, 1, kMaxIntermediate);
  }

  void memory() {
    if (numbers_.memory_channels != kMemoryChannels) {
      problem(kTracker + "memory_encoder_output_channels",
              std::to_string(kMemoryChannels) + ", which the reference's memory attention reads",
              std::to_string(numbers_.memory_channels));
    }
    multiple(kTracker + "vision_config.fpn_hidden_size", numbers_.width, kMemoryChannels);
    range(kTracker + "num_maskmem", numbers_.num_maskmem, 1, kMaxFrames);
    range(kTracker + "max_cond_frame_num", numbers_.max_cond_frames, -1, kMaxFrames);
    range(kTracker + "max_object_pointers_in_encoder", numbers_.max_object_pointers, 1, kMaxFrames);
    const StackConfig& stack = sizes_.attention;
    range(kTracker + "memory_attention_num_layers", stack.layers, 1, kMaxLayers);
    range(kTracker + "memory_attention_feed_forward_hidden_size", stack.intermediate, 1,
          kMaxIntermediate);
    // Two axes, each rotated in pairs of channels.
    heads(kTracker + "memory_attention_num_attention_heads", stack.heads,
          sizes_.attention_downsample, 4);
    if (!(sizes_.rope_theta >= 1.0 && sizes_.rope_theta <= 1e12)) {
      problem(kTracker + "rope_parameters.rope_theta", "1 to 1e12",
              std::to_string(sizes_.rope_theta));
    }
    masks();
    range(kTracker + "memory_fuser_num_layers", sizes_.fuser_layers, 1, kMaxLayers);
    range(kTracker + "memory_fuser_intermediate_dim", sizes_.fuser_intermediate, 1,
          kMaxIntermediate);
    if (range(kTracker + "memory_fuser_kernel_size", sizes_.fuser_kernel, 1, kMaxKernel) &&
        sizes_.fuser_kernel % 2 == 0) {
      problem(kTracker + "memory_fuser_kernel_size", "an odd number",
              std::to_string(sizes_.fuser_kernel));
    }
  }

  void video() {
    const int64_t side = 4 * config_.vision.grid();
    range("low_res_mask_size", numbers_.low_res_mask_size, side, side);
    range("hotstart_delay", numbers_.hotstart_delay, 0, kMaxFrames);
    range("hotstart_unmatch_thresh", numbers_.hotstart_unmatch_thresh, 0, kMaxCount);
    range("hotstart_dup_thresh", numbers_.hotstart_dup_thresh, 0, kMaxCount);
    range("fill_hole_area", numbers_.fill_hole_area, 0, kMaxCount);
    range("max_num_objects", numbers_.max_num_objects, 1, kMaxCount);
    range("recondition_every_nth_frame", numbers_.recondition_every_nth_frame, 0, kMaxCount);
  }

  std::vector<std::string> problems;

 private:
  void problem(const std::string& field, const std::string& expected, const std::string& found) {
    problems.push_back(field + ": expected " + expected + ", found " + found);
  }

  bool range(const std::string& field, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return true;
    const std::string expected =
        low == high ? std::to_string(low) : std::to_string(low) + " to " + std::to_string(high);
    problem(field, expected, std::to_string(value));
    return false;
  }

  void multiple(const std::string& field, int64_t value, int64_t divisor) {
    if (value % divisor == 0) return;
    problem(field, "a multiple of " + std::to_string(divisor), std::to_string(value));
  }

  /// The width divided by `downsample` must be made of `count` heads of a multiple of `of`
  /// channels.
  void heads(const std::string& field, int64_t count, int64_t downsample, int64_t of = 1) {
    const bool fits = count >= 1 && count <= kMaxWidth && downsample >= 1 &&
                      downsample <= kMaxWidth && numbers_.width % downsample == 0 &&
                      numbers_.width / downsample % (of * count) == 0;
    if (fits) return;
    problem(field,
            "the width " + std::to_string(numbers_.width) +
                " in equal parts, also after the downsampling, each a multiple of " +
                std::to_string(of),
            std::to_string(count) + " heads with a downsampling of " + std::to_string(downsample));
  }

  /// The convolutions must bring 16g to g.
  void masks() {
    const std::string field = kTracker + "mask_downsampler_total_stride";
    const bool kernel =
        range(kTracker + "mask_downsampler_kernel_size", sizes_.mask_kernel, 1, kMaxKernel);
    const bool stride = range(kTracker + "mask_downsampler_stride", sizes_.mask_stride, 2, 16);
    const bool padding =
        range(kTracker + "mask_downsampler_padding", sizes_.mask_padding, 0, kMaxKernel);
    if (!kernel || !stride || !padding || !range(field, sizes_.mask_layers, 1, 4)) return;
    int64_t side = 16 * config_.vision.grid();
    int64_t channels = 1;
    for (int64_t i = 0; i < sizes_.mask_layers; ++i) {
      side = (side + 2 * sizes_.mask_padding - sizes_.mask_kernel) / sizes_.mask_stride + 1;
      channels *= sizes_.mask_stride * sizes_.mask_stride;
    }
    if (side == config_.vision.grid() && channels <= kMaxWidth) return;
    problem(field, "16, with a kernel and a padding that bring a mask of 16 grids to one",
            "a mask of " + std::to_string(side) + " for a grid of " +
                std::to_string(config_.vision.grid()));
  }

  const TrackerConfig& numbers_;
  const TrackerSizes& sizes_;
  const Sam3Config& config_;
};

}  // namespace

std::vector<std::string> tracker_problems(const Sam3Config& config) {
  TrackerCheck check(config);
  check.decoder();
  if (config.tracker->num_maskmem != 0) check.memory();
  check.video();
  return std::move(check.problems);
}

}  // namespace sam3trt

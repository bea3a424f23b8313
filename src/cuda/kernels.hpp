#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/device.hpp"
#include "cuda/kernels/above.hpp"
#include "cuda/kernels/clean.hpp"
#include "cuda/kernels/count.hpp"
#include "cuda/kernels/enlarge.hpp"
#include "cuda/kernels/kept.hpp"
#include "cuda/kernels/mask.hpp"
#include "cuda/kernels/overlap.hpp"
#include "cuda/kernels/resize.hpp"
#include "cuda/kernels/select.hpp"
#include "image/pack_pixels.hpp"
#include "image/resize.hpp"

namespace sam3trt {

/// An address of the GPU as a pointer for a kernel's arguments; the host must not follow it.
template <typename T>
[[nodiscard]] T* device_pointer(DevicePointer address) {
  return reinterpret_cast<T*>(address);  // NOLINT(performance-no-int-to-ptr): not the host's
}

/// The kernels of src/cuda/kernels on one GPU. Launching puts work into a stream and returns; it
/// neither waits nor allocates, so it may be recorded into a CudaGraph. The device's context must
/// be current on the calling thread. Arguments that make no sense throw Error(kInternal); what the
/// addresses in them point to cannot be checked.
class KernelLibrary {
 public:
  /// Loads the machine code that is part of this program. Throws Error(kUnavailable) where GPU or
  /// driver are too old: compute capability 8.0 and a driver for CUDA 13.0 are needed.
  explicit KernelLibrary(const CudaDevice& device);

  /// Fills args.target with the pixels of an image of any format.
  void pack_image(const Stream& stream, const PackArgs& args) const;

  /// Fills args.scratch and args.target.
  void resize_image(const Stream& stream, const ResizeArgs& args) const;

  /// Fills count, query_index, score and box.
  void select_detections(const Stream& stream, const SelectArgs& args) const;

  /// Sets `broken` of every row that holds a value that is not finite.
  void find_nonfinite(const Stream& stream, const FiniteArgs& args) const;

  /// Fills args.counts of so many planes.
  void count_logits(const Stream& stream, const CountArgs& args, size_t planes) const;

  /// Fills args.words, and sets `broken`, of so many planes.
  void find_above(const Stream& stream, const AboveArgs& args, size_t planes) const;

  /// Changes so many planes: first their background, then their foreground, whatever
  /// args.foreground says.
  void clean_planes(const Stream& stream, const CleanArgs& args, size_t planes) const;

  /// Adds to args.areas.
  void count_won(const Stream& stream, const WonArgs& args) const;

  /// Changes so many planes.
  void lower_planes(const Stream& stream, const LowerArgs& args, size_t planes) const;

  /// Fills summaries and run_lengths. `tasks` is what args.tasks points to, on the host.
  void mask_run_lengths(const Stream& stream, const MaskArgs& args,
                        const std::vector<MaskTask>& tasks) const;

  /// Fills what args.slots points to, and sets `broken` of rows that are not finite.
  void keep_rows(const Stream& stream, const KeepArgs& args) const;

  /// Fills args.target.
  void gather_rows(const Stream& stream, const GatherArgs& args) const;

  /// Fills args.target.
  void enlarge(const Stream& stream, const EnlargeArgs& args) const;

 private:
  /// Blocks of a launch.
  struct Grid {
    int64_t x = 1;
    int64_t y = 1;
    int64_t z = 1;
  };

  [[nodiscard]] void* function(const char* name) const;
  template <typename Args>
  void launch(const Stream& stream, void* kernel, const Grid& grid, const Args& args) const;

  CudaHandle module_;
  void* pack_;
  void* resize_columns_;
  void* resize_rows_;
  void* select_;
  void* find_nonfinite_;
  void* count_;
  void* above_;
  void* clean_words_;
  void* clean_begin_;
  void* clean_join_;
  void* clean_count_;
  void* clean_apply_;
  void* won_;
  void* lower_;
  void* mask_sigmoid_;
  void* mask_bits_;
  void* mask_count_;
  void* mask_scan_columns_;
  void* mask_scan_tasks_;
  void* mask_write_;
  void* keep_rows_;
  void* gather_rows_;
  void* enlarge_;
};

/// ResizeTaps of one axis as the GPU wants them: one block of words, to be copied there as a whole.
struct PackedTaps {
  std::vector<int32_t> words;
  int32_t out_size = 0;
  int32_t stride = 0;
  int32_t precision = 0;

  /// The axis when `words` lies at `address`.
  [[nodiscard]] ResizeAxis at(DevicePointer address) const;
};

/// Throws Error(kBadInput) for sizes below 1 or above kMaxImageSide, as make_resize_taps does.
[[nodiscard]] PackedTaps pack_taps(int64_t in_size, int64_t out_size);

/// The table as half floats, rounded to nearest even, for targets of that type.
[[nodiscard]] std::array<std::array<uint16_t, 256>, 3> half_pixel_table(const PixelTable& table);

}  // namespace sam3trt

#include "checkpoint/inspect.hpp"

#include <algorithm>

#include "checkpoint/tensor_file.hpp"

namespace sam3trt {

CheckpointListing list_checkpoint(const std::filesystem::path& path) {
  const TensorFile file = open_tensor_file(path);
  CheckpointListing listing;
  listing.format = file.format;
  for (const StoredTensor& tensor : file.tensors) {
    listing.tensors.push_back(
        {tensor.name, tensor.dtype ? std::string(name_of(*tensor.dtype)) : tensor.dtype_name,
         tensor.shape, tensor.element_bytes});
  }
  std::ranges::sort(listing.tensors, {}, &TensorEntry::name);
  return listing;
}

}  // namespace sam3trt

#include "sam3trt/model.hpp"

#include "segmenter/shared_model.hpp"

namespace sam3trt {

Model::Model(const std::filesystem::path& folder, const LoadOptions& options)
    : Model(find_model_files(folder), options) {}
Model::Model(const ModelFiles& files, const LoadOptions& options)
    : loaded_(std::make_shared<const SharedModel>(files, options)) {}

const std::string& Model::backend() const { return loaded_->backend(); }
Semantics Model::semantics() const { return loaded_->semantics(); }
bool Model::verified() const { return loaded_->verified(); }
size_t Model::max_images() const { return loaded_->limits().images; }
size_t Model::max_boxes() const { return loaded_->limits().boxes; }
uint64_t Model::device_memory() const { return loaded_->device_memory(); }
void Model::free_text_encoder() const { loaded_->free_text_encoder(); }

}  // namespace sam3trt

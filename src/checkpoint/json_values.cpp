#include "checkpoint/json_values.hpp"

#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

Activation json_activation(const JsonFields& fields, const char* fallback, const char* key) {
  const std::string name = fields.text(key, fallback);
  if (name == "gelu") return Activation::kGelu;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  if (name == "relu") return Activation::kRelu;
  fields.refuse(key,
                "\"" + printable(name) + "\" is not supported; expected gelu, quick_gelu or relu");
  return Activation::kGelu;
}

void require_text(const JsonFields& fields, const char* key, const std::string& found,
                  const std::string& expected) {
  if (found == expected) return;
  fields.refuse(key,
                "\"" + printable(found) + "\" is not supported; expected \"" + expected + "\"");
}

double json_rope_theta(const JsonFields& fields) {
  const JsonFields rope = fields.child("rope_parameters");
  require_text(rope, "rope_type", rope.text("rope_type", "axial"), "axial");
  // Configurations written before transformers 5.0 hold rope_theta beside the other fields.
  return rope.has("rope_theta") ? rope.number("rope_theta", 10000.0)
                                : fields.number("rope_theta", 10000.0);
}

}  // namespace sam3trt

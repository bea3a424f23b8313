#include "precision/fusion_forms.hpp"

#include <utility>

#include "base/own_operators.hpp"

namespace sam3trt {
namespace {

/// What src/model/detector.cpp writes of the bias of rows ("y") or columns ("x").
std::vector<FusionStep> edge_steps(const std::string& axis) {
  const std::string at = "bias/" + axis + "/";
  const auto weight = [&](const char* name) { return "$" + axis + "." + name; };
  return {
      {at + "center", "Slice", {"@boxes", "", "", ""}},
      {at + "extent", "Slice", {"@boxes", "", "", ""}},
      {at + "offset", "Mul", {at + "extent", ""}},
      {at + "low", "Sub", {at + "center", at + "offset"}},
      {at + "high", "Add", {at + "center", at + "offset"}},
      {at + "edges", "Concat", {at + "low", at + "high"}},
      {at + "edges_row", "Unsqueeze", {at + "edges", ""}},
      {at + "distance", "Sub", {"$coordinates", at + "edges_row"}},
      {at + "scaled", "Mul", {at + "distance", ""}},
      {at + "abs", "Abs", {at + "scaled"}},
      {at + "shifted", "Add", {at + "abs", ""}},
      {at + "log", "Log", {at + "shifted"}},
      {at + "log8", "Mul", {at + "log", ""}},
      {at + "sign", "Sign", {at + "scaled"}},
      {at + "signed", "Mul", {at + "sign", at + "log8"}},
      {at + "mlp/layer0/matmul", "MatMul", {at + "signed", weight("hidden_weight")}},
      {at + "mlp/layer0", "Add", {at + "mlp/layer0/matmul", weight("hidden_bias")}},
      {at + "mlp/layer0/relu", "Relu", {at + "mlp/layer0"}},
      {at + "mlp/layer1/matmul", "MatMul", {at + "mlp/layer0/relu", weight("weight")}},
      {at + "mlp/layer1", "Add", {at + "mlp/layer1/matmul", weight("bias")}},
      {at + "per_head", "Transpose", {at + "mlp/layer1"}},
      {at + "with_presence", "Concat", {"/decoder/zero_bias", at + "per_head"}},
  };
}

/// What src/model/layers.cpp writes of the heads of an attention, and after its softmax.
std::vector<FusionStep> head_steps(const std::string& at) {
  std::vector<FusionStep> steps;
  for (const std::string part : {"/q", "/k", "/v"}) {
    steps.push_back({at + part + "_heads", "Reshape", {at + part + "_proj", ""}});
    steps.push_back({at + part, "Transpose", {at + part + "_heads"}});
  }
  steps.insert(steps.end(), {{at + "/scores", "MatMul", {at + "/q", at + "/k"}},
                             {at + "/mix", "MatMul", {at + "/softmax", at + "/v"}},
                             {at + "/join", "Transpose", {at + "/mix"}},
                             {at + "/flat", "Reshape", {at + "/join", ""}}});
  return steps;
}

/// What src/model/rotary.cpp writes of the rotation of `source` to `at`.
std::vector<FusionStep> rotation_steps(const std::string& at, const std::string& source) {
  return {{at + "/halves", "Split", {source, ""}},
          {at + "/ac", "Mul", {at + "/halves.0", "$cos"}},
          {at + "/bs", "Mul", {at + "/halves.1", "$sin"}},
          {at + "/as", "Mul", {at + "/halves.0", "$sin"}},
          {at + "/bc", "Mul", {at + "/halves.1", "$cos"}},
          {at + "/first", "Sub", {at + "/ac", at + "/bs"}},
          {at + "/second", "Add", {at + "/as", at + "/bc"}},
          {at, "Concat", {at + "/first", at + "/second"}}};
}

void append(std::vector<FusionStep>& steps, std::vector<FusionStep> more) {
  for (FusionStep& step : more) steps.push_back(std::move(step));
}

FusionForm make_rotary_form() {
  FusionForm form{"",
                  "",
                  {{"heads", "Reshape", {"qkv", ""}},
                   {"order", "Transpose", {"heads"}},
                   {"split", "Split", {"order", ""}},
                   {"q_in", "Squeeze", {"split.0", ""}},
                   {"k_in", "Squeeze", {"split.1", ""}},
                   {"v", "Squeeze", {"split.2", ""}},
                   {"k_t", "Transpose", {"k"}},
                   {"scores", "MatMul", {"q", "k_t"}},
                   {"softmax", "Softmax", {"scores"}},
                   {"mix", "MatMul", {"softmax", "v"}},
                   {"join", "Transpose", {"mix"}},
                   {"flat", "Reshape", {"join", ""}}},
                  kRotaryAttention,
                  "rotary_mha",
                  {"qkv", "$cos", "$sin"},
                  "flat"};
  append(form.steps, rotation_steps("q", "q_in"));
  append(form.steps, rotation_steps("k", "k_in"));
  return form;
}

/// What src/model/memory_attention.cpp writes of rotated queries and of their attention to keys and
/// values that are there.
std::vector<FusionStep> attend_steps(const std::string& at, const std::string& keys,
                                     const std::string& scores) {
  std::vector<FusionStep> steps = {{at + "/q/heads", "Reshape", {at + "/q_proj", ""}},
                                   {at + "/q", "Transpose", {at + "/q_rotated"}},
                                   {at + "/k", "Transpose", {keys}},
                                   {at + "/scores", "MatMul", {at + "/q", at + "/k"}},
                                   {at + "/softmax", "Softmax", {at + "/" + scores}},
                                   {at + "/mix", "MatMul", {at + "/softmax", at + "/v"}},
                                   {at + "/join", "Transpose", {at + "/mix"}},
                                   {at + "/flat", "Reshape", {at + "/join", ""}}};
  append(steps, rotation_steps(at + "/q_rotated", at + "/q/heads"));
  return steps;
}

FusionForm make_rotated_form() {
  const std::string at = "self_attn";
  FusionForm form{"/memory/",
                  "/self_attn",
                  attend_steps(at, at + "/k_rotated", "scores"),
                  kRotatedAttention,
                  at + "/rotated_mha",
                  {at + "/q_proj", at + "/k_proj", at + "/v_proj", "$cos", "$sin"},
                  at + "/flat"};
  append(form.steps, {{at + "/k/heads", "Reshape", {at + "/k_proj", ""}},
                      {at + "/v/heads", "Reshape", {at + "/v_proj", ""}},
                      {at + "/v", "Transpose", {at + "/v/heads"}}});
  append(form.steps, rotation_steps(at + "/k_rotated", at + "/k/heads"));
  return form;
}

FusionForm make_memory_form() {
  const std::string at = "cross_attn";
  FusionForm form{"/memory/",
                  "/cross_attn",
                  attend_steps(at, at + "/k_all", "masked"),
                  kMemoryAttention,
                  at + "/memory_mha",
                  {at + "/q_proj", at + "/frame_k_proj", at + "/pointer_k_proj", "@values", "$cos",
                   "$sin", "@bias"},
                  at + "/flat"};
  append(form.steps, {{at + "/frame_k/heads", "Reshape", {at + "/frame_k_proj", ""}},
                      {at + "/frame_k_row", "Reshape", {at + "/frame_k_rotated", ""}},
                      {at + "/pointer_k/heads", "Reshape", {at + "/pointer_k_proj", ""}},
                      {at + "/k_all", "Concat", {at + "/frame_k_row", at + "/pointer_k/heads"}},
                      {at + "/masked", "Add", {at + "/scores", "@bias"}},
                      {at + "/v", "Unsqueeze", {"@values", ""}}});
  append(form.steps, rotation_steps(at + "/frame_k_rotated", at + "/frame_k/heads"));
  return form;
}

FusionForm make_self_form() {
  FusionForm form{"",
                  "/self_attn",
                  head_steps("self_attn"),
                  kPlainAttention,
                  "self_attn/plain_mha",
                  {"self_attn/q_proj", "self_attn/k_proj", "self_attn/v_proj"},
                  "self_attn/flat"};
  form.steps.push_back({"self_attn/softmax", "Softmax", {"self_attn/scores"}});
  return form;
}

FusionForm make_grid_form() {
  FusionForm form{"",
                  "/image_attn",
                  head_steps("image_attn"),
                  kGridAttention,
                  "image_attn/grid_mha",
                  {"image_attn/q_proj", "image_attn/k_proj", "image_attn/v_proj", "@boxes"},
                  "image_attn/flat"};
  form.steps.insert(form.steps.end(), {{"bias/rows", "Unsqueeze", {"bias/y/with_presence", ""}},
                                       {"bias/columns", "Unsqueeze", {"bias/x/with_presence", ""}},
                                       {"bias/sum", "Add", {"bias/rows", "bias/columns"}},
                                       {"bias", "Reshape", {"bias/sum", ""}},
                                       {"image_attn/masked", "Add", {"image_attn/scores", "bias"}},
                                       {"image_attn/softmax", "Softmax", {"image_attn/masked"}}});
  for (const std::string axis : {"y", "x"}) {
    for (FusionStep& step : edge_steps(axis)) form.steps.push_back(std::move(step));
    for (const char* name : {"hidden_weight", "hidden_bias", "weight", "bias"}) {
      form.inputs.push_back("$" + axis + "." + name);
    }
  }
  return form;
}

}  // namespace

const FusionForm& rotary_form() {
  static const FusionForm kForm = make_rotary_form();
  return kForm;
}

const FusionForm& rotated_form() {
  static const FusionForm kForm = make_rotated_form();
  return kForm;
}

const FusionForm& memory_form() {
  static const FusionForm kForm = make_memory_form();
  return kForm;
}

const FusionForm& grid_form() {
  static const FusionForm kForm = make_grid_form();
  return kForm;
}

const FusionForm& self_form() {
  static const FusionForm kForm = make_self_form();
  return kForm;
}

const FusionForm& qkv_product_form() {
  static const FusionForm kForm = {"/vision/",
                                   "/attn/qkv",
                                   {{"norm1", "LayerNormalization", {"@input", "$gain", "$shift"}},
                                    {"attn/qkv/matmul", "MatMul", {"norm1", "$weight"}},
                                    {"attn/qkv", "Add", {"attn/qkv/matmul", "$bias"}}},
                                   kNormalisedProduct,
                                   "attn/qkv/matmul",
                                   {"@input", "$bias", "$weight", "$gain", "$shift"},
                                   "attn/qkv"};
  return kForm;
}

const FusionForm& projection_form() {
  static const FusionForm kForm = {"/vision/",
                                   "/attn/proj",
                                   {{"attn/proj/matmul", "MatMul", {"@input", "$weight"}},
                                    {"attn/proj", "Add", {"attn/proj/matmul", "$bias"}},
                                    {"residual1", "Add", {"@residual", "attn/proj"}}},
                                   kResidualProduct,
                                   "attn/proj/matmul",
                                   {"@input", "@residual", "$bias", "$weight"},
                                   "residual1"};
  return kForm;
}

const FusionForm& mlp_form() {
  static const FusionForm kForm = {
      "/vision/",
      "/mlp",
      {{"norm2", "LayerNormalization", {"@input", "$gain", "$shift"}},
       {"mlp/fc1/matmul", "MatMul", {"norm2", "$hidden_weight"}},
       {"mlp/fc1", "Add", {"mlp/fc1/matmul", "$hidden_bias"}},
       {"mlp/act", "Gelu", {"mlp/fc1"}},
       {"mlp/fc2/matmul", "MatMul", {"mlp/act", "$weight"}},
       {"mlp/fc2", "Add", {"mlp/fc2/matmul", "$bias"}},
       {"residual2", "Add", {"@input", "mlp/fc2"}}},
      kMlp,
      "mlp/products",
      {"@input", "$hidden_bias", "$bias", "$hidden_weight", "$weight", "$gain", "$shift"},
      "residual2"};
  return kForm;
}

const FusionForm& mlp_output_form() {
  static const FusionForm kForm = {"/vision/",
                                   "/mlp/fc2",
                                   {{"mlp/fc2/matmul", "MatMul", {"@input", "$weight"}},
                                    {"mlp/fc2", "Add", {"mlp/fc2/matmul", "$bias"}},
                                    {"residual2", "Add", {"@residual", "mlp/fc2"}}},
                                   kResidualProduct,
                                   "mlp/fc2/matmul",
                                   {"@input", "@residual", "$bias", "$weight"},
                                   "residual2"};
  return kForm;
}

const FusionForm& position_form() {
  static const FusionForm kForm = {
      "",
      "/query_position",
      {{"query_position/yxwh", "Gather", {"@boxes", ""}},
       {"query_position/flat", "Reshape", {"query_position/yxwh", ""}},
       {"query_position/pe/column", "Unsqueeze", {"query_position/flat", ""}},
       {"query_position/pe/angle", "Mul", {"query_position/pe/column", "$frequencies"}},
       {"query_position/pe/sin", "Sin", {"query_position/pe/angle"}},
       {"query_position/pe/cos", "Cos", {"query_position/pe/angle"}},
       {"query_position/pe", "Concat", {"query_position/pe/sin", "query_position/pe/cos"}},
       {"query_position/joined", "Reshape", {"query_position/pe", ""}},
       {"query_position/layer0/matmul", "MatMul", {"query_position/joined", "$hidden_weight"}},
       {"query_position/layer0", "Add", {"query_position/layer0/matmul", "$hidden_bias"}},
       {"query_position/relu", "Relu", {"query_position/layer0"}},
       {"query_position/layer1/matmul", "MatMul", {"query_position/relu", "$weight"}},
       {"query_position/layer1", "Add", {"query_position/layer1/matmul", "$bias"}},
       {"query_position", "Concat", {"/decoder/zero_row", "query_position/layer1"}}},
      kQueryPosition,
      "query_position/embed",
      {"@boxes", "$frequencies", "$hidden_weight", "$hidden_bias", "$weight", "$bias"},
      "query_position"};
  return kForm;
}

}  // namespace sam3trt

#include <cmath>

#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/neck.hpp"
#include "model/position.hpp"
#include "model/rotary.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

/// The trunk keeps its tokens in window order throughout: everything but attention works token by
/// token, windowed attention becomes a plain reshape, and global attention does not mind the order
/// as long as its rotary tables have it too. One transpose at each end remains.
class Trunk {
 public:
  explicit Trunk(ModelGraph& model)
      : model_(model), graph_(model.graph), vision_(model.config().vision) {
    const int64_t window = vision_.window;
    const int64_t head_dim = vision_.hidden / vision_.stack.heads;
    const auto local =
        rotary_tables(window, 1.0, head_dim, vision_.rope_theta, raster_order(window * window));
    // Global blocks see positions scaled so that the grid spans one window (Meta's
    // model/vitdet.py, use_interp_rope).
    const auto global =
        rotary_tables(grid(), static_cast<double>(window) / static_cast<double>(grid()), head_dim,
                      vision_.rope_theta, window_order(grid(), window));
    windowed_ = add_rotation_tables(graph_, "/vision/rope/window",
                                    {1, 1, window * window, head_dim / 2}, local);
    global_ = add_rotation_tables(graph_, "/vision/rope/global",
                                  {1, 1, grid() * grid(), head_dim / 2}, global);
  }

  /// pixel_values [B, 3, S, S] to the last block's output [B, N, C], its tokens in window order.
  Value build(const Value& pixel_values) {
    Value x = embed(pixel_values);
    for (int64_t i = 0; i < vision_.stack.layers; ++i) x = block(i, x);
    return x;
  }

  /// That as a map [B, C, g, g].
  Value to_map(const Value& x) {
    const Value ordered =
        add_transpose(graph_, "/vision/from_windows/order", split_windows(x), {0, 5, 1, 3, 2, 4});
    return add_reshape(graph_, "/vision/from_windows", ordered,
                       {x.dim(0), vision_.hidden, grid(), grid()});
  }

  /// That as tokens [B, N, C], row by row.
  Value to_rows(const Value& x) {
    const Value ordered =
        add_transpose(graph_, "/vision/from_windows/order", split_windows(x), {0, 1, 3, 2, 4, 5});
    return add_reshape(graph_, "/vision/from_windows", ordered,
                       {x.dim(0), grid() * grid(), vision_.hidden});
  }

 private:
  [[nodiscard]] int64_t grid() const { return vision_.grid(); }
  [[nodiscard]] int64_t windows() const { return grid() / vision_.window; }

  Value embed(const Value& pixel_values) {
    const std::string prefix = "vision_encoder.backbone.";
    const Value kernel = model_.weight(prefix + "embeddings.patch_embeddings.projection.weight");
    const Value patches = add_conv(graph_, "/vision/patch_embed", pixel_values, kernel, Value{},
                                   {.stride = vision_.patch_size});
    const Dim& batch = patches.dim(0);
    const int64_t w = vision_.window;
    const Value split = add_reshape(graph_, "/vision/to_windows/split", patches,
                                    {batch, vision_.hidden, windows(), w, windows(), w});
    const Value ordered =
        add_transpose(graph_, "/vision/to_windows/order", split, {0, 2, 4, 3, 5, 1});
    const Value tokens = add_reshape(graph_, "/vision/to_windows", ordered,
                                     {batch, grid() * grid(), vision_.hidden});
    const Value position = model_.derived("/vision/position_embedding",
                                          {1, grid() * grid(), vision_.hidden}, position_maker());
    const Value sum = add_add(graph_, "/vision/embed", tokens, position);
    return add_norm(model_, "/vision/ln_pre", sum, prefix + "layer_norm", vision_.layer_norm_eps);
  }

  /// The stored embedding tiled over the grid (not interpolated), in window order.
  [[nodiscard]] ConstantMaker position_maker() const {
    const WeightView stored =
        model_.checkpoint.weight("vision_encoder.backbone.embeddings.position_embeddings");
    const auto order = window_order(grid(), vision_.window);
    return [stored, order, side = grid(), tile = vision_.pretrain_grid, width = vision_.hidden]() {
      const std::vector<float> values = stored.to_f32();
      std::vector<float> result;
      result.reserve(order.size() * static_cast<size_t>(width));
      for (const int64_t token : order) {
        const int64_t row = (token / side) % tile * tile + (token % side) % tile;
        const auto begin = values.begin() + row * width;
        result.insert(result.end(), begin, begin + width);
      }
      return result;
    };
  }

  Value block(int64_t index, const Value& x) {
    const std::string name = "/vision/blocks." + std::to_string(index);
    const std::string prefix = "vision_encoder.backbone.layers." + std::to_string(index) + ".";
    bool global = false;
    for (const int64_t i : vision_.global_blocks) global = global || i == index;
    const double eps = vision_.layer_norm_eps;
    const Value attended =
        attention(name + "/attn", prefix + "attention.",
                  add_norm(model_, name + "/norm1", x, prefix + "layer_norm1", eps), global);
    const Value middle = add_add(graph_, name + "/residual1", x, attended);
    const Value mixed =
        add_mlp(model_, name + "/mlp",
                add_norm(model_, name + "/norm2", middle, prefix + "layer_norm2", eps),
                prefix + "mlp", vision_.stack.activation);
    return add_add(graph_, name + "/residual2", middle, mixed);
  }

  Value attention(const std::string& name, const std::string& prefix, const Value& x, bool global) {
    const int64_t heads = vision_.stack.heads;
    const int64_t head_dim = vision_.hidden / heads;
    const int64_t tokens = global ? grid() * grid() : vision_.window * vision_.window;
    const Dim batch = global ? x.dim(0) : x.dim(0).times(windows() * windows());
    const Value qkv = add_linear(model_, name + "/qkv", x, packed_qkv(prefix));
    const Value split =
        add_reshape(graph_, name + "/heads", qkv, {batch, tokens, 3, heads, head_dim});
    const Value ordered = add_transpose(graph_, name + "/order", split, {2, 0, 3, 1, 4});
    const std::vector<Value> parts = add_split(graph_, name + "/split", ordered, 0, 3);
    const Rotation& tables = global ? global_ : windowed_;
    const Value q =
        add_rotation(graph_, name + "/q", add_squeeze(graph_, name + "/q_in", parts[0], 0), tables);
    const Value k =
        add_rotation(graph_, name + "/k", add_squeeze(graph_, name + "/k_in", parts[1], 0), tables);
    const Value v = add_squeeze(graph_, name + "/v", parts[2], 0);
    const Value scores = add_matmul(graph_, name + "/scores", q,
                                    add_transpose(graph_, name + "/k_t", k, {0, 1, 3, 2}));
    const Value mixed =
        add_matmul(graph_, name + "/mix", add_softmax(graph_, name + "/softmax", scores), v);
    const Value joined = add_transpose(graph_, name + "/join", mixed, {0, 2, 1, 3});
    const Value flat = add_reshape(graph_, name + "/flat", joined, x.shape);
    return add_linear(model_, name + "/proj", flat, prefix + "o_proj");
  }

  /// Query, key and value projections stacked; query and key rows of each head reordered to (even
  /// channels, odd channels), which leaves their products unchanged; 1/sqrt(d) folded into the
  /// queries.
  [[nodiscard]] LinearWeights packed_qkv(const std::string& prefix) const {
    const int64_t width = vision_.hidden;
    const int64_t head_dim = width / vision_.stack.heads;
    const std::vector<int64_t> rows = rotary_rows(width, head_dim);
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    const auto stack = [this, prefix, rows, scale](const std::string& kind) {
      const Checkpoint* checkpoint = &model_.checkpoint;
      return [checkpoint, prefix, rows, scale, kind]() {
        std::vector<float> result;
        for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
          const std::vector<float> values = checkpoint->weight(prefix + part + kind).to_f32();
          const size_t columns = values.size() / rows.size();
          const double factor = part[0] == 'q' ? scale : 1.0;
          for (size_t row = 0; row < rows.size(); ++row) {
            const size_t source = part[0] == 'v' ? row : static_cast<size_t>(rows[row]);
            for (size_t c = 0; c < columns; ++c) {
              result.push_back(static_cast<float>(values[source * columns + c] * factor));
            }
          }
        }
        return result;
      };
    };
    return {.name = prefix + "qkv",
            .out = 3 * width,
            .in = width,
            .weight = stack(".weight"),
            .bias = stack(".bias")};
  }

  Value split_windows(const Value& x) {
    const int64_t w = vision_.window;
    return add_reshape(graph_, "/vision/from_windows/split", x,
                       {x.dim(0), windows(), windows(), w, w, vision_.hidden});
  }

  ModelGraph& model_;
  Graph& graph_;
  const VisionConfig& vision_;
  Rotation windowed_;
  Rotation global_;
};

}  // namespace

void build_vision_encoder(ModelGraph& model) {
  const int64_t size = model.config().vision.image_size;
  const Value pixel_values =
      model.graph.add_input("pixel_values", DType::kF32, {"B", 3, size, size});
  Trunk trunk(model);
  const Value tokens = trunk.build(pixel_values);
  // The other neck is a graph of its own, so that those who only detect do not pay for it.
  Value rows;
  if (model.config().tracker) rows = trunk.to_rows(tokens);
  const Value map = rows.name.empty()
                        ? trunk.to_map(tokens)
                        : add_map(model.graph, "/vision/map", rows, model.config().vision.grid());
  for (int64_t level = 0; level < 3; ++level) {
    const std::string number = std::to_string(level);
    model.graph.add_output(
        "fpn_feat_" + number,
        add_neck_level(model, "/vision/neck." + number, "vision_encoder.neck.", map, level));
  }
  if (!rows.name.empty()) model.graph.add_output("vision_features", rows);
}

}  // namespace sam3trt

#include "precision/exported_graph.hpp"

#include "base/error.hpp"
#include "onnx/model_file.hpp"

namespace sam3trt {

ExportedGraph read_exported_graph(const std::filesystem::path& path) {
  ExportedGraph graph{read_model(path), {}, {}};
  graph.component = metadata_value(graph.model, "sam3trt.component");
  graph.checkpoint_sha256 = metadata_value(graph.model, "sam3trt.checkpoint_sha256");
  if (graph.component.empty()) {
    throw_bad_input(path.string() +
                    ": not a graph written by 'sam3trt export' (no metadata sam3trt.component)");
  }
  const std::string precision = metadata_value(graph.model, "sam3trt.precision");
  if (!precision.empty()) {
    throw_bad_input(path.string() + ": already typed (" + precision +
                    "); start from the float32 graph that 'sam3trt export' wrote");
  }
  return graph;
}

}  // namespace sam3trt

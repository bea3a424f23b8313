"""Writes the ONNX files of this folder.

    python tests/data/openvino/make.py

Needs PyPI's onnx. small.onnx: rows = Gather(x, index), product = x * weight. large.onnx: means of
maps of 1024 x 1024, and sums of pointers, of which there may be none. external.onnx names a weight
file that is not there; unknown.onnx an operator that nobody has.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).resolve().parent


def save(name: str, nodes: list, inputs: list, outputs: list, constants: list) -> None:
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (FOLDER / name).write_bytes(model.SerializeToString(deterministic=True))


def small() -> None:
    weight = numpy_helper.from_array(np.array([[1, 0], [0, 1], [1, 1]], np.float32), "weight")
    save(
        "small.onnx",
        [
            helper.make_node("Gather", ["x", "index"], ["rows"], axis=0),
            helper.make_node("MatMul", ["x", "weight"], ["product"]),
        ],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("index", TensorProto.INT64, ["M"]),
        ],
        [
            helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["M", 3]),
            helper.make_tensor_value_info("product", TensorProto.FLOAT, ["N", 2]),
        ],
        [weight],
    )


def large() -> None:
    save(
        "large.onnx",
        [
            helper.make_node("ReduceMean", ["maps", "map_axes"], ["means"], keepdims=0),
            helper.make_node("ReduceSum", ["memory_pointers", "axis"], ["sums"], keepdims=0),
        ],
        [
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["B", 1024, 1024]),
            helper.make_tensor_value_info("memory_pointers", TensorProto.FLOAT, ["O", "W", 4]),
        ],
        [
            helper.make_tensor_value_info("means", TensorProto.FLOAT, ["B"]),
            helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["O", 4]),
        ],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "map_axes"),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )


def external() -> None:
    weight = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[3, 2])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="external.onnx.data")
    save(
        "external.onnx",
        [helper.make_node("MatMul", ["x", "weight"], ["product"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, ["N", 2])],
        [weight],
    )


def unknown() -> None:
    save(
        "unknown.onnx",
        [helper.make_node("NoSuchOperator", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [],
    )


if __name__ == "__main__":
    small()
    large()
    external()
    unknown()

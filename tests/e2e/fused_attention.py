"""The operator Sam3trtRotaryAttention written out in standard operators, from its definition
(src/precision/attention_fusion.hpp): an independent reading of what the kernel computes."""

import numpy as np

import onnx
from onnx import TensorProto, helper, numpy_helper

OPERATOR = "Sam3trtRotaryAttention"


def count(model: onnx.ModelProto) -> int:
    return sum(node.op_type == OPERATOR for node in model.graph.node)


class _Expansion:
    """The nodes that take the place of one fused node; sums in float32."""

    def __init__(self, node: onnx.NodeProto, tokens: int, element_type: int) -> None:
        self.name = node.name
        self.element_type = element_type
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        sizes = {attribute.name: attribute.i for attribute in node.attribute}
        window, heads, dim = sizes["window"], sizes["heads"], sizes["head_dim"]
        packed = self.op("Cast", node.input[0], to=TensorProto.FLOAT)
        shape = self.ints("shape", [-1, window, 3, heads, dim])
        parts = self.op("Transpose", self.op("Reshape", packed, shape), perm=[2, 0, 3, 1, 4])
        query, key, value = (
            self.op("Gather", parts, self.scalar(f"part{i}", i), axis=0) for i in range(3)
        )
        query, key = (self.rounded(self.rotated(x, *node.input[1:], dim)) for x in (query, key))
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), value)
        rows = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        target = self.ints("target", [-1, tokens, heads * dim])
        flat = self.op("Reshape", rows, target)
        self.nodes.append(helper.make_node("Cast", [flat], list(node.output), to=element_type))

    def op(self, op_type: str, *inputs: str, **attributes: object) -> str:
        output = f"{self.name}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(values, f"{self.name}/{name}"))
        return self.constants[-1].name

    def ints(self, name: str, values: list[int]) -> str:
        return self.constant(name, np.array(values, np.int64))

    def scalar(self, name: str, value: int) -> str:
        return self.constant(name, np.array(value, np.int64))

    def rounded(self, x: str) -> str:
        narrow = self.op("Cast", x, to=self.element_type)
        return self.op("Cast", narrow, to=TensorProto.FLOAT)

    def rotated(self, x: str, cos: str, sin: str, dim: int) -> str:
        """(a, b) to (a cos - b sin, a sin + b cos), a and b the halves of the channels."""
        axes = self.ints(f"axes{len(self.nodes)}", [3])
        bounds = [self.ints(f"bound{len(self.nodes)}.{n}", [n]) for n in (0, dim // 2, dim)]
        a = self.op("Slice", x, bounds[0], bounds[1], axes)
        b = self.op("Slice", x, bounds[1], bounds[2], axes)
        first = self.op("Sub", self.op("Mul", a, cos), self.op("Mul", b, sin))
        second = self.op("Add", self.op("Mul", a, sin), self.op("Mul", b, cos))
        return self.op("Concat", first, second, axis=3)


def in_standard_operators(model: onnx.ModelProto, element_type: int) -> onnx.ModelProto:
    """Without fused nodes; element_type is that of their results."""
    dims = next(o for o in model.graph.output if o.name == "fpn_feat_2").type.tensor_type.shape.dim
    tokens = dims[2].dim_value * dims[3].dim_value
    nodes = []
    for node in model.graph.node:
        if node.op_type != OPERATOR:
            nodes.append(node)
            continue
        expansion = _Expansion(node, tokens, element_type)
        nodes += expansion.nodes
        model.graph.initializer.extend(expansion.constants)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model

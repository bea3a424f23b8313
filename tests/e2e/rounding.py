"""What a typed graph computes, on a CPU: every 16-bit operation in float32, its result rounded.

ONNX Runtime's CPU provider has few 16-bit kernels. It runs the others in float32 and drops the
roundings between them, so it cannot show what half precision does to a graph. Here every rounding
is an explicit pair of Cast nodes, which ONNX Runtime keeps. FP8 pairs run as they are.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

NARROW = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


class _Rewriter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.nodes: list[onnx.NodeProto] = []
        self.wide: dict[str, str] = {}
        self.types = {tensor.name: tensor.data_type for tensor in self.graph.initializer}

    def cast(self, source: str, target: str, dtype: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], to=dtype))

    def widened(self, tensor: str) -> str:
        if self.types.get(tensor) not in NARROW:
            return tensor
        if tensor not in self.wide:
            self.wide[tensor] = tensor + "/wide"
            self.cast(tensor, self.wide[tensor], TensorProto.FLOAT)
        return self.wide[tensor]

    def result_type(self, node: onnx.NodeProto) -> int:
        if node.op_type == "Cast":
            return next(a.i for a in node.attribute if a.name == "to")
        if node.op_type == "QuantizeLinear":
            return self.types[node.input[2]]
        if node.op_type == "DequantizeLinear":
            return self.types[node.input[1]]
        return self.types[node.input[0]]

    def add(self, node: onnx.NodeProto) -> None:
        dtype = self.result_type(node)
        self.types |= {output: dtype for output in node.output}
        changes_type = node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear")
        if changes_type or dtype not in NARROW:
            self.nodes.append(node)
            return
        outputs = list(node.output)
        node.input[:] = [self.widened(tensor) if tensor else "" for tensor in node.input]
        node.output[:] = [output + "/exact" for output in outputs]
        self.nodes.append(node)
        for output in outputs:
            self.cast(output + "/exact", output, dtype)

    def rewrite(self) -> None:
        """Inputs and outputs become float32, rounded on the way in."""
        inputs = {}
        for value in self.graph.input:
            tensor = value.type.tensor_type
            self.types[value.name] = tensor.elem_type
            if tensor.elem_type in NARROW:
                inputs[value.name] = value.name + "/rounded"
                self.types[inputs[value.name]] = tensor.elem_type
                self.cast(value.name, inputs[value.name], tensor.elem_type)
                tensor.elem_type = TensorProto.FLOAT
        outputs = {}
        for value in self.graph.output:
            if value.type.tensor_type.elem_type in NARROW:
                outputs[value.name] = value.name + "/typed"
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in list(self.graph.node):
            node.input[:] = [inputs.get(tensor, tensor) for tensor in node.input]
            node.output[:] = [outputs.get(tensor, tensor) for tensor in node.output]
            self.add(node)
        for name, typed in outputs.items():
            self.cast(typed, name, TensorProto.FLOAT)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)


def with_roundings(path: Path) -> onnx.ModelProto:
    model = onnx.load(str(path))
    _Rewriter(model).rewrite()
    return model

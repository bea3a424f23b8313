"""The operators of this program in standard operators, from their definitions
(src/base/own_operators.hpp): an independent reading of what the kernels compute."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PLAIN = "Sam3trtAttention"
ROTARY = "Sam3trtRotaryAttention"
GRID = "Sam3trtGridAttention"
POSITION = "Sam3trtQueryPosition"
MEMORY = "Sam3trtMemoryAttention"
ROTATED = "Sam3trtRotatedAttention"
NORMALISED_PRODUCT = "Sam3trtNormalisedProduct"
RESIDUAL_PRODUCT = "Sam3trtResidualProduct"
MLP = "Sam3trtMlp"
RESIDUAL_NORM = "Sam3trtResidualNorm"
GATHERED_NORM = "Sam3trtGatheredNorm"
UPSAMPLED_SUM = "Sam3trtUpsampledSum"
GROUP_NORM = "Sam3trtGroupNorm"
PATCHES = "Sam3trtPatches"
WINDOW_MAP = "Sam3trtWindowMap"
PRODUCTS = (NORMALISED_PRODUCT, RESIDUAL_PRODUCT, MLP)


def nodes(model: onnx.ModelProto, operator: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == operator]


class _Expansion:
    """The nodes that take the place of one fused node; sums and softmax in float32."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        self.name = node.name
        self.element_type = element_type
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.sizes = {attribute.name: attribute.i for attribute in node.attribute}

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

    def wide(self, x: str) -> str:
        return self.op("Cast", x, to=TensorProto.FLOAT)

    def rounded(self, x: str) -> str:
        return self.wide(self.op("Cast", x, to=self.element_type))

    def rotated(self, x: str, cos: str, sin: str, dim: int) -> str:
        """(a, b) to (a cos - b sin, a sin + b cos), a and b the halves of the channels."""
        axes = self.ints(f"axes{len(self.nodes)}", [-1])
        bounds = [self.ints(f"bound{len(self.nodes)}.{n}", [n]) for n in (0, dim // 2, dim)]
        a = self.op("Slice", x, bounds[0], bounds[1], axes)
        b = self.op("Slice", x, bounds[1], bounds[2], axes)
        first = self.op("Sub", self.op("Mul", a, cos), self.op("Mul", b, sin))
        second = self.op("Add", self.op("Mul", a, sin), self.op("Mul", b, cos))
        return self.op("Concat", first, second, axis=-1)

    def parts(self, node: onnx.NodeProto, shape: list[int]) -> list[str]:
        """Queries, keys and values, the first inputs, as [B, H, T, D] in float32."""
        split = self.ints("split", shape)
        return [
            self.op("Transpose", self.op("Reshape", self.wide(x), split), perm=[0, 2, 1, 3])
            for x in node.input[:3]
        ]

    def finish(self, mixed: str, shape: list[int], node: onnx.NodeProto) -> None:
        """[B, H, T, D] in float32 to the node's result."""
        rows = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        flat = self.op("Reshape", rows, self.ints("target", shape))
        self.nodes.append(helper.make_node("Cast", [flat], list(node.output), to=self.element_type))


class _Plain(_Expansion):
    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        heads, dim = self.sizes["heads"], self.sizes["head_dim"]
        query, key, value = self.parts(node, [0, 0, heads, dim])
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), value)
        self.finish(mixed, [0, 0, heads * dim], node)


class _Rotary(_Expansion):
    def __init__(self, node: onnx.NodeProto, element_type: int, tokens: int) -> None:
        super().__init__(node, element_type)
        window, heads, dim = (self.sizes[name] for name in ("window", "heads", "head_dim"))
        shape = self.ints("shape", [-1, window, 3, heads, dim])
        split = self.op("Reshape", self.wide(node.input[0]), shape)
        parts = self.op("Transpose", split, perm=[2, 0, 3, 1, 4])
        query, key, value = (
            self.op("Gather", parts, self.scalar(f"part{i}", i), axis=0) for i in range(3)
        )
        query, key = (self.rounded(self.rotated(x, *node.input[1:], dim)) for x in (query, key))
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), value)
        self.finish(mixed, [-1, tokens, heads * dim], node)


class _Memory(_Expansion):
    """One head; frames' keys [O, F, Q, D] are rotated as the queries are, other keys are not; with
    a bias of the scores where there are other keys."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        dim = self.sizes["head_dim"]
        *parts, cos, sin = node.input[:6] if node.op_type == MEMORY else node.input
        query, key, *others, value = (self.wide(x) for x in parts)
        half = self.ints("half", [-1, dim // 2])
        tables = [self.op("Reshape", x, half) for x in (cos, sin)]
        query, key = (self.rounded(self.rotated(x, *tables, dim)) for x in (query, key))
        row = self.ints("row", [0, -1, dim])
        key = self.op("Concat", self.op("Reshape", key, row), *others, axis=1)
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 2, 1]))
        if node.op_type == MEMORY:
            row = self.ints("bias_row", [0, 1, -1])
            scores = self.op("Add", scores, self.op("Reshape", self.wide(node.input[6]), row))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), value)
        self.nodes.append(
            helper.make_node("Cast", [mixed], list(node.output), to=self.element_type)
        )


class _Grid(_Expansion):
    """scores[p, h, q, y * X + x] = query . key + rows[p, h, q, y] + columns[p, h, q, x]"""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        heads, dim = self.sizes["heads"], self.sizes["head_dim"]
        query, key, value = self.parts(node, [0, 0, heads, dim])
        boxes, *weights = node.input[3:]
        rows = self.padded(self.bias("rows", boxes, 1, weights[:4]), query)
        columns = self.padded(self.bias("columns", boxes, 0, weights[4:]), query)
        rows = self.op("Unsqueeze", rows, self.ints("each_column", [4]))
        columns = self.op("Unsqueeze", columns, self.ints("each_row", [3]))
        cells = self.ints("cells", [0, 0, 0, -1])
        bias = self.op("Reshape", self.op("Add", rows, columns), cells)
        products = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        weights = self.op("Softmax", self.op("Add", products, bias), axis=-1)
        self.finish(self.op("MatMul", weights, value), [0, 0, heads * dim], node)

    def number(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, np.float32))

    def bias(self, lines: str, boxes: str, center: int, weights: list[str]) -> str:
        """[P, H, B, lines]: an MLP of the distances of each line to both edges of each box."""
        count = self.sizes[lines]
        at = self.constant(f"{lines}_at", np.arange(count, dtype=np.float32)[:, None] / count)
        middle, extent = (
            self.op("Gather", boxes, self.ints(f"{lines}{i}", [i]), axis=2)
            for i in (center, center + 2)
        )
        half = self.op("Div", extent, self.number(f"{lines}_two", 2))
        edges = [self.op(op, middle, half) for op in ("Sub", "Add")]
        edges = self.op(
            "Unsqueeze", self.op("Concat", *edges, axis=2), self.ints(f"{lines}_axis", [2])
        )
        distance = self.op("Mul", self.op("Sub", at, edges), self.number(f"{lines}_eight", 8))
        size = self.op("Add", self.op("Abs", distance), self.number(f"{lines}_one", 1))
        log8 = self.op("Div", self.op("Log", size), self.number(f"{lines}_ln8", np.log(8)))
        x = self.op("Mul", self.op("Sign", distance), log8)
        hidden = self.op("Relu", self.op("Add", self.op("MatMul", x, weights[0]), weights[1]))
        y = self.op("Add", self.op("MatMul", hidden, weights[2]), weights[3])
        return self.op("Transpose", y, perm=[0, 3, 1, 2])

    def padded(self, bias: str, query: str) -> str:
        """With zeros for the first queries, which have no box."""
        axis = self.ints(f"axis{len(self.nodes)}", [2])
        queries, boxed = (
            self.op("Gather", self.op("Shape", x), axis, axis=0) for x in (query, bias)
        )
        zeros = self.ints(f"zeros{len(self.nodes)}", [0, 0])
        rest = self.ints(f"rest{len(self.nodes)}", [0, 0, 0, 0, 0])
        missing = self.op("Sub", queries, boxed)
        return self.op("Pad", bias, self.op("Concat", zeros, missing, rest, axis=0))


class _Position(_Expansion):
    """Sines and cosines of cy, cx, w, h, and an MLP of them; all float32."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        boxes, frequencies, w0, b0, w1, b1 = node.input
        last = self.ints("last", [-1])
        encoded = []
        for i in (1, 0, 2, 3):
            coordinate = self.op("Gather", boxes, self.scalar(f"coordinate{i}", i), axis=2)
            angle = self.op("Mul", self.op("Unsqueeze", coordinate, last), frequencies)
            encoded += [self.op("Sin", angle), self.op("Cos", angle)]
        x = self.op("Concat", *encoded, axis=2)
        hidden = self.op("Relu", self.op("Add", self.op("MatMul", x, w0), b0))
        y = self.op("Add", self.op("MatMul", hidden, w1), b1)
        pads = self.ints("pads", [0, self.sizes["unboxed"], 0, 0, 0, 0])
        self.nodes.append(helper.make_node("Pad", [y, pads], list(node.output)))


class _ResidualNorm(_Expansion):
    """A sum in float32 and its normalisation, which alone is rounded."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        added, residual, gain, shift = node.input
        normalised, total = node.output
        epsilon = float(np.array(self.sizes["epsilon"], np.int32).view(np.float32))
        self.nodes.append(helper.make_node("Add", [residual, self.wide(added)], [total]))
        y = self.op("LayerNormalization", total, gain, shift, axis=-1, epsilon=epsilon)
        self.nodes.append(helper.make_node("Cast", [y], [normalised], to=element_type))


class _GatheredNorm(_Expansion):
    """Rows of the input, and their normalisation in float32."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        rows, index, gain, shift = node.input
        normalised, gathered = node.output
        epsilon = float(np.array(self.sizes["epsilon"], np.int32).view(np.float32))
        self.nodes.append(helper.make_node("Gather", [rows, index], [gathered], axis=0))
        y = self.op(
            "LayerNormalization", self.wide(gathered), gain, shift, axis=-1, epsilon=epsilon
        )
        self.nodes.append(helper.make_node("Cast", [y], [normalised], to=element_type))


class _UpsampledSum(_Expansion):
    """A map of half the size, each value four times, and a level; their sum is rounded."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        coarse, levels, index = node.input
        level = self.op("Gather", self.wide(levels), index, axis=0)
        half = self.ints("half", [1, 1, 2, 2])
        shape = self.op("Div", self.op("Shape", level), half)
        channels = self.op("Transpose", self.wide(coarse), perm=[0, 2, 1])
        small = self.op("Reshape", channels, shape)
        scales = self.constant("scales", np.array([1, 1, 2, 2], np.float32))
        large = self.op(
            "Resize",
            small,
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        total = self.op("Add", large, level)
        self.nodes.append(helper.make_node("Cast", [total], list(node.output), to=element_type))


class _GroupNorm(_Expansion):
    """GroupNormalization and ReLU in float32, as rows of channels."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        value, gain, shift = node.input
        epsilon = float(np.array(self.sizes["epsilon"], np.int32).view(np.float32))
        groups = self.sizes["groups"]
        wide = self.wide(value)
        split = self.op("Reshape", wide, self.ints("groups", [0, groups, -1]))
        mean = self.op("ReduceMean", split, self.ints("axis", [2]), keepdims=1)
        centred = self.op("Sub", split, mean)
        squares = self.op("Mul", centred, centred)
        variance = self.op("ReduceMean", squares, self.ints("axis2", [2]), keepdims=1)
        offset = self.constant("epsilon", np.array(epsilon, np.float32))
        deviation = self.op("Sqrt", self.op("Add", variance, offset))
        normal = self.op("Div", centred, deviation)
        normal = self.op("Reshape", normal, self.op("Shape", wide))
        columns = self.ints("columns", [1, -1, 1, 1])
        scaled = self.op("Mul", normal, self.op("Reshape", gain, columns))
        active = self.op("Relu", self.op("Add", scaled, self.op("Reshape", shift, columns)))
        rows = self.op("Reshape", active, self.ints("rows", [0, 0, -1]))
        tokens = self.op("Transpose", rows, perm=[0, 2, 1])
        self.nodes.append(helper.make_node("Cast", [tokens], list(node.output), to=element_type))


class _Patches(_Expansion):
    """Patches in the order of windows, rounded, and zeros."""

    def __init__(self, node: onnx.NodeProto, element_type: int, model: onnx.ModelProto) -> None:
        super().__init__(node, element_type)
        pixels = next(value for value in model.graph.input if value.name == node.input[0])
        _, channels, side, _ = (d.dim_value for d in pixels.type.tensor_type.shape.dim)
        patch, window = self.sizes["patch"], self.sizes["window"]
        windows = side // patch // window
        lines = [windows, window, patch]
        split = self.op("Reshape", node.input[0], self.ints("split", [0, channels, *lines, *lines]))
        ordered = self.op("Transpose", split, perm=[0, 2, 5, 3, 6, 1, 4, 7])
        values = channels * patch**2
        rows = self.op("Reshape", ordered, self.ints("rows", [0, (side // patch) ** 2, values]))
        pads = self.ints("pads", [0, 0, 0, 0, 0, -values % 16])
        padded = self.op("Pad", rows, pads)
        self.nodes.append(helper.make_node("Cast", [padded], list(node.output), to=element_type))


class _WindowMap(_Expansion):
    """Tokens in the order of windows as a map and row by row."""

    def __init__(self, node: onnx.NodeProto, element_type: int) -> None:
        super().__init__(node, element_type)
        grid, window = self.sizes["grid"], self.sizes["window"]
        windows = grid // window
        split = self.ints("split", [0, windows, windows, window, window, -1])
        ordered = self.op(
            "Transpose", self.op("Reshape", node.input[0], split), perm=[0, 1, 3, 2, 4, 5]
        )
        flat = self.ints("flat", [0, grid**2, -1])
        named = dict(zip(("map", "rows"), node.output, strict=True))
        self.nodes.append(helper.make_node("Reshape", [ordered, flat], [named["rows"]]))
        channels = self.op("Transpose", named["rows"], perm=[0, 2, 1])
        square = self.ints("square", [0, 0, grid, grid])
        self.nodes.append(helper.make_node("Reshape", [channels, square], [named["map"]]))


def _e4m3(codes: np.ndarray) -> np.ndarray:
    exponent, digits = (codes >> 3) & 15, codes & 7
    size = np.where(exponent == 0, digits * 2.0**-9, (8 + digits) * 2.0 ** (exponent - 10.0))
    return np.where(codes & 128, -size, size).astype(np.float32)


class _Products(_Expansion):
    """Products of cuBLASLt; sums, normalisation, GELU and the residual in float32."""

    def __init__(self, node: onnx.NodeProto, element_type: int, model: onnx.ModelProto) -> None:
        super().__init__(node, element_type)
        self.tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self.fp8 = self.sizes["fp8"] == 1
        if self.fp8:
            zero = helper.make_tensor(f"{self.name}/zero", TensorProto.FLOAT8E4M3FN, [], [0.0])
            self.constants.append(zero)
        x = node.input[0]
        if node.op_type == RESIDUAL_PRODUCT:
            _, residual, bias, weight, scales = node.input
            y = self.product(self.wide(x), weight, bias, scales, 0)
        elif node.op_type == NORMALISED_PRODUCT:
            _, bias, weight, gain, shift, scales = node.input
            y, residual = self.product(self.normalised(x, gain, shift), weight, bias, scales, 0), ""
        else:
            residual, hidden_bias, bias, hidden_weight, weight, gain, shift, scales = node.input
            normalised = self.normalised(x, gain, shift)
            hidden = self.product(normalised, hidden_weight, hidden_bias, scales, 0)
            hidden = self.op("Gelu", hidden, approximate="tanh")
            y = self.product(hidden, weight, bias, scales, 1)
        if residual:
            y = self.op("Add", y, self.wide(residual))
        self.nodes.append(helper.make_node("Cast", [y], list(node.output), to=element_type))

    def normalised(self, x: str, gain: str, shift: str) -> str:
        epsilon = np.array(self.sizes["epsilon"], np.int32).view(np.float32)
        return self.op(
            "LayerNormalization", self.wide(x), gain, shift, axis=-1, epsilon=float(epsilon)
        )

    def product(self, x: str, weight: str, bias: str, scales: str, which: int) -> str:
        if not self.fp8:
            y = self.op("MatMul", self.rounded(x), self.wide(weight))
            return self.op("Add", y, self.wide(bias))
        inverse, scale, weight_scale = self.array(scales)[3 * which : 3 * which + 3, 0]
        np.testing.assert_allclose(inverse * scale, 1, rtol=1e-6)
        codes = self.array(weight).view(np.uint8)
        factor = self.constant(f"weight{which}", _e4m3(codes).T * weight_scale)
        at = self.constant(f"scale{which}", np.array(scale, np.float32))
        zero = f"{self.name}/zero"
        x = self.op("DequantizeLinear", self.op("QuantizeLinear", x, at, zero), at, zero)
        return self.op("Add", self.op("MatMul", x, factor), self.wide(bias))

    def array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self.tensors[name])


def _tokens(model: onnx.ModelProto) -> int:
    dims = next(o for o in model.graph.output if o.name == "fpn_feat_2").type.tensor_type.shape.dim
    return dims[2].dim_value * dims[3].dim_value


def in_standard_operators(model: onnx.ModelProto, element_type: int) -> onnx.ModelProto:
    """Without fused nodes; element_type is that of their results."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    for node in model.graph.node:
        if node.op_type == PLAIN:
            expansion = _Plain(node, element_type)
        elif node.op_type == ROTARY:
            expansion = _Rotary(node, element_type, _tokens(model))
        elif node.op_type == GRID:
            expansion = _Grid(node, element_type)
        elif node.op_type == POSITION:
            expansion = _Position(node, element_type)
        elif node.op_type in (MEMORY, ROTATED):
            expansion = _Memory(node, element_type)
        elif node.op_type == RESIDUAL_NORM:
            expansion = _ResidualNorm(node, element_type)
        elif node.op_type == GATHERED_NORM:
            expansion = _GatheredNorm(node, element_type)
        elif node.op_type == UPSAMPLED_SUM:
            expansion = _UpsampledSum(node, element_type)
        elif node.op_type == GROUP_NORM:
            expansion = _GroupNorm(node, element_type)
        elif node.op_type == PATCHES:
            expansion = _Patches(node, element_type, model)
        elif node.op_type == WINDOW_MAP:
            expansion = _WindowMap(node, element_type)
        elif node.op_type in PRODUCTS:
            expansion = _Products(node, element_type, model)
        else:
            result.graph.node.append(node)
            continue
        result.graph.node.extend(expansion.nodes)
        result.graph.initializer.extend(expansion.constants)
    return result

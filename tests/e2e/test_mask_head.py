"""The mask head whose maps have their channels side by side: this program's operators between its
convolutions stand for what export writes, in the trained small checkpoint's graph."""

import fused_attention
import numpy as np
import onnx
import pytest
import rounding
from test_precision import distance, narrow_type, run_rounded

COUNTS = {
    fused_attention.GATHERED_NORM: 1,
    fused_attention.UPSAMPLED_SUM: 2,
    fused_attention.GROUP_NORM: 2,
}
# Those that only what was replaced has: copies, enlarging, and the normalisation of groups.
REPLACED = ("Resize", "InstanceNormalization")


@pytest.fixture(scope="module")
def mask_graph(tiny_graphs):
    return tiny_graphs / "detector.mask_head.onnx"


def inputs(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Three rows of masks of two prompts on two images."""
    sizes = {"B": 2, "P": 2, "R": 3, "M": 4, "K + 1": 2, "K + 33": 34}
    random = np.random.default_rng(11)
    values = {}
    for value in graph.graph.input:
        tensor = value.type.tensor_type
        shape = [sizes.get(d.dim_param, d.dim_value) for d in tensor.shape.dim]
        if tensor.elem_type == onnx.TensorProto.FLOAT:
            values[value.name] = random.standard_normal(shape, np.float32)
        else:
            values[value.name] = random.integers(0, 2, shape)
    values["prompt_mask"][:] = 1
    values["prompt_mask"][1, 5:] = 0
    values["query_index"] = random.permuted(np.tile(np.arange(36), (3, 1)), axis=1)[:, :4]
    values["image_index"] = np.array([0, 1, 1])
    values["prompt_index"] = np.array([1, 0, 1])
    return values


@pytest.mark.parametrize(
    ("recipe", "limit"),
    # Measured 6.4e-8 and 6.3e-6; to float32 it is 8.8e-8 and 7.5e-6 with the operators, 9.1e-8 and
    # 7.7e-6 without.
    [("fp16", 2e-7), ("bf16", 2e-5)],
)
def test_the_operators_stand_for_what_they_replace(mask_graph, type_graph, tmp_path, recipe, limit):
    plain_path, fused_path = tmp_path / "plain.onnx", tmp_path / "fused.onnx"
    plain_report = type_graph(recipe, mask_graph, plain_path)
    report = type_graph("--fused", recipe, mask_graph, fused_path)
    fused = onnx.load(fused_path)
    assert {name: len(fused_attention.nodes(fused, name)) for name in COUNTS} == COUNTS
    assert not [node.name for node in fused.graph.node if node.op_type in REPLACED]
    assert (report["own_operators"], plain_report["own_operators"]) == (sum(COUNTS.values()), 0)
    # Between the convolutions nothing is cast, so that a map is written and read in one type.
    casts = [node.name for node in fused.graph.node if node.op_type == "Cast"]
    assert not [name for name in casts if name.startswith("/mask/pixel.")]
    standard = fused_attention.in_standard_operators(fused, narrow_type(recipe))
    onnx.save(standard, tmp_path / "standard.onnx")
    exact = onnx.load(mask_graph)
    values = inputs(exact)
    found = run_rounded(rounding.with_roundings(tmp_path / "standard.onnx"), values)
    expected = run_rounded(rounding.with_roundings(plain_path), values)
    wanted = run_rounded(exact, values)
    for a, b, c in zip(found, expected, wanted, strict=True):
        assert a.shape == b.shape
        assert distance(a, b) < limit
        assert distance(a, c) < limit


def test_a_level_of_another_image_shows(mask_graph, type_graph, tmp_path):
    fused_path = tmp_path / "fused.onnx"
    type_graph("--fused", "fp16", mask_graph, fused_path)
    wrong = onnx.load(fused_path)
    for node in fused_attention.nodes(wrong, fused_attention.UPSAMPLED_SUM):
        node.input[2] = "prompt_index"
    values = inputs(onnx.load(mask_graph))
    masks = []
    for name, graph in (("right", onnx.load(fused_path)), ("wrong", wrong)):
        standard = fused_attention.in_standard_operators(graph, narrow_type("fp16"))
        onnx.save(standard, tmp_path / f"{name}.onnx")
        masks.append(run_rounded(rounding.with_roundings(tmp_path / f"{name}.onnx"), values)[0])
    assert distance(*masks) > 1e-2

"""Recipes and verification of the graphs of clicks and videos, on the CPU: typed and damaged graphs
take the place of engines."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

COMPONENTS = {
    "tracker_neck": {"tracker_feat_0", "tracker_feat_1", "tracker_feat_2", "object_features"},
    "mask_prompt": {"mask_input"},
    "memory_attention": {"object_features"},
    "sam_decoder": {
        "sam_masks",
        "iou_scores",
        "object_score",
        "object_pointers",
        "absent_pointers",
    },
    "memory_encoder": {"frame_memory"},
}
# Products of weights stay in float32 in every precision.
FLOAT32 = {"fp16": ("mask_prompt",), "bf16": ("sam_decoder", "mask_prompt")}
HEADS = ("/sam/score", "/sam/iou", "/sam/pointers", "/sam/hyper")
# As for those of detection (test_precision.py), about three times what was measured.
LIMITS = {"fp16": 1.4e-5, "bf16": 8e-4}


@pytest.fixture(scope="module")
def graphs(exported):
    return exported("hf", "video_a")


@pytest.fixture
def verify_whole(run, graphs):
    """verify_whole(model, options): exit code and report."""

    def call(model: Path, *options) -> tuple[int, dict]:
        arguments = ("--model", model, "--reference", graphs, "--text", "circle", "--json")
        done = run("verify", *arguments, *options)
        assert done.stdout, done.stderr
        return done.code, json.loads(done.stdout)

    return call


@pytest.fixture
def verify(verify_whole):
    """verify(model): exit code, and the report on clicks and videos by component and output."""

    def call(model: Path) -> tuple[int, dict]:
        code, report = verify_whole(model, "--track-frames", 0)
        found = {name: {} for name in COMPONENTS}
        for entry in report["outputs"]:
            if entry["component"] in found:
                found[entry["component"]][entry["output"]] = entry
        return code, found

    return call


def failing(report: dict) -> set[str]:
    return {
        component
        for component, outputs in report.items()
        for entry in outputs.values()
        if entry["verdict"] != "passed"
    }


@pytest.fixture
def damaged(graphs, tmp_path):
    """damaged(component, change): a copy of the model with change(arrays, nodes) applied."""

    def make(component: str, change) -> Path:
        folder = tmp_path / "damaged"
        shutil.copytree(graphs, folder)
        path = folder / f"{component}.onnx"
        model = onnx.load(str(path))
        arrays = {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}
        name = change(arrays, {node.name: node for node in model.graph.node})
        (tensor,) = [t for t in model.graph.initializer if t.name == name]
        tensor.CopyFrom(numpy_helper.from_array(arrays[name], name))
        onnx.save(model, str(path))
        return folder

    return make


def test_the_same_graphs_pass_exactly(verify, graphs):
    code, report = verify(graphs)
    assert code == 0
    assert {name: set(outputs) for name, outputs in report.items()} == COMPONENTS
    assert {e["deviation"] for outputs in report.values() for e in outputs.values()} == {0}


def scale_input(node: str, factor: float, rows: slice = slice(None)):
    """Scales rows of the weight of a product."""

    def change(arrays, nodes):
        inputs = [name for name in nodes[node].input if name in arrays]
        (name,) = [name for name in inputs if arrays[name].ndim > 1]
        arrays[name][rows] = arrays[name][rows] * np.float32(factor)
        return name

    return change


@pytest.mark.parametrize(
    ("component", "change"),
    [
        ("tracker_neck", scale_input("/tracker_neck/level.2/proj1", 1.2)),
        ("mask_prompt", scale_input("/mask_prompt/downsample", 1.1)),
        ("sam_decoder", scale_input("/sam/layers.0/mlp/layer0/matmul", 1.5)),
        ("memory_encoder", scale_input("/memory_encoder/fuser.0/pointwise1/matmul", 1.5)),
        ("memory_attention", scale_input("/memory/layers.0/cross_attn/pointer_k_proj/matmul", 2)),
        ("memory_attention", scale_input("/memory/layers.0/cross_attn/v_proj/matmul", 2)),
        ("memory_attention", scale_input("/memory/layers.1/linear1/matmul", 1.3)),
    ],
)
def test_a_damaged_component_is_refused_alone(verify, damaged, component, change):
    code, report = verify(damaged(component, change))
    assert code == 4
    assert failing(report) == {component}


def test_clicks_and_a_clip_of_forty_frames_are_compared_end_to_end(verify_whole, graphs):
    code, report = verify_whole(graphs)
    assert code == 0
    objects, tracks = report["result"]["objects"], report["result"]["tracks"]
    # Three photographs and three drawn images, four prompts each, three masks for a prompt.
    assert (objects["masks"], objects["smallest_mask_iou"]) == (72, 1)
    assert objects["largest_score_error"] == 0
    assert (tracks["frames"], tracks["mask_ious"]) == (40, [1, 1, 1, 1])
    assert tracks["matched"] > 40
    assert (tracks["lost"], tracks["gained"], tracks["largest_score_error"]) == (0, 0, 0)


def test_the_clip_shows_a_memory_that_is_wrong(verify_whole, damaged):
    code, report = verify_whole(
        damaged("memory_encoder", scale_input("/memory_encoder/project", 0))
    )
    assert code == 4
    problems = report["result"]["problems"]
    assert problems
    assert all("clip" in text or "from frame" in text or "tracked" in text for text in problems)
    assert report["result"]["objects"]["smallest_mask_iou"] == 1


def typed_nodes(path: Path, kinds: set[str], begin: tuple[str, ...] = ("",)) -> set[int]:
    """Element types of the weights of such nodes, whose names begin like that."""
    model = onnx.load(str(path))
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return {
        types[name]
        for node in model.graph.node
        if node.op_type in kinds and node.name.startswith(begin)
        for name in node.input
        if name in types
    }


@pytest.mark.parametrize("recipe", ["fp16", "bf16"])
def test_typed_graphs_pass_and_what_decides_stays_in_float32(
    verify, graphs, type_graph, tmp_path, recipe
):
    folder = tmp_path / "typed"
    shutil.copytree(graphs, folder)
    low = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[recipe]
    for component in COMPONENTS:
        path = folder / f"{component}.onnx"
        report = type_graph(recipe, graphs / path.name, path)
        assert report["unused"] == [], component
        onnx.checker.check_model(str(path), full_check=True)
        found = typed_nodes(path, {"MatMul", "Conv"})
        if component in FLOAT32[recipe]:
            assert found == {onnx.TensorProto.FLOAT}, component
        else:
            assert low in found, component
        assert low not in typed_nodes(path, {"LayerNormalization"}), component
    decoder = folder / "sam_decoder.onnx"
    assert typed_nodes(decoder, {"MatMul"}, HEADS) == {onnx.TensorProto.FLOAT}
    layers = typed_nodes(decoder, {"MatMul"}, ("/sam/layers.", "/sam/final"))
    assert layers == {low if recipe == "fp16" else onnx.TensorProto.FLOAT}
    enlarging = typed_nodes(decoder, {"ConvTranspose"})
    assert enlarging == {low if recipe == "fp16" else onnx.TensorProto.FLOAT}
    # One type at the boundary; the vision encoder is typed as the neck that reads it.
    type_graph(recipe, graphs / "vision_encoder.onnx", folder / "vision_encoder.onnx")
    _, report = verify(folder)
    assert {name: set(outputs) for name, outputs in report.items()} == COMPONENTS
    worst = {
        (component, name): entry["deviation"]
        for component, outputs in report.items()
        for name, entry in outputs.items()
        if not entry["deviation"] < LIMITS[recipe]
    }
    assert not worst

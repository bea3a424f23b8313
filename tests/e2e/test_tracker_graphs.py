"""Graphs of clicks and videos: valid ONNX, and the reference's numbers under ONNX Runtime."""

import json
import shutil
import subprocess

import goldens
import numpy as np
import onnx
import onnxruntime
import pytest

LIMITS = json.loads((goldens.ROOT / "tests/parity/thresholds.json").read_text(encoding="utf-8"))
NAMES = ["video_a", "video_b", "video_c"]
COMPONENTS = ["tracker_neck", "mask_prompt", "memory_attention", "sam_decoder", "memory_encoder"]


class ComponentGoldens:
    """The goldens of the tracker's components (tests/data/goldens/README.md)."""

    def __init__(self, name: str) -> None:
        folder = goldens.DATA / "goldens/hf"
        path = folder / f"{name}.components.json"
        self.document = json.loads(path.read_text(encoding="utf-8"))
        self.tensors = goldens.read_safetensors(folder / f"{name}.components.safetensors")

    def input(self, key: str) -> np.ndarray:
        layout, values = self.document["tensors"][key], self.tensors[key]
        if key.endswith("/pixel_u8"):
            pixels = values.reshape(layout["shape"]).astype(np.float32)
            return ((pixels - np.float32(127.5)) / np.float32(127.5)).transpose(0, 3, 1, 2)
        if "scale" in layout:
            values = values.astype(np.float32) * np.float32(layout["scale"])
            values = values + np.float32(layout["offset"])
        return values.reshape(layout["shape"])

    def compare(self, key: str, found: np.ndarray) -> tuple[float, float]:
        layout = self.document["tensors"][key]
        assert list(found.shape) == layout["shape"], key
        a = found.reshape(-1)[:: layout["stride"]].astype(np.float64)
        b = self.tensors[key].astype(np.float64)
        return float(a @ b / np.sqrt((a @ a) * (b @ b))), float(np.abs(a - b).max())


@pytest.mark.parametrize("name", NAMES)
def test_every_graph_passes_the_onnx_checker(exported, name):
    for component in ["vision_encoder", *COMPONENTS]:
        path = exported("hf", name) / f"{component}.onnx"
        onnx.checker.check_model(str(path), full_check=True)


@pytest.mark.parametrize("component", ["vision_encoder", "tracker_neck"])
def test_a_projection_right_after_a_convolution_is_part_of_its_weights(exported, component):
    graph = onnx.load(str(exported("hf", "video_a") / f"{component}.onnx")).graph
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    makers = {node.output[0] for node in convolutions}
    assert len(convolutions) >= 7  # two up-projections of level 0, one of 1; a projection each
    pointwise = [
        node.name
        for node in convolutions
        if node.input[0] in makers
        and onnx.helper.get_node_attr_value(node, "kernel_shape") == [1, 1]
    ]
    assert not pointwise


@pytest.mark.parametrize("name", NAMES)
def test_components_of_the_tracker_give_the_numbers_of_the_reference(exported, name):
    folder, data = exported("hf", name), ComponentGoldens(name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    given, problems, seen = {}, [], set()
    for case in data.document["cases"]:
        path = folder / f"{case['component']}.onnx"
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        inputs = {
            "pixel_values" if tensor == "pixel_u8" else tensor: given[key]
            if key in given
            else data.input(key)
            for tensor, key in case["inputs"].items()
        }
        if case["component"] == "memory_attention":  # the reference has one object in each call
            for name in ("memory", "pointer"):
                inputs[f"{name}_present"] = np.ones_like(inputs[f"{name}_time"], np.float32)
        names = [output.name for output in session.get_outputs()]
        found = dict(zip(names, session.run(names, inputs)))
        for tensor, key in case["outputs"].items():
            given[key] = found[tensor]
            seen.add((case["component"], tensor))
            cosine, error = data.compare(key, found[tensor])
            limit = LIMITS["stages"][tensor]["largest_error"]
            if not (cosine > LIMITS["cosine"] and error < limit):
                problems.append(f"{key}: cosine {cosine:.9f}, error {error:.2e} of {limit:.0e}")
    assert not problems, "\n".join(problems)
    assert {component for component, _ in seen} == {"vision_encoder", *COMPONENTS}


def test_both_checkpoint_formats_give_the_same_graphs_of_the_tracker(
    program, checkpoint, exported, tmp_path
):
    source = checkpoint("meta", "video_a") / "sam3.pt"
    command = [program, "export", "--checkpoint", source, "--component", "all"]
    subprocess.run([*command, "--semantics", "hf", "--output", tmp_path], check=True)
    for component in ["vision_encoder", *COMPONENTS]:
        models = [
            onnx.load(str(folder / f"{component}.onnx"))
            for folder in (tmp_path, exported("hf", "video_a"))
        ]
        for model in models:
            del model.metadata_props[:]
        assert models[0] == models[1], component


def test_a_checkpoint_without_a_tracker_exports_the_detector_alone(run, checkpoint, tmp_path):
    done = run(
        *("export", "--checkpoint", checkpoint("hf", "tiny_a"), "--component", "all"),
        *("--output", tmp_path / "all", "--verbose"),
        check=True,
    )
    names = {path.name for path in (tmp_path / "all").glob("*.onnx")}
    assert "detector.onnx" in names
    assert not names & {f"{component}.onnx" for component in COMPONENTS}
    assert "sam_decoder" in done.stderr and "left out" in done.stderr
    outputs = onnx.load(str(tmp_path / "all/vision_encoder.onnx")).graph.output
    assert "vision_features" not in [output.name for output in outputs]

    refused = run(
        *("export", "--checkpoint", checkpoint("hf", "tiny_a"), "--component", "sam_decoder"),
        *("--output", tmp_path / "sam.onnx"),
    )
    assert refused.code == 2
    assert "has no tracker" in refused.stderr and not (tmp_path / "sam.onnx").exists()


def test_a_folder_without_the_tracker_still_detects(run, exported, tmp_path):
    """Detection gives the same with and without the other components, and never opens them."""
    whole = exported("hf", "video_a")
    part = tmp_path / "part"
    shutil.copytree(whole, part)
    for component in COMPONENTS:
        (part / f"{component}.onnx").unlink()
    image = goldens.ROOT / "test_images"
    image = sorted(path for path in image.iterdir() if path.suffix == ".jpg")[0]
    results = []
    for folder in (whole, part):
        done = run(
            *("infer", "--verbose", "--model", folder, "--image", image, "--text", "circle"),
        )
        assert done.code == 0, done.stderr
        assert not [c for c in COMPONENTS if f"loading {folder / c}" in done.stderr], done.stderr
        results.append(json.loads(done.stdout))
    found = [result["images"][0]["prompts"] for result in results]
    assert found[0] == found[1]

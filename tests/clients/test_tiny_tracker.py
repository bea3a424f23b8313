"""The tool that trains the small checkpoint's tracker, for a few steps on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sam3trt
from conftest import CHECKPOINT, ROOT
from safetensors import safe_open

DETECTOR = "detector_model."


def train(output: Path, steps: int, *more: str) -> None:
    command = [sys.executable, ROOT / "tools/tiny/train_tracker.py", "--output", output]
    command += ["--device", "cpu", "--steps", str(steps), "--clips", "2", "--objects", "2"]
    command += ["--frames", "3", "--images-part", "0", "--pool", "8", "--workers", "1"]
    command += ["--held-out", "2", "--minutes", "60", *more]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("tracker")
    train(output, 2)
    return output


def tensors(folder: Path) -> dict:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def test_the_detector_stays_bit_for_bit(trained):
    before, after = tensors(CHECKPOINT), tensors(trained / "model")
    own = {name.removeprefix(DETECTOR): value for name, value in before.items()}
    own = {name: value for name, value in own.items() if not name.startswith("tracker_")}
    for name, value in own.items():
        found = after[DETECTOR + name]
        assert found.dtype == value.dtype and found.equal(value), name
    assert sum(name.startswith(DETECTOR) for name in after) == len(own)


@pytest.mark.parametrize("name", ["Sam3TrackerModel", "Sam3TrackerVideoModel", "Sam3Model"])
def test_transformers_loads_the_checkpoint_without_a_tensor_left(trained, name):
    import transformers

    kind = getattr(transformers, name)
    _, found = kind.from_pretrained(trained / "model", output_loading_info=True)
    assert not any(found.values()), found


def test_the_program_exports_every_graph(trained, tmp_path):
    written = {path.name for path in sam3trt.export(trained / "model", tmp_path)}
    assert {"sam_decoder.onnx", "memory_attention.onnx", "memory_encoder.onnx"} <= written


def test_a_resumed_run_goes_on_where_it_was(trained):
    train(trained, 4, "--resume")
    lines = [json.loads(line) for line in (trained / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines][-1] == 4
    assert all("held_out_click_iou" in line for line in lines if line["step"] in (2, 4))

"""Fixtures: what the program says about two drawn images, by the small checkpoint.

SAM3TRT_PROGRAM names the program; the default is build/sam3trt.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import documents
import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["red circle", "blue star", "striped ring", "triangle", "green cross"]
BOXES = ["--box", "34,52,158.25,177", "--negative-box", "340,250,467,372"]

if importlib.util.find_spec("sam3trt") is None:
    sys.path.insert(0, str(ROOT / "python"))


@pytest.fixture(scope="session")
def program() -> Path:
    path = Path(os.environ.get("SAM3TRT_PROGRAM", ROOT / "build/sam3trt"))
    if not path.is_file():
        pytest.fail(f"{path} is not built: run 'make', or name the program in SAM3TRT_PROGRAM")
    return path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> list[Path]:
    """shapes.png and shapes_photo.png, 640x440, as the demo draws them."""
    return documents.draw(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def graphs(program, tmp_path_factory) -> Path:
    """The small checkpoint's ONNX graphs."""
    folder = tmp_path_factory.mktemp("graphs")
    checkpoint = ROOT / "models/tiny"
    command = [program, "export", "--checkpoint", checkpoint, "--component", "all"]
    subprocess.run([*command, "--output", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def graphs_of(program, tmp_path_factory):
    """graphs_of(name): the graphs of the random checkpoint of tests/data/configs/NAME.json."""

    @functools.cache
    def make(name: str) -> Path:
        checkpoint = tmp_path_factory.mktemp(f"checkpoint_{name}")
        graphs = tmp_path_factory.mktemp(f"graphs_{name}")
        script = ROOT / "tools/reference/make_checkpoint.py"
        config = ROOT / f"tests/data/configs/{name}.json"
        command = [sys.executable, script, config, "--format", "hf", "--output", checkpoint]
        subprocess.run(command, check=True, capture_output=True)
        command = [program, "export", "--checkpoint", checkpoint, "--component", "all"]
        subprocess.run([*command, "--output", graphs], check=True, capture_output=True)
        return graphs

    return make


@pytest.fixture(scope="session")
def infer(program, graphs, tmp_path_factory):
    """infer(*arguments): the program's JSON entries of a run on the small checkpoint."""

    def run(*arguments) -> list[dict]:
        output = tmp_path_factory.mktemp("infer") / "results.json"
        command = [program, "infer", "--model", graphs, *arguments, "--output", output]
        subprocess.run(command, check=True, capture_output=True)
        return json.loads(output.read_text())["images"]

    return run


@pytest.fixture(scope="session")
def entries(infer, drawn) -> list[dict]:
    """The entries of the two drawn images for TEXTS."""
    return infer("--image", *drawn, "--text", *TEXTS)


@pytest.fixture(scope="session")
def box_entry(infer, drawn) -> dict:
    """The entry of the first drawn image for an example box and one of what is not meant."""
    return infer("--image", drawn[0], *BOXES)[0]


@pytest.fixture(scope="session")
def segmenter(graphs):
    """A Segmenter of the small model."""
    from sam3trt import Segmenter

    return Segmenter(graphs)


@pytest.fixture(scope="session")
def segmenters(graphs_of):
    """segmenters(name): a Segmenter of the random checkpoint."""
    from sam3trt import Segmenter

    return functools.cache(lambda name: Segmenter(graphs_of(name)))


@pytest.fixture(scope="session")
def tracker(segmenters):
    """A Segmenter of a random checkpoint that has the tracker."""
    return segmenters("video_a")

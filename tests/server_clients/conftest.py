"""Fixtures: servers of the small checkpoint and of one with clicks, and what the program finds.

SAM3TRT_PROGRAM names the program; the default is build/sam3trt.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("SAM3TRT_PROGRAM", ROOT / "build/sam3trt")).resolve()
# What draws images and makes checkpoints needs packages that these environments do not have.
PROJECT_PYTHON = ROOT / ".venv/bin/python"
TEXTS = ["red circle", "blue star", "striped ring"]

sys.path.append(str(ROOT / "tests/e2e"))
from run_server import serve  # noqa: E402


def decode(rle: dict) -> np.ndarray:
    return coco_mask.decode(rle).astype(bool)


def infer(model: Path, image: Path, *arguments) -> dict:
    """The image's entry of the program's results."""
    command = [PROGRAM, "infer", "--model", model, "--image", image, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["images"][0]


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Path:
    """Drawn shapes, 640x440."""
    folder = tmp_path_factory.mktemp("drawn")
    subprocess.run([PROJECT_PYTHON, ROOT / "tools/tiny/draw_demo.py", folder], check=True)
    return folder / "shapes_photo.png"


def export(checkpoint: Path, folder: Path) -> Path:
    command = [PROGRAM, "export", "--checkpoint", checkpoint, "--component", "all"]
    subprocess.run([*command, "--output", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """The graphs of the trained small checkpoint."""
    return export(ROOT / "models/tiny", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def clicks_model(tmp_path_factory) -> Path:
    """Graphs with those of clicks; the weights are random."""
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    script = ROOT / "tools/reference/make_checkpoint.py"
    config = ROOT / "tests/data/configs/video_a.json"
    command = [PROJECT_PYTHON, script, config, "--format", "hf", "--output", checkpoint]
    subprocess.run(command, check=True)
    return export(checkpoint, tmp_path_factory.mktemp("clicks_model"))


@pytest.fixture(scope="session")
def server(model):
    with serve(PROGRAM, model) as running:
        yield running


@pytest.fixture(scope="session")
def clicks_server(clicks_model):
    with serve(PROGRAM, clicks_model) as running:
        yield running

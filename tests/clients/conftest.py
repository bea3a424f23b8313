"""Fixtures: the small checkpoint as transformers' model and as ours, and drawn images."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sam3trt

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "models/tiny"

sys.path.append(str(ROOT / "tests/python"))
import documents  # noqa: E402

# The page has an environment of its own, with a browser and without the wheel.
collect_ignore = ["page"]

TEXTS = ["red circle", "blue star", "striped ring", "triangle"]
BOX = [34.0, 52.0, 158.0, 177.0]
OTHER = [340.0, 250.0, 467.0, 372.0]

# No test may ask the network, or tell anyone that it runs.
os.environ |= {"HF_HUB_OFFLINE": "1", "YOLO_OFFLINE": "true", "RAY_USAGE_STATS_ENABLED": "0"}


def write_checkpoint(name: str, form: str, folder: Path) -> None:
    """The random checkpoint of tests/data/configs, in the form of "hf" or "meta"."""
    script = ROOT / "tools/reference/make_checkpoint.py"
    config = ROOT / f"tests/data/configs/{name}.json"
    command = [sys.executable, script, config, "--format", form, "--output", folder]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> list[Path]:
    """shapes.png and shapes_photo.png, 640x440."""
    return documents.draw(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def graphs(tmp_path_factory) -> Path:
    """The small checkpoint's ONNX graphs."""
    folder = tmp_path_factory.mktemp("graphs")
    sam3trt.export(CHECKPOINT, folder)
    return folder


@pytest.fixture(scope="session")
def segmenter(graphs):
    return sam3trt.Segmenter(graphs)

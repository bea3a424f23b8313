"""Writes goldens of torchvision's roi_align for the pooling matrices of src/runtime/roi_weights.

    python tools/reference/roi_goldens.py

Needs torch and torchvision; writes tests/data/runtime/roi_align.json.
"""

import json
from pathlib import Path

import torch
import torchvision
from torchvision.ops import roi_align

OUTPUT = Path(__file__).resolve().parents[2] / "tests/data/runtime/roi_align.json"

# Centre x, centre y, width, height as parts of the image.
BOXES = {
    "inside": [0.4, 0.6, 0.3, 0.2],
    "whole image": [0.5, 0.5, 1.0, 1.0],
    "smaller than a cell": [0.31, 0.77, 0.004, 0.003],
    "smaller than a cell in the corner": [0.999, 0.999, 0.002, 0.002],
    "thin": [0.5, 0.25, 0.9, 0.01],
    "on the left border": [0.05, 0.5, 0.1, 0.4],
    "on the lower right border": [0.9, 0.95, 0.2, 0.1],
    "over the upper left border": [0.05, 0.02, 0.4, 0.3],
    "over the lower right border": [0.97, 0.93, 0.5, 0.4],
    "over all borders": [0.5, 0.5, 2.9, 1.7],
    "a whole number of cells per bin": [0.5, 0.5, 0.5833333, 0.2916667],
}
# Cells per side, bins per side.
GRIDS = [(12, 7), (24, 7), (72, 7), (9, 3)]


def feature_map(cells: int) -> torch.Tensor:
    """[1, 1, cells, cells] of small whole numbers; the test computes the same."""
    y = torch.arange(cells).view(-1, 1)
    x = torch.arange(cells).view(1, -1)
    return ((31 * y * y + 17 * x * x + 13 * x * y + 7 * x) % 23).float().view(1, 1, cells, cells)


def pooled(box: list[float], cells: int, bins: int) -> list[float]:
    """[bins * bins] as Hugging Face's Sam3GeometryEncoder pools a box."""
    cx, cy, width, height = torch.tensor(box)
    corners = torch.stack(
        [cx - 0.5 * width, cy - 0.5 * height, cx + 0.5 * width, cy + 0.5 * height]
    )
    regions = torch.cat([torch.zeros(1), corners * cells]).view(1, 5)
    return roi_align(feature_map(cells), regions, bins).flatten().tolist()


def main() -> None:
    cases = [
        {
            "name": f"{name}, {cells} cells, {bins} bins",
            "box": box,
            "cells": cells,
            "bins": bins,
            "pooled": [float(f"{value:.7g}") for value in pooled(box, cells, bins)],
        }
        for cells, bins in GRIDS
        for name, box in BOXES.items()
    ]
    document = {
        "made_by": {
            "reference": "torchvision.ops.roi_align, aligned=False, sampling_ratio=-1",
            "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
            "device": "cpu",
            "dtype": "float32",
            "command": "python tools/reference/roi_goldens.py",
        },
        "cases": cases,
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(document) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

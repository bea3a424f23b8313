"""Frames of the clips that the goldens were made of, and masks of JSON."""

import sys

import numpy as np
from conftest import ROOT
from pycocotools import mask as coco_mask

sys.path.append(str(ROOT / "tools/reference"))
import clip_scenes  # noqa: E402

GOLDENS = ROOT / "tests/data/goldens/hf"


def draw(clip: str, frame: int) -> np.ndarray:
    """uint8 (H, W, 3)."""
    return clip_scenes.draw(clip_scenes.load(clip), frame)[0]


def decode(mask: dict) -> np.ndarray:
    return coco_mask.decode(mask).astype(bool)

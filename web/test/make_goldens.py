"""Masks and what pycocotools makes of them, for the unit tests of the page:

python web/test/make_goldens.py
"""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

random = np.random.default_rng(7)
y, x = np.mgrid[:120, :160]
ring = (((x - 80) / 60) ** 2 + ((y - 60) / 45) ** 2 < 1) & (
    ((x - 80) / 25) ** 2 + ((y - 60) / 20) ** 2 > 1
)
masks = {
    "empty": np.zeros((4, 5), bool),
    "full": np.ones((5, 4), bool),
    "first pixel": np.eye(1, 6, dtype=bool).repeat(1, 0),
    "last pixel": np.arange(12).reshape(3, 4) == 11,
    "noise": random.random((9, 13)) < 0.5,
    "ring": ring,
    "parts": ((x // 20 + y // 15) % 3 == 0) & (x > 3),
    "long runs": np.tile(np.arange(3000) > 1, (2000, 1)),
}
goldens = []
for name, mask in masks.items():
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    golden = {
        "name": name,
        "rle": {"size": rle["size"], "counts": rle["counts"].decode()},
        "area": int(coco.area(rle)),
        "box": coco.toBbox(rle).astype(int).tolist(),
    }
    if mask.size <= 20000:
        golden["rows"] = ["".join("#" if inside else "." for inside in row) for row in mask]
    goldens.append(golden)
Path(__file__).with_name("goldens.json").write_text(json.dumps(goldens) + "\n")

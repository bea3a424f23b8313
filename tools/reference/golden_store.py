"""How goldens are stored: sampled tensors in safetensors, everything else in a JSON file beside it.

A tensor of more than `MAX_VALUES` values is flattened and only every `stride`-th value is kept,
with an odd stride so that rows and channels are all met; what a test needs whole is kept whole.
"""

import json
from pathlib import Path

import make_checkpoint
import numpy as np
from pycocotools import mask as coco_mask

MAX_VALUES = 6144
WHOLE = ("pixel_u8", "input_ids")


def sample(name: str, values: np.ndarray) -> tuple[np.ndarray, int]:
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.size <= MAX_VALUES or name.endswith(WHOLE):
        return flat, 1
    stride = -(-flat.size // MAX_VALUES)
    stride += 1 - stride % 2
    return flat[::stride], stride


class GoldenFile:
    """Collects the tensors and results of one checkpoint and writes NAME.json, NAME.safetensors."""

    def __init__(self, origin: dict) -> None:
        self.origin = origin
        self.tensors: dict[str, np.ndarray] = {}
        self.layout: dict[str, dict] = {}

    def add(self, name: str, values: np.ndarray, *, whole: bool = False) -> None:
        """`whole` keeps all values: what a test feeds to a component."""
        if name in self.tensors:
            raise ValueError(f"{name} is stored twice")
        stored, stride = (values.reshape(-1), 1) if whole else sample(name, values)
        self.tensors[name] = stored
        self.layout[name] = {"shape": list(values.shape), "stride": stride}

    def add_coded(self, name: str, codes: np.ndarray, scale: float, offset: float) -> None:
        """Values that are exactly `codes` * scale + offset, stored as bytes."""
        self.add(name, codes, whole=True)
        self.layout[name] |= {"scale": scale, "offset": offset}

    def write(self, folder: Path, name: str, cases: list[dict]) -> None:
        document = {"made_by": self.origin, "cases": cases, "tensors": self.layout}
        text = json.dumps(document, indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        write_tensors(folder / f"{name}.safetensors", self.tensors)


def write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Like make_checkpoint's writer, but also for integers."""
    codes = {"float32": "F32", "int64": "I64", "uint8": "U8"}
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])))
    make_checkpoint.write_safetensors(
        path, ordered, {name: codes[str(values.dtype)] for name, values in ordered.items()}
    )


def instances(scores: np.ndarray, boxes: np.ndarray, masks: np.ndarray) -> list[dict]:
    """Instances as `infer` reports them, by falling score. `masks`: [n, height, width], 0 or 1."""
    found = []
    for index in np.argsort(-scores, kind="stable"):
        encoded = coco_mask.encode(np.asfortranarray(masks[index].astype(np.uint8)))
        found.append(
            {
                "score": round(float(scores[index]), 7),
                "box": [round(float(value), 5) for value in boxes[index]],
                "area": int(masks[index].sum()),
                "mask": {
                    "size": [int(side) for side in encoded["size"]],
                    "counts": encoded["counts"].decode("ascii"),
                },
            }
        )
    return found


def check_margin(where: str, scores: np.ndarray, threshold: float, margin: float = 0.005) -> None:
    """Refuses a case in which rounding could decide whether an instance is kept."""
    nearest = float(np.abs(scores - threshold).min())
    if nearest < margin:
        raise SystemExit(f"{where}: a score lies within {nearest:.4f} of the threshold {threshold}")

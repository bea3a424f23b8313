"""Goldens and the inputs of the graphs (docs/graphs.md) in numpy, for the end-to-end tests."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data"
DTYPES = {"F32": "<f4", "I64": "<i8", "U8": "u1"}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size :]
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
    }


@dataclass
class Prompt:
    """One prompt of a case: where its tensors stand, and what it asks."""

    key: str
    image: str
    size: tuple[int, int]
    boxes: list
    labels: list
    result: dict


class Goldens:
    """The goldens of one tiny checkpoint under one semantics ("hf" or "meta")."""

    def __init__(self, semantics: str, name: str) -> None:
        self.semantics, self.name = semantics, name
        folder = DATA / "goldens" / semantics
        self.document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        self.tensors = read_safetensors(folder / f"{name}.safetensors")
        self.spec = json.loads((DATA / f"configs/{name}.json").read_text(encoding="utf-8"))
        # Both semantics see the same resized pictures; they are stored once.
        self.pixels = {
            key.split("/")[0]: values
            for key, values in read_safetensors(DATA / f"goldens/hf/{name}.safetensors").items()
            if key.endswith("/pixel_u8")
        }

    def prompts(self) -> list[Prompt]:
        found = []
        for case in self.document["cases"]:
            image = case["image"]
            for index, result in enumerate(image["prompts"]):
                size = (image["width"], image["height"])
                key = f"{case['name']}/{index}"
                boxes, labels = result["boxes"], result["box_labels"]
                found.append(Prompt(key, image["path"], size, boxes, labels, result))
        return found

    def pixel_values(self, image: str) -> np.ndarray:
        side = self.spec["config"]["vision_config"]["backbone_config"]["image_size"]
        pixels = self.pixels[image].reshape(side, side, 3).astype(np.float32) / np.float32(255)
        mean = np.array(self.spec.get("image_mean", [0.5] * 3), np.float32)
        std = np.array(self.spec.get("image_std", [0.5] * 3), np.float32)
        return ((pixels - mean) / std).transpose(2, 0, 1)[None]

    def compare(self, key: str, found: np.ndarray) -> tuple[float, float]:
        """Cosine and largest error of a whole tensor against its stored sample."""
        layout = self.document["tensors"][key]
        if list(found.shape) != layout["shape"]:
            raise AssertionError(f"{key}: shape {found.shape}, expected {layout['shape']}")
        a = found.reshape(-1)[:: layout["stride"]].astype(np.float64)
        b = self.tensors[key].astype(np.float64)
        cosine = float(a @ b / np.sqrt((a @ a) * (b @ b)))
        return cosine, float(np.abs(a - b).max())


def normalised_boxes(prompt: Prompt) -> np.ndarray:
    """[n, 4] centre x, centre y, width, height in 0..1."""
    width, height = prompt.size
    corners = np.array(prompt.boxes, np.float32).reshape(-1, 4)
    corners = corners / np.array([width, height, width, height], np.float32)
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def pooling_matrix(start: np.float32, end: np.float32, bins: int, grid: int) -> np.ndarray:
    """[bins, grid]: one axis of RoIAlign (torchvision, aligned=False, sampling_ratio=-1).

    Single precision as in torchvision: it decides how many samples a bin has.
    """
    length = max(np.float32(end - start), np.float32(1))
    samples = int(np.ceil(length / np.float32(bins)))
    matrix = np.zeros((bins, grid))
    for row in range(bins):
        for sample in range(samples):
            at = start + (row + (sample + 0.5) / samples) * length / bins
            if at < -1 or at > grid:
                continue
            at = min(max(at, 0.0), grid - 1.0)
            low = int(at)
            matrix[row, low] += (1 - (at - low)) / samples
            if low + 1 < grid:
                matrix[row, low + 1] += (at - low) / samples
    return matrix.astype(np.float32)


def geometry_inputs(
    boxes: np.ndarray, labels: list, slots: int, grid: int, bins: int
) -> dict[str, np.ndarray]:
    """The box inputs of `geometry_encoder` for one prompt, padded to `slots`."""
    count = len(boxes)
    result = {
        "boxes": np.zeros((1, slots, 4), np.float32),
        "box_labels": np.zeros((1, slots), np.int64),
        "box_mask": np.zeros((1, slots), np.float32),
        "pool_y": np.zeros((1, slots, bins, grid), np.float32),
        "pool_x": np.zeros((1, slots, bins, grid), np.float32),
    }
    result["boxes"][0, :count] = boxes
    result["box_labels"][0, :count] = labels
    result["box_mask"][0, :count] = 1
    half = np.float32(0.5)
    for slot, (x, y, width, height) in enumerate(boxes):
        for name, centre, side in (("pool_x", x, width), ("pool_y", y, height)):
            start, end = (centre - half * side) * grid, (centre + half * side) * grid
            result[name][0, slot] = pooling_matrix(start, end, bins, grid)
    return result

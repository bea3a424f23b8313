"""What transformers' classes have in common here: batches, their nesting, models over folders."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .tensors import check_device, open_model

#: What transformers' processors fill up with: coordinates and labels of what is not there.
PADDING = -10


class Fields(dict):
    """A dictionary whose values are attributes as well."""

    #: What it is, for messages.
    what = "inputs"

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the {self.what} have no {name!r}, only {sorted(self)}") from None

    def to(self, *_: Any, **__: Any) -> Fields:
        """Itself: images are brought to the model's device when it is called."""
        return self


class Outputs(Fields):
    """What a model gives: by name, as an attribute, or by its place."""

    what = "outputs"

    def __getitem__(self, key: Any) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


class Items(list):
    """A batch of images, texts or boxes, as they were handed over."""

    #: Which tensors the results are to be: "pt", "np" or None.
    tensors: str | None = None

    def to(self, *_: Any, **__: Any) -> Items:
        """Itself."""
        return self

    @property
    def shape(self) -> tuple[int]:
        """The length of the batch alone."""
        return (len(self),)


class Model:
    """A Segmenter that is called as one of transformers' models."""

    def __init__(self, segmenter: Any) -> None:
        self.segmenter = segmenter

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike, device_map: str | None = None, **_: Any
    ) -> Any:
        """The model of a folder of TensorRT engines or ONNX graphs.

        `device_map` is "auto", "cpu" or "cuda:N". The precision is that of the folder: `dtype` and
        other options are accepted and not used.
        """
        return cls(open_model(path, device_map))

    @property
    def device(self) -> str:
        """ "cpu" or "cuda:N"."""
        return self.segmenter.device

    @property
    def dtype(self) -> Any:
        """float32, of torch where it is installed: inputs and results are, whatever the engine."""
        try:
            import torch
        except ImportError:
            return np.float32
        return torch.float32

    def to(self, device: Any = None, *_: Any, **__: Any) -> Any:
        """Itself; ValueError when the folder's model does not run on that kind of device."""
        check_device(self.segmenter, device)
        return self

    def cuda(self, device: Any = None) -> Any:
        """As `to`."""
        return self.to("cuda" if device is None else device)

    def eval(self) -> Any:
        """Itself."""
        return self


class Processor:
    """What needs nothing of the model's folder."""

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike, **_: Any) -> Any:
        """`path` is the model's folder; it has all that preparing an image needs."""
        return cls()


def is_one_image(images: Any) -> bool:
    """Whether it is not a list or a tuple of images."""
    return not isinstance(images, (list, tuple))


def nested(values: Any) -> Any:
    """Tensors and arrays as nested lists."""
    return values.tolist() if hasattr(values, "tolist") else values


def check_tensors(return_tensors: str | None) -> str:
    """ "torch" or "numpy"."""
    if return_tensors not in (None, "pt", "np"):
        raise ValueError(f"return_tensors: expected 'pt' or 'np', found {return_tensors!r}")
    return "torch" if return_tensors == "pt" else "numpy"


def refuse(given: dict[str, Any]) -> None:
    """Raises NotImplementedError that names what is given and not supported."""
    for name, value in given.items():
        if value is not None and value is not False and value != 0:
            raise NotImplementedError(
                f"{name}: sam3trt does not take this; leave it out, or use transformers for it"
            )


def levels(values: Any, name: str, wanted: tuple[str, ...], last: int | None = None) -> Any:
    """`values` as nested lists of exactly the `wanted` levels; None for None.

    `last` is how many numbers the innermost lists have. Raises ValueError.
    """
    values = _lists(values)
    if values is None:
        return None
    found, inner = 0, [values]
    while inner and all(isinstance(one, list) for one in inner):
        found += 1
        inner = [item for one in inner for item in one]
    if found != len(wanted):
        raise ValueError(
            f"input_{name}: expected {len(wanted)} levels of lists [{', '.join(wanted)}], "
            f"found {found}"
        )
    if last is not None and any(len(one) != last for one in _inner(values, found - 2)):
        raise ValueError(f"input_{name}: expected {last} numbers in each innermost list")
    return values


def _lists(values: Any) -> Any:
    values = nested(values)
    return [_lists(item) for item in values] if isinstance(values, (list, tuple)) else values


def _inner(values: list, depth: int) -> list:
    for _ in range(depth):
        values = [item for one in values for item in one]
    return values


def pad_points(points: list, labels: list | None) -> tuple[np.ndarray, np.ndarray | None]:
    """float32 (B, P, N, 2) and int64 (B, P, N), filled up with PADDING."""
    counts = [[len(some) for some in image] for image in points]
    if labels is not None and [[len(some) for some in image] for image in labels] != counts:
        raise ValueError("input_points and input_labels differ in their numbers of entries")
    objects = max((len(image) for image in counts), default=0)
    most = max((count for image in counts for count in image), default=0)
    coordinates = np.full((len(points), objects, most, 2), PADDING, dtype=np.float32)
    kinds = np.full((len(points), objects, most), PADDING, dtype=np.int64)
    for i, image in enumerate(points):
        for j, some in enumerate(image):
            if not some:
                continue
            coordinates[i, j, : len(some)] = some
            if labels is not None:
                kinds[i, j, : len(some)] = labels[i][j]
    return coordinates, None if labels is None else kinds


def clicks_of(
    coordinates: np.ndarray, kinds: np.ndarray
) -> tuple[list[tuple[float, float]], list[bool], tuple[float, ...] | None, int]:
    """Of one object: points, whether they are on it, the box of corners among them, paddings."""
    points, positive, corners, padding = [], [], {}, 0
    for (x, y), kind in zip(coordinates.tolist(), kinds.tolist()):
        if kind in (0, 1):
            points.append((x, y))
            positive.append(kind == 1)
        elif kind == PADDING:
            padding += 1
        elif kind in (2, 3) and kind not in corners:
            corners[kind] = (x, y)
        else:
            raise ValueError(
                f"input_labels: expected 1 (on the object) or 0 (not on it), or one 2 and one 3 "
                f"for the corners of a box, found {kind}"
            )
    if len(corners) == 1:
        raise ValueError("input_labels: one corner of a box without the other; expected 2 and 3")
    box = (*corners[2], *corners[3]) if corners else None
    return points, positive, box, padding

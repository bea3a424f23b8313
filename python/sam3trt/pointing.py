"""What users hand over as clicks, boxes and masks of objects, as what the C++ module takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from . import _core
from .errors import BadInputError

_POINTS = (
    "points: expected [x, y] or [[x, y], ...] in pixels for one object, or a list of such lists "
    "for several"
)
_BOX = "box: expected [x0, y0, x1, y1] in pixels for one object, or a list of such for several"
_MASK = "mask: expected an array of bool or uint8 on the CPU, (H, W) for one object or (N, H, W)"
_PREVIOUS = (
    "previous: expected the logits of an earlier result, an array of floats, (side, side) for one "
    "object or (N, side, side)"
)


def prompts_of(
    points: Any, labels: Any, box: Any, mask: Any, previous: Any
) -> list[_core.ObjectPrompt]:
    """One prompt for each object, with the ids 1, 2, ...; see `Segmenter.interact`.

    Raises TypeError for what has the wrong type, BadInputError for the wrong shape or for arguments
    of different numbers of objects.
    """
    given = {
        "points": None if points is None else _split_points(points),
        "box": None if box is None else _split_boxes(box),
        "mask": None if mask is None else _split(mask, _mask_of, _MASK),
        "previous": None if previous is None else _split(previous, _logits_of, _PREVIOUS),
    }
    counts = {name: len(items) for name, items in given.items() if items is not None}
    if not any(counts.values()):
        raise BadInputError("nothing to point at: give points=, box=, mask= or previous=")
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} of {count}" for name, count in counts.items())
        raise BadInputError(
            f"expected each argument to speak of as many objects, found {found}; None in a list "
            "stands for an object without"
        )
    count = next(iter(counts.values()))
    columns = {name: items or [None] * count for name, items in given.items()}
    positive = _split_labels(labels, columns["points"], points)
    return [
        _core.ObjectPrompt(
            index + 1,
            columns["points"][index] or [],
            positive[index],
            columns["box"][index],
            columns["mask"][index],
            columns["previous"][index],
        )
        for index in range(count)
    ]


def prompt_of(object_id: int, points: Any, labels: Any, box: Any, mask: Any) -> _core.ObjectPrompt:
    """The prompt of one object of that id; raises as `prompts_of` does."""
    clicks = None if points is None else _split_points(points)
    boxes = None if box is None else _split_boxes(box)
    masks = None if mask is None else _split(mask, _mask_of, _MASK)
    for name, items in (("points", clicks), ("box", boxes), ("mask", masks)):
        if items is not None and len(items) != 1:
            raise BadInputError(
                f"{name}: expected those of one object, found {len(items)} objects; add one at a "
                "time"
            )
    positive = _split_labels(labels, clicks or [None], points)
    return _core.ObjectPrompt(
        object_id,
        (clicks or [None])[0] or [],
        positive[0],
        (boxes or [None])[0],
        (masks or [None])[0],
        None,
    )


def _depth(value: Any) -> int:
    """Of an array its dimensions, of nested lists their depth, of a number 0."""
    dimensions = getattr(value, "ndim", None)
    if dimensions is not None:
        return int(dimensions)
    if isinstance(value, (list, tuple)):
        return 1 + max((_depth(item) for item in value), default=0)
    return 0


def _numbers(value: Any, expected: str) -> numpy.ndarray:
    try:
        return numpy.asarray(value, dtype=numpy.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{expected}, found {value!r}") from None


def _split_points(points: Any) -> list[list[tuple[float, float]] | None]:
    """For each object its clicks, or None."""
    depth = _depth(points)
    if depth not in (1, 2, 3):
        if depth == 0:
            raise TypeError(f"{_POINTS}, found {points!r}")
        raise BadInputError(f"{_POINTS}, found {depth} dimensions")
    return [_points_of(item) for item in (points if depth == 3 else [points])]


def _points_of(points: Any) -> list[tuple[float, float]] | None:
    if points is None:
        return None
    array = _numbers(points, _POINTS)
    if array.shape[:1] == (0,):
        return None
    array = array[None] if array.shape == (2,) else array
    if array.ndim != 2 or array.shape[1] != 2:
        raise BadInputError(f"{_POINTS}, found an array of shape {array.shape}")
    return [tuple(point) for point in array.tolist()]


def _split_labels(labels: Any, clicks: list, points: Any) -> list[list[bool]]:
    """For each object whether its clicks are on it (1) or not (0)."""
    if labels is None:
        return [[True] * len(points or []) for points in clicks]
    if points is None:
        raise BadInputError("labels: they say which points are on the object; give points=")
    if _depth(points) < 3:
        return [_labels_of(labels, clicks[0])]
    if _depth(labels) == 0 or len(labels) != len(clicks):
        raise BadInputError(
            f"labels: expected a list for each of {len(clicks)} objects, found {labels!r}"
        )
    return [_labels_of(some, points) for some, points in zip(labels, clicks)]


def _labels_of(labels: Any, points: list | None) -> list[bool]:
    count = len(points or [])
    values = [] if labels is None else [labels] if _depth(labels) == 0 else list(labels)
    if labels is None:
        return [True] * count
    if len(values) != count:
        raise BadInputError(f"labels: expected one for each of {count} points, found {len(values)}")
    for value in values:
        if _depth(value) != 0 or value not in (0, 1):
            raise BadInputError(
                f"labels: expected 1 (on the object) or 0 (not on it), found {value!r}"
            )
    return [bool(value) for value in values]


def _split_boxes(box: Any) -> list[tuple[float, ...] | None]:
    """For each object its box, or None."""
    depth = _depth(box)
    if depth == 0:
        raise TypeError(f"{_BOX}, found {box!r}")
    if depth > 2:
        raise BadInputError(f"{_BOX}, found {depth} dimensions")
    boxes = []
    for item in box if depth == 2 else [box]:
        if item is None:
            boxes.append(None)
            continue
        array = _numbers(item, _BOX)
        if array.shape != (4,):
            raise BadInputError(f"{_BOX}, found an array of shape {array.shape}")
        boxes.append(tuple(array.tolist()))
    return boxes


def _split(
    arrays: Any, take: Callable[[numpy.ndarray], numpy.ndarray], expected: str
) -> list[numpy.ndarray | None]:
    """For each object what `take` makes of its array, or None."""
    if isinstance(arrays, (list, tuple)) and all(
        item is None or hasattr(item, "ndim") for item in arrays
    ):
        items = list(arrays)
    else:
        array = _array(arrays, expected)
        items = list(array) if array.ndim == 3 else [array]
    return [None if item is None else take(_array(item, expected)) for item in items]


def _array(value: Any, expected: str) -> numpy.ndarray:
    value = value.detach() if getattr(value, "requires_grad", False) else value
    try:
        return numpy.asarray(value)
    except (TypeError, ValueError):
        raise TypeError(f"{expected}, found {type(value).__name__}") from None


def _mask_of(mask: numpy.ndarray) -> numpy.ndarray:
    if mask.dtype not in (numpy.bool_, numpy.uint8):
        raise TypeError(f"{_MASK}, found {mask.dtype}; compare it yourself, for example mask > 0.5")
    if mask.ndim != 2:
        raise BadInputError(f"{_MASK}, found an array of shape {mask.shape}")
    return numpy.ascontiguousarray(mask)


def _logits_of(logits: numpy.ndarray) -> numpy.ndarray:
    if logits.dtype.kind != "f":
        raise TypeError(f"{_PREVIOUS}, found {logits.dtype}")
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise BadInputError(f"{_PREVIOUS}, found an array of shape {logits.shape}")
    return numpy.ascontiguousarray(logits, dtype=numpy.float32)

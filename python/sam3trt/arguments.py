"""Numbers, texts and example boxes, checked, as what the C++ module takes."""

from __future__ import annotations

from typing import Any

import numpy

from . import _core
from .errors import BadInputError


def check_range(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, numpy.integer)):
        raise TypeError(f"{name}: expected a whole number, found {value!r}")
    if not low <= value <= high:
        raise BadInputError(f"{name}: expected {low} to {high}, found {value}")


def concepts_of(text: Any, boxes: Any, labels: Any) -> list[_core.Prompt]:
    """One prompt per text, each with all boxes; boxes alone are one prompt."""
    texts = _check_texts(text)
    pixel_boxes = _check_boxes(boxes)
    positive = _check_labels(labels, len(pixel_boxes))
    if not texts and not pixel_boxes:
        raise BadInputError("nothing to look for: give text= or boxes=")
    asked: list[str | None] = [*texts] or [None]
    return [_core.Prompt(one, pixel_boxes, positive) for one in asked]


def _check_texts(text: Any) -> list[str]:
    if text is None:
        return []
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, (list, tuple)) or not all(isinstance(one, str) for one in texts):
        raise TypeError(f"text: expected a str or a list of them, found {text!r}")
    return list(texts)


def _check_boxes(boxes: Any) -> list[tuple[float, float, float, float]]:
    if boxes is None:
        return []
    try:
        array = numpy.asarray(boxes, dtype=numpy.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"boxes: expected [x0, y0, x1, y1] in pixels, or a list of such, found {boxes!r}"
        ) from None
    if array.size == 0:
        return []
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 4:
        raise BadInputError(
            "boxes: expected [x0, y0, x1, y1] in pixels, or a list of such, found an array of "
            f"shape {array.shape}"
        )
    return [tuple(box) for box in array.tolist()]


def _check_labels(labels: Any, count: int) -> list[bool]:
    if labels is None:
        return [True] * count
    values = [labels] if isinstance(labels, (bool, int)) else list(labels)
    if len(values) != count:
        raise BadInputError(f"labels: expected one for each of {count} boxes, found {len(values)}")
    for value in values:
        if value not in (0, 1):
            raise BadInputError(
                f"labels: expected 1 (like this) or 0 (not like this), found {value!r}"
            )
    return [bool(value) for value in values]

"""What a call found in an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from . import _core


@dataclass
class PromptFound:
    """What one prompt found, by falling score."""

    text: str | None
    boxes: list[list[float]]
    box_labels: list[int]
    presence: float
    scores: numpy.ndarray
    boxes_xyxy: numpy.ndarray
    areas: numpy.ndarray
    counts: list[numpy.ndarray]


class Result:
    """The instances of all prompts in one image, in the order of the prompts."""

    def __init__(
        self,
        image: Any,
        path: str | None,
        size: tuple[int, int],
        prompts: Sequence[PromptFound],
        timings_ms: dict[str, float],
        device_masks: Any = None,
    ) -> None:
        self.image = image
        self.path = path
        self.size = size
        self.prompts = list(prompts)
        self.timings_ms = timings_ms
        self.device_masks = device_masks

    def __len__(self) -> int:
        return sum(len(found.scores) for found in self.prompts)

    @property
    def scores(self) -> numpy.ndarray:
        """float32 (N,)."""
        none = numpy.zeros(0, numpy.float32)
        return numpy.concatenate([none, *(found.scores for found in self.prompts)])

    @property
    def boxes(self) -> numpy.ndarray:
        """float32 (N, 4): x0 y0 x1 y1 in pixels."""
        none = numpy.zeros((0, 4), numpy.float32)
        return numpy.concatenate([none, *(found.boxes_xyxy for found in self.prompts)])

    @property
    def labels(self) -> numpy.ndarray:
        """int64 (N,): which prompt."""
        lengths = [len(found.scores) for found in self.prompts]
        return numpy.repeat(numpy.arange(len(lengths), dtype=numpy.int64), lengths)

    @property
    def counts(self) -> list[numpy.ndarray]:
        return [counts for found in self.prompts for counts in found.counts]

    @property
    def masks(self) -> numpy.ndarray:
        """bool (N, H, W)."""
        return _core.decode_rles(self.counts, *self.size)

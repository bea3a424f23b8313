"""What clicks, boxes and masks pointed at: `Objects`, and its parts `ObjectResult` and others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from . import rle as _rle
from .entries import rounded


class Masked:
    """What has a mask as run lengths."""

    #: COCO's run lengths of the mask, uint32 (R,).
    counts: np.ndarray
    #: Height and width of the image.
    size: tuple[int, int]

    @cached_property
    def mask(self) -> np.ndarray:
        """The mask, bool (H, W), decoded when first asked for."""
        return _rle.decode(self.counts, self.size)

    @property
    def rle(self) -> dict[str, Any]:
        """{"size": [height, width], "counts": str}, as pycocotools reads it."""
        return {"size": list(self.size), "counts": _rle.to_string(self.counts)}


@dataclass(frozen=True, eq=False)
class MaskCandidate(Masked):
    """One of several masks for the same prompt."""

    #: Predicted IoU.
    score: float
    #: Pixels inside the mask.
    area: int
    #: COCO's run lengths of the mask, uint32 (R,).
    counts: np.ndarray = field(repr=False)
    #: Height and width of the image.
    size: tuple[int, int]
    #: As `ObjectResult.logits`; not given by `Segmenter.interact`.
    logits: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class ObjectResult(Masked):
    """One object that was pointed at."""

    #: 1, 2, ... in the order in which they were asked for.
    id: int
    #: Predicted IoU of the mask, 0 to 1.
    score: float
    #: Probability that there is an object.
    object_score: float
    #: float32 (4,), x0 y0 x1 y1: first and last column and row of the mask's pixels.
    box: np.ndarray
    #: Pixels inside the mask.
    area: int
    #: COCO's run lengths of the mask, uint32 (R,).
    counts: np.ndarray = field(repr=False)
    #: Height and width of the image.
    size: tuple[int, int]
    #: All masks, where several were asked for.
    candidates: list[MaskCandidate] = field(default_factory=list, repr=False)
    #: float32 (side, side): the mask before it was cut at 0, for `previous=` of a later call.
    logits: np.ndarray | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """What the program writes about an object of an image, as plain Python values."""
        entry = {
            "id": self.id,
            "score": rounded(self.score, 6),
            "object_score": rounded(self.object_score, 6),
            "box": [rounded(value, 3) for value in self.box],
            "area": self.area,
            "mask": self.rle,
        }
        if self.candidates:
            entry["candidates"] = [
                {"score": rounded(one.score, 6), "area": one.area, "mask": one.rle}
                for one in self.candidates
            ]
        return entry


class MaskedSequence(Sequence):
    """Objects of one image or frame, of which the arrays are made. N is their number."""

    #: Height and width of the image.
    size: tuple[int, int]
    #: The objects, in order.
    objects: list[Any]

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: Any) -> Any:
        return self.objects[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.objects)

    @property
    def ids(self) -> np.ndarray:
        """int64 (N,)."""
        return np.array([one.id for one in self.objects], dtype=np.int64)

    @property
    def scores(self) -> np.ndarray:
        """float32 (N,)."""
        return np.array([one.score for one in self.objects], dtype=np.float32)

    @property
    def object_scores(self) -> np.ndarray:
        """float32 (N,): probabilities that there is an object."""
        return np.array([one.object_score for one in self.objects], dtype=np.float32)

    @property
    def boxes(self) -> np.ndarray:
        """float32 (N, 4): x0 y0 x1 y1, first and last column and row of each mask's pixels."""
        return np.array([one.box for one in self.objects], dtype=np.float32).reshape(-1, 4)

    @property
    def areas(self) -> np.ndarray:
        """int64 (N,): pixels inside each mask."""
        return np.array([one.area for one in self.objects], dtype=np.int64)

    @cached_property
    def masks(self) -> np.ndarray:
        """bool (N, H, W): the masks, decoded when first asked for and kept."""
        masks = np.zeros((len(self), *self.size), dtype=bool)
        for one, mask in zip(self.objects, masks):
            _rle.decode(one.counts, self.size, out=mask)
        return masks

    @property
    def rle(self) -> list[dict[str, Any]]:
        """N times {"size": [height, width], "counts": str}, as pycocotools reads it."""
        return [one.rle for one in self.objects]


@dataclass(eq=False, repr=False)
class Objects(MaskedSequence):
    """What one call pointed at in one image: a sequence of `ObjectResult`, in the order asked.

    Coordinates are pixels of the original image, x to the right, y down, (0, 0) its upper left
    corner. `scores` are predicted IoUs.
    """

    #: Height and width of the image.
    size: tuple[int, int]
    #: The objects.
    objects: list[ObjectResult]
    #: What was segmented, as it was handed over; used by `plot`.
    image: Any = None
    #: Where the image came from, if from a file.
    path: str | None = None
    #: Milliseconds per stage, as in `Result`.
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def logits(self) -> np.ndarray:
        """float32 (N, side, side), for `previous=` of a later call about the same objects."""
        if any(one.logits is None for one in self.objects):
            raise ValueError("logits: this call was told to leave them out (logits=False)")
        return np.stack([one.logits for one in self.objects])

    def __repr__(self) -> str:
        height, width = self.size
        where = f" {self.path!r}" if self.path is not None else ""
        scores = ", ".join(f"{one.id}: {one.score:.2f}" for one in self.objects)
        return f"<Objects{where} {width}x{height}: {scores}>"

    def to_entry(self) -> dict[str, Any]:
        """What the program writes about an image, one entry of `images`, as plain Python values."""
        height, width = self.size
        return {
            "path": self.path,
            "width": width,
            "height": height,
            "prompts": [],
            "timings_ms": {name: rounded(value, 3) for name, value in self.timings_ms.items()},
            "objects": [one.to_dict() for one in self.objects],
        }

    def plot(self, image: Any = None, **options: Any) -> Any:
        """A PIL image with masks tinted and outlined, as `Result.plot`, whose options it takes."""
        return draw_objects(self, self.image if image is None else image, **options)


def draw_objects(objects: MaskedSequence, image: Any, **options: Any) -> Any:
    """A PIL image with each object in a colour of its own; options of `Result.plot`."""
    from .result import PromptFound, Result

    found = [
        PromptFound(
            text=getattr(one, "prompt", None) or f"object {one.id}",
            presence=one.object_score,
            scores=np.array([one.score], dtype=np.float32),
            boxes_xyxy=one.box[None],
            areas=np.array([one.area], dtype=np.int64),
            counts=[one.counts],
        )
        for one in objects
    ]
    return Result(image, None, objects.size, found).plot(**options)


def to_objects(
    found: Mapping[str, Any], image: Any, path: str | os.PathLike[str] | None
) -> Objects:
    """The `Objects` of what the module says about one image."""
    size = (found["height"], found["width"])
    objects = []
    for one in found["objects"]:
        candidates = [MaskCandidate(**other, size=size) for other in one.pop("candidates")]
        objects.append(ObjectResult(**one, size=size, candidates=candidates))
    return Objects(
        size=size,
        objects=objects,
        image=image,
        path=None if path is None else os.fspath(path),
        timings_ms=found["timings_ms"],
    )

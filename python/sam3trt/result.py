"""What was found in one image: `Result`, and its parts `PromptFound` and `Instance`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from . import rle as _rle

#: Name of a prompt that is example boxes without a text.
VISUAL = "visual"


def _empty(*shape: int, dtype: type) -> Any:
    return field(default_factory=lambda: np.zeros(shape, dtype=dtype))


@dataclass(frozen=True, eq=False)
class PromptFound:
    """What one prompt found, by falling score. N is the number of instances."""

    #: The concept that was asked for; None when it was given by example boxes alone.
    text: str | None = None
    #: Example boxes, x0 y0 x1 y1 in pixels of the original image.
    boxes: list[list[float]] = field(default_factory=list)
    #: For each example box 1 (such an object) or 0 (no such object).
    box_labels: list[int] = field(default_factory=list)
    #: Probability that the image shows what the prompt asks for.
    presence: float = 0.0
    #: float32 (N,), probabilities, `presence` multiplied in.
    scores: np.ndarray = _empty(0, dtype=np.float32)
    #: float32 (N, 4), x0 y0 x1 y1 in pixels of the original image.
    boxes_xyxy: np.ndarray = _empty(0, 4, dtype=np.float32)
    #: int64 (N,), pixels inside each mask.
    areas: np.ndarray = _empty(0, dtype=np.int64)
    #: N arrays of uint32: COCO's run lengths of each mask (see `sam3trt.rle`).
    counts: list[np.ndarray] = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        """The text, or "visual" for a prompt of example boxes alone."""
        return VISUAL if self.text is None else self.text

    def __len__(self) -> int:
        """Number of instances."""
        return len(self.scores)

    def select(self, indices: np.ndarray) -> PromptFound:
        """The same prompt with the instances `indices`, int64 (M,), in that order."""
        return PromptFound(
            text=self.text,
            boxes=self.boxes,
            box_labels=self.box_labels,
            presence=self.presence,
            scores=self.scores[indices],
            boxes_xyxy=self.boxes_xyxy[indices],
            areas=self.areas[indices],
            counts=[self.counts[index] for index in indices],
        )


@dataclass(frozen=True, eq=False)
class Instance:
    """One found object."""

    #: Probability, the prompt's presence multiplied in.
    score: float
    #: float32 (4,), x0 y0 x1 y1 in pixels.
    box: np.ndarray
    #: Index of the prompt that found it.
    label: int
    #: Text of that prompt; "visual" for example boxes alone.
    name: str
    #: Pixels inside the mask.
    area: int
    #: COCO's run lengths of the mask, uint32 (R,).
    counts: np.ndarray = field(repr=False)
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

    @property
    def polygons(self) -> list[list[np.ndarray]]:
        """The mask's outlines, as `Result.polygons` gives them for all instances."""
        from .polygons import polygons_of_mask

        return polygons_of_mask(self.mask)


@dataclass(eq=False)
class Result:
    """What all prompts found in one image.

    Instances of all prompts stand one after the other, in the order of the prompts, each prompt's
    by falling score; N is their number, P that of the prompts. Coordinates are pixels of the
    original image, x to the right, y down, (0, 0) its upper left corner.

    `len(result)` is N. `result[3]` and iteration give an `Instance`; `result["dog"]` is a Result
    with the prompts of that text alone; `result[result.scores > 0.8]`, a slice or a list of
    indices is a Result with those instances, in the order of this one.
    """

    #: What was segmented, as it was handed over; used by `plot`. May be None.
    image: Any = None
    #: Where the image came from, if from a file.
    path: str | os.PathLike | None = None
    #: Height and width of the image.
    size: tuple[int, int] = (0, 0)
    #: What each prompt found.
    prompts: list[PromptFound] = field(default_factory=list)
    #: Milliseconds per stage: decode, preprocess, vision_encoder, detector, postprocess.
    timings_ms: dict[str, float] = field(default_factory=dict)
    #: Masks in the GPU's memory, where they were asked for.
    device_masks: Any = None
    #: Why there is no result, in an entry that was read by `from_json`.
    error: str | None = None

    def __post_init__(self) -> None:
        self.size = (int(self.size[0]), int(self.size[1]))
        self.prompts = list(self.prompts)

    # What was found.

    @cached_property
    def scores(self) -> np.ndarray:
        """float32 (N,): probabilities, each multiplied by its prompt's presence."""
        return self._joined([prompt.scores for prompt in self.prompts], (0,), np.float32)

    @cached_property
    def boxes(self) -> np.ndarray:
        """float32 (N, 4): x0 y0 x1 y1 in pixels."""
        return self._joined([prompt.boxes_xyxy for prompt in self.prompts], (0, 4), np.float32)

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 (N,): index of the prompt that found each instance; `names` has its text."""
        return np.repeat(np.arange(len(self.prompts)), [len(prompt) for prompt in self.prompts])

    @cached_property
    def areas(self) -> np.ndarray:
        """int64 (N,): pixels inside each mask."""
        return self._joined([prompt.areas for prompt in self.prompts], (0,), np.int64)

    @property
    def names(self) -> dict[int, str]:
        """Text of each prompt by its index; "visual" for example boxes without a text."""
        return {index: prompt.name for index, prompt in enumerate(self.prompts)}

    @property
    def presence(self) -> np.ndarray:
        """float32 (P,): probability that the image shows what each prompt asks for."""
        return np.array([prompt.presence for prompt in self.prompts], dtype=np.float32)

    @property
    def counts(self) -> list[np.ndarray]:
        """N arrays of uint32: COCO's run lengths of each mask (see `sam3trt.rle`)."""
        return [counts for prompt in self.prompts for counts in prompt.counts]

    @cached_property
    def masks(self) -> np.ndarray:
        """bool (N, H, W): the masks, decoded when first asked for and kept."""
        masks = np.zeros((len(self), *self.size), dtype=bool)
        for counts, mask in zip(self.counts, masks):
            _rle.decode(counts, self.size, out=mask)
        return masks

    @property
    def rle(self) -> list[dict[str, Any]]:
        """N times {"size": [height, width], "counts": str}, as pycocotools reads it."""
        size = list(self.size)
        return [{"size": size, "counts": _rle.to_string(counts)} for counts in self.counts]

    @cached_property
    def polygons(self) -> list[list[list[np.ndarray]]]:
        """The masks' outlines: for each instance its parts, each an outer ring and its holes.

        A ring is float32 (K, 2), x y in pixels, its last point the first one again; a pixel (x, y)
        covers x to x + 1. Needs contourpy: `pip install 'sam3trt[polygons]'`.
        """
        return [instance.polygons for instance in self]

    def __len__(self) -> int:
        return sum(len(prompt) for prompt in self.prompts)

    def __iter__(self) -> Iterator[Instance]:
        for label, prompt in enumerate(self.prompts):
            for index in range(len(prompt)):
                yield self._instance(label, index)

    def __getitem__(self, key: int | str | slice | Sequence | np.ndarray) -> Any:
        if isinstance(key, str):
            prompts = [prompt for prompt in self.prompts if prompt.name == key]
            if not prompts:
                raise KeyError(f"no prompt is {key!r}; the prompts are {list(self.names.values())}")
            return self._with(prompts)
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            index = int(key) + (len(self) if key < 0 else 0)
            if not 0 <= index < len(self):
                raise IndexError(f"instance {key} of {len(self)}")
            label = int(self.labels[index])
            return self._instance(label, index - int(np.searchsorted(self.labels, label)))
        taken = np.zeros(len(self), dtype=bool)
        taken[list(key) if isinstance(key, tuple) else key] = True
        prompts = []
        begin = 0
        for prompt in self.prompts:
            prompts.append(prompt.select(np.flatnonzero(taken[begin : begin + len(prompt)])))
            begin += len(prompt)
        return self._with(prompts)

    def __repr__(self) -> str:
        found = ", ".join(f"{len(prompt)} {prompt.name!r}" for prompt in self.prompts)
        height, width = self.size
        where = f" {os.fspath(self.path)!r}" if self.path is not None else ""
        what = self.error if self.error is not None else found or "no prompts"
        return f"<Result{where} {width}x{height}: {what}>"

    # What other libraries take.

    def to_dict(self) -> dict[str, np.ndarray]:
        """Arrays under the keys of transformers' `post_process_instance_segmentation`.

        scores float32 (N,), boxes float32 (N, 4) x0 y0 x1 y1, masks bool (N, H, W); and labels
        int64 (N,), the index of the prompt, which transformers gives by one dictionary each.
        """
        return {
            "scores": self.scores,
            "boxes": self.boxes,
            "masks": self.masks,
            "labels": self.labels,
        }

    def to_entry(self) -> dict[str, Any]:
        """What the program writes about an image, one entry of `images`, as plain Python values."""
        from .entries import entry_of

        return entry_of(self)

    def to_json(self, indent: int | None = None) -> str:
        """The JSON text of `to_entry`; `Result.from_json` reads it."""
        return json.dumps(self.to_entry(), indent=indent, ensure_ascii=False)

    @classmethod
    def from_json(cls, entry: str | bytes | Mapping[str, Any], image: Any = None) -> Result:
        """The Result of one entry of `images`, or of one line of JSON Lines.

        `entry` is the text or what `json.loads` made of it; `image` is kept for `plot`. An entry
        of an image that failed has `error` and no prompts. Raises ValueError for what is not such
        an entry.
        """
        from .entries import result_fields

        return cls(image=image, **result_fields(entry))

    def to_coco(
        self,
        image_id: int = 1,
        first_id: int = 1,
        categories: Mapping[str, int] | None = None,
        polygons: bool = False,
    ) -> dict[str, list[dict[str, Any]]]:
        """COCO's "images", "annotations" and "categories" of this image.

        `first_id` is the id of the first annotation; those of the next image begin at
        `first_id + len(result)`. `categories` gives the id of each prompt's text; without it they
        are numbered from 1 by their order. Segmentations are compressed run lengths, or with
        `polygons` the outer rings (COCO's polygons know no holes). Raises ValueError for a text
        that `categories` does not have.
        """
        from .entries import coco_of

        return coco_of(self, image_id, first_id, categories, polygons)

    def to_supervision(self) -> Any:
        """`supervision.Detections` with masks, scores, the prompt's index and its text.

        Needs supervision: `pip install 'sam3trt[supervision]'`.
        """
        try:
            import supervision
        except ImportError as error:
            raise ImportError(
                "to_supervision needs the package supervision: pip install 'sam3trt[supervision]'"
            ) from error
        names = np.array([self.names[label] for label in self.labels.tolist()], dtype=str)
        return supervision.Detections(
            xyxy=self.boxes.copy(),
            mask=self.masks.copy(),
            confidence=self.scores.copy(),
            class_id=self.labels.astype(int),
            data={"class_name": names},
        )

    def plot(
        self,
        image: Any = None,
        *,
        masks: bool = True,
        boxes: bool = False,
        labels: bool = True,
        opacity: float = 0.45,
        colors: Sequence[Sequence[int]] | None = None,
        font: str | os.PathLike | None = None,
    ) -> Any:
        """A PIL image with masks tinted and outlined, and labels with scores.

        `image` is drawn on: PIL, uint8 (H, W, 3) RGB, bytes or a path; without it what the result
        was made of. `colors` are RGB, 0 to 255, one for each prompt, used again from the first
        when there are fewer. `font` is a TrueType file for labels in scripts that Pillow's own
        font has not. Needs Pillow: `pip install 'sam3trt[plot]'`.
        """
        from .drawing import draw

        return draw(
            self,
            image,
            masks=masks,
            boxes=boxes,
            labels=labels,
            opacity=opacity,
            colors=colors,
            font=font,
        )

    def save(self, path: str | os.PathLike, **options: Any) -> Path:
        """Writes `to_json` where `path` ends in .json, else the image of `plot(**options)`.

        The file is written under a temporary name and renamed. Returns the path.
        """
        path = Path(path)
        temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        try:
            if path.suffix.lower() == ".json":
                if options:
                    raise TypeError(f"a JSON file has no options of plot, found {sorted(options)}")
                temporary.write_text(self.to_json(indent=1) + "\n", encoding="utf-8")
            else:
                self.plot(**options).save(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    # Parts.

    @staticmethod
    def _joined(parts: list[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
        return np.concatenate([np.zeros(empty, dtype=dtype), *parts]).astype(dtype, copy=False)

    def _instance(self, label: int, index: int) -> Instance:
        prompt = self.prompts[label]
        return Instance(
            score=float(prompt.scores[index]),
            box=prompt.boxes_xyxy[index],
            label=label,
            name=prompt.name,
            area=int(prompt.areas[index]),
            counts=prompt.counts[index],
            size=self.size,
        )

    def _with(self, prompts: list[PromptFound]) -> Result:
        return Result(self.image, self.path, self.size, prompts, self.timings_ms)

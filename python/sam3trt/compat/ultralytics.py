"""`SAM3SemanticPredictor` as in ultralytics, over a Segmenter.

    from sam3trt.compat.ultralytics import SAM3SemanticPredictor
    predictor = SAM3SemanticPredictor(overrides={"model": "engines", "conf": 0.25})
    predictor.set_image("street.jpg")
    (result,) = predictor(text=["person", "bus"])
    result.boxes.xyxy, result.boxes.conf, result.boxes.cls, result.masks.data, result.names

Arrays are **BGR**, as OpenCV reads them. Instances come by falling score over all texts, after
non-maximum suppression per text with `iou` (default 0.7). Differences: outlines (`masks.xy`) are
traced by contourpy; boxes go with one text, or with none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .tensors import converter, open_model, pixels_of


class Boxes:
    """Boxes of the found instances: tensors of N rows."""

    def __init__(self, data: np.ndarray, size: tuple[int, int], tensor: Callable) -> None:
        self._data = data
        self._tensor = tensor
        #: Height and width of the image.
        self.orig_shape = size

    @property
    def data(self) -> Any:
        """(N, 6): x0 y0 x1 y1 in pixels, score, index of the text."""
        return self._tensor(self._data)

    @property
    def xyxy(self) -> Any:
        """(N, 4), pixels."""
        return self._tensor(self._data[:, :4])

    @property
    def conf(self) -> Any:
        """(N,), scores."""
        return self._tensor(self._data[:, 4])

    @property
    def cls(self) -> Any:
        """(N,), index of the text, as floats; `Results.names` has the text."""
        return self._tensor(self._data[:, 5])

    @property
    def xywh(self) -> Any:
        """(N, 4): center x, center y, width, height in pixels."""
        corner, other = self._data[:, :2], self._data[:, 2:4]
        return self._tensor(np.concatenate([(corner + other) / 2, other - corner], axis=1))

    @property
    def xyxyn(self) -> Any:
        """`xyxy` in parts of the image's width and height."""
        return self.xyxy / self._tensor(self._sides)

    @property
    def xywhn(self) -> Any:
        """`xywh` in parts of the image's width and height."""
        return self.xywh / self._tensor(self._sides)

    @property
    def _sides(self) -> np.ndarray:
        height, width = self.orig_shape
        return np.array([width, height, width, height], dtype=np.float32)

    def cpu(self) -> Boxes:
        """Itself: results are in the host's memory."""
        return self

    def numpy(self) -> Boxes:
        """The same as numpy arrays."""
        return Boxes(self._data, self.orig_shape, np.asarray)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: Any) -> Boxes:
        return Boxes(_rows(self._data, index), self.orig_shape, self._tensor)

    def __iter__(self) -> Iterator[Boxes]:
        return (self[index] for index in range(len(self)))


class Masks:
    """Masks of the found instances."""

    def __init__(self, data: np.ndarray, tensor: Callable) -> None:
        self._data = data
        self._tensor = tensor
        #: Height and width of the image.
        self.orig_shape = data.shape[1:]

    @property
    def data(self) -> Any:
        """bool (N, H, W)."""
        return self._tensor(self._data)

    @cached_property
    def xy(self) -> list[np.ndarray]:
        """Outer rings of each mask, one after the other, float32 (K, 2) x y in pixels."""
        from ..polygons import polygons_of_mask

        none = np.zeros((0, 2), dtype=np.float32)
        return [
            np.concatenate([none, *(part[0][:-1] for part in polygons_of_mask(mask))])
            for mask in self._data
        ]

    @property
    def xyn(self) -> list[np.ndarray]:
        """`xy` in parts of the image's width and height."""
        height, width = self.orig_shape
        return [ring / np.array([width, height], dtype=np.float32) for ring in self.xy]

    def cpu(self) -> Masks:
        """Itself: results are in the host's memory."""
        return self

    def numpy(self) -> Masks:
        """The same as numpy arrays."""
        return Masks(self._data, np.asarray)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: Any) -> Masks:
        return Masks(_rows(self._data, index), self._tensor)

    def __iter__(self) -> Iterator[Masks]:
        return (self[index] for index in range(len(self)))


class Results:
    """What was found in one image."""

    def __init__(
        self,
        result: Any,
        order: np.ndarray,
        image: np.ndarray,
        path: str,
        names: Mapping[int, str],
        tensor: Callable,
    ) -> None:
        self._tensor = tensor
        self._order = order
        #: The `sam3trt.Result`, before non-maximum suppression.
        self.result = result
        #: uint8 (H, W, 3), BGR.
        self.orig_img = image
        #: Height and width of the image.
        self.orig_shape = result.size
        self.path = path
        #: Text by its index.
        self.names = dict(names)
        columns = (result.boxes, result.scores[:, None], result.labels[:, None])
        data = np.concatenate(columns, axis=1).astype(np.float32)[order]
        self.boxes = Boxes(data, result.size, tensor)
        #: None when nothing was found.
        self.masks = Masks(result.masks[order], tensor) if len(order) else None
        names_of_stages = {
            "preprocess": ("decode", "preprocess"),
            "inference": ("vision_encoder", "detector"),
            "postprocess": ("postprocess",),
        }
        #: Milliseconds.
        self.speed = {
            name: sum(result.timings_ms.get(stage, 0.0) for stage in stages)
            for name, stages in names_of_stages.items()
        }

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Results:
        order = _rows(self._order, index)
        return Results(self.result, order, self.orig_img, self.path, self.names, self._tensor)

    def __iter__(self) -> Iterator[Results]:
        return (self[index] for index in range(len(self)))

    def cpu(self) -> Results:
        """Itself: results are in the host's memory."""
        return self

    def numpy(self) -> Results:
        """The same as numpy arrays."""
        return Results(self.result, self._order, self.orig_img, self.path, self.names, np.asarray)

    def plot(self, **options: Any) -> np.ndarray:
        """uint8 (H, W, 3), BGR; options are those of `sam3trt.Result.plot`."""
        drawn = self.result[self._order].plot(self.orig_img[..., ::-1], **options)
        return np.ascontiguousarray(np.asarray(drawn)[..., ::-1])

    def save(self, filename: str | os.PathLike | None = None, **options: Any) -> str:
        """Writes the image of `plot`; without a name results_NAME.jpg in the working folder."""
        path = Path(filename or f"results_{Path(self.path).stem}.jpg")
        self.result[self._order].save(path, image=self.orig_img[..., ::-1], **options)
        return str(path)


class SAM3SemanticPredictor:
    """Finds what texts or example boxes ask for, in an image that is set once.

    `overrides`: "model", the folder of TensorRT engines or ONNX graphs (or a Segmenter); "conf"
    0.25; "iou" 0.7; "agnostic_nms" False; "device" None, "cpu" or "cuda:N". Other keys of
    ultralytics are accepted and not used. `tensors` is "torch", "numpy", or "auto": torch where it
    is installed.
    """

    def __init__(
        self, overrides: Mapping[str, Any] | None = None, tensors: str = "auto", **more: Any
    ) -> None:
        settings = {"conf": 0.25, "iou": 0.7, "agnostic_nms": False, "device": None}
        settings |= {**(overrides or {}), **more}
        if settings.get("model") is None:
            raise ValueError('overrides: "model" is missing, the folder of the model')
        self.args = settings
        self.model = open_model(settings["model"], settings["device"])
        self._tensor = converter(tensors)
        self._image: np.ndarray | None = None
        self._features: Any = None
        self._path = ""

    def set_image(self, image: str | os.PathLike | np.ndarray | Any) -> None:
        """Encodes an image: a path, PIL, or uint8 (H, W, 3) in BGR."""
        self._image, self._path = self._read(image)
        self._features = self.model.encode(self._image[..., ::-1])

    def reset_image(self) -> None:
        """Forgets the image."""
        self._image, self._features, self._path = None, None, ""

    def __call__(
        self,
        source: Any = None,
        text: str | Sequence[str] | None = None,
        bboxes: Any = None,
        labels: Any = None,
        **_: Any,
    ) -> list[Results]:
        """A list with the Results of `source`, or of the image that was set.

        `bboxes` are x0 y0 x1 y1 in pixels, one or several; `labels` 1 for an example (the default)
        and 0 for what is not meant.
        """
        if source is not None:
            image, path = self._read(source)
            features = self.model.encode(image[..., ::-1])
        elif self._features is not None:
            image, path, features = self._image, self._path, self._features
        else:
            raise ValueError("there is no image yet: call set_image, or pass source")
        texts = [text] if isinstance(text, str) else list(text or [])
        boxes = np.asarray([] if bboxes is None else bboxes, dtype=np.float64).reshape(-1, 4)
        if len(boxes) and len(texts) > 1:
            raise ValueError(f"bboxes go with one text, found {texts}")
        result = self.model.detect(
            features,
            text=texts or None,
            boxes=boxes.tolist() or None,
            labels=None if labels is None or not len(boxes) else np.ravel(labels).tolist(),
            threshold=self.args["conf"],
        )
        order = _suppressed(
            result.boxes,
            result.scores,
            np.zeros_like(result.labels) if self.args["agnostic_nms"] else result.labels,
            self.args["iou"],
        )
        return [Results(result, order, image, path, result.names, self._tensor)]

    def _read(self, image: Any) -> tuple[np.ndarray, str]:
        """The image as a BGR array, and its path."""
        if isinstance(image, np.ndarray):
            return image, "image0.jpg"
        pixels = pixels_of(image)
        path = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "image0.jpg"
        return np.asarray(pixels)[..., ::-1], path


def _rows(values: np.ndarray, index: Any) -> np.ndarray:
    """The rows of an index of any kind, one row for a number."""
    if hasattr(index, "tolist") and not isinstance(index, np.ndarray):
        index = np.asarray(index.tolist())
    taken = values[index]
    return taken[None] if np.ndim(index) == 0 and not isinstance(index, slice) else taken


def _suppressed(
    boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, limit: float
) -> np.ndarray:
    """Indices by falling score, without those that overlap a better one of their group by more
    than `limit` (intersection over union).
    """
    left = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(boxes[left, :2], boxes[best, :2])
        high = np.minimum(boxes[left, 2:], boxes[best, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        union = areas[left] + areas[best] - shared
        left = left[(shared <= limit * union) | (groups[left] != groups[best])]
    return np.array(kept, dtype=np.int64)

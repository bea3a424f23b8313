"""Hugging Face transformers' classes of SAM 3 over a Segmenter.

`Sam3Processor` and `Sam3Model` look for texts and examples in images:

    from sam3trt.compat.transformers import Sam3Model, Sam3Processor
    model = Sam3Model.from_pretrained("engines")
    processor = Sam3Processor.from_pretrained("engines")
    inputs = processor(images=image, text="ear", return_tensors="pt").to(model.device)
    outputs = model(**inputs)
    results = processor.post_process_instance_segmentation(
        outputs, threshold=0.5, mask_threshold=0.5, target_sizes=inputs["original_sizes"].tolist()
    )[0]

The model encodes the images when it is called and looks for the prompts when the results are asked
for, as the thresholds are known then. Differences: instances come by falling score; the processor
hands images on as they are, so `pixel_values` and `input_ids` are no tensors; outputs have no
logits; `target_sizes` are the images' own sizes.

`Sam3TrackerProcessor` and `Sam3TrackerModel` take clicks, boxes and masks on images,
`Sam3TrackerVideoProcessor` and `Sam3TrackerVideoModel` on videos, and `Sam3VideoProcessor` and
`Sam3VideoModel` look for texts in videos, whole or frame by frame; `pipeline("mask-generation")`
gives masks of whatever is in an image. Differences: points and boxes
stay in pixels of the image; image embeddings are to be handed back only; memory of a session does
not grow with its video, so that frames far behind the last one are not remembered when a
propagation begins there; a click on a frame is applied when that frame is run, and kept; NMS and
hole filling are always done; of a text only objects with a mask are in the outputs; the image model
adds the embedding that says that there is no memory. What is not supported raises an error that
names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .batches import (
    PADDING,
    Fields,
    Items,
    Model,
    Processor,
    check_tensors,
    is_one_image,
    nested,
)
from .image_tracker import Sam3TrackerModel, Sam3TrackerProcessor
from .mask_generation import pipeline
from .tensors import converter, pixels_of, size_of
from .video_texts import Sam3VideoInferenceSession, Sam3VideoModel, Sam3VideoProcessor
from .video_tracker import (
    Sam3TrackerVideoInferenceSession,
    Sam3TrackerVideoModel,
    Sam3TrackerVideoProcessor,
)

__all__ = [
    "Sam3Model",
    "Sam3Processor",
    "Sam3TrackerModel",
    "Sam3TrackerProcessor",
    "Sam3TrackerVideoInferenceSession",
    "Sam3TrackerVideoModel",
    "Sam3TrackerVideoProcessor",
    "Sam3VideoInferenceSession",
    "Sam3VideoModel",
    "Sam3VideoProcessor",
    "pipeline",
]


class Sam3Processor(Processor):
    """Images and prompts for `Sam3Model`, and results out of what it gives."""

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str | None] | None = None,
        input_boxes: Any = None,
        input_boxes_labels: Any = None,
        original_sizes: Any = None,
        return_tensors: str | None = None,
    ) -> Fields:
        """A batch of (image, text, boxes); a list of images goes with a list of texts.

        `input_boxes` [image][box][4] are x0 y0 x1 y1 in pixels, `input_boxes_labels` [image][box]
        1 for an example and 0 for what is not meant. `return_tensors` "pt" gives results as torch
        tensors, "np" or None as numpy arrays.
        """
        tensor = converter(check_tensors(return_tensors))
        inputs = Fields()
        if images is not None:
            batch = [images] if is_one_image(images) else list(images)
            pixels = Items(pixels_of(image) for image in batch)
            inputs["pixel_values"] = pixels
            original_sizes = [size_of(image) for image in pixels]
        if original_sizes is not None:
            sizes = np.asarray(nested(original_sizes), dtype=np.int64).reshape(-1, 2)
            inputs["original_sizes"] = tensor(sizes)
        if text is not None:
            texts = Items([text] if isinstance(text, str) else text)
            inputs["input_ids"] = texts
        if input_boxes is not None:
            boxes = nested(input_boxes)
            labels = nested(input_boxes_labels)
            if labels is None:
                labels = [[1] * len(some) if some is not None else None for some in boxes]
            if [len(some or []) for some in boxes] != [len(some or []) for some in labels]:
                raise ValueError(
                    f"input_boxes and input_boxes_labels differ in length: {boxes}, {labels}"
                )
            inputs["input_boxes"] = Items(boxes)
            inputs["input_boxes_labels"] = Items(labels)
        for value in inputs.values():
            if isinstance(value, Items):
                value.tensors = return_tensors
        return inputs

    def post_process_instance_segmentation(
        self,
        outputs: Sam3Outputs,
        threshold: float = 0.3,
        mask_threshold: float = 0.5,
        target_sizes: Any = None,
    ) -> list[dict[str, Any]]:
        """For each image {"scores" (N,), "boxes" (N, 4) x0 y0 x1 y1, "masks" int64 (N, H, W)}.

        `target_sizes` are height and width of each image.
        """
        results = outputs.results(threshold, mask_threshold)
        _check_sizes(results, target_sizes)
        return [
            {
                "scores": outputs.tensor(result.scores),
                "boxes": outputs.tensor(result.boxes),
                "masks": outputs.tensor(result.masks.astype(np.int64)),
            }
            for result in results
        ]

    def post_process_object_detection(
        self, outputs: Sam3Outputs, threshold: float = 0.3, target_sizes: Any = None
    ) -> list[dict[str, Any]]:
        """The same without masks."""
        results = outputs.results(threshold, 0.5)
        _check_sizes(results, target_sizes)
        return [
            {"scores": outputs.tensor(result.scores), "boxes": outputs.tensor(result.boxes)}
            for result in results
        ]


def _check_sizes(results: list[Any], target_sizes: Any) -> None:
    sizes = [list(result.size) for result in results]
    found = nested(target_sizes)
    if found is None or [[int(side) for side in nested(size)] for size in found] != sizes:
        raise ValueError(
            f"target_sizes: expected the images' own heights and widths, {sizes}, found {found}; "
            "pass inputs['original_sizes'].tolist()"
        )


class Sam3Outputs:
    """What the model gives: encoded images and what to look for in them."""

    def __init__(self, segmenter: Any, requests: list[tuple[Any, dict[str, Any]]], kind: str):
        self._segmenter = segmenter
        self._requests = requests
        self._kept: dict[tuple[float, float], list[Any]] = {}
        self.tensor = converter(kind)

    def results(self, threshold: float = 0.3, mask_threshold: float = 0.5) -> list[Any]:
        """A `sam3trt.Result` for each image; computed once for each pair of thresholds."""
        key = (threshold, mask_threshold)
        if key not in self._kept:
            self._kept[key] = [
                self._segmenter.detect(
                    features, **prompt, threshold=threshold, mask_threshold=mask_threshold
                )
                for features, prompt in self._requests
            ]
        return self._kept[key]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the outputs have no {name!r}: results come from the processor's "
            "post_process_instance_segmentation, or as sam3trt.Result from results()"
        )


class Sam3Model(Model):
    """A Segmenter that is called as transformers' `Sam3Model`."""

    def get_vision_features(self, pixel_values: Items) -> SimpleNamespace:
        """Encoded images, to be used again: `model(vision_embeds=..., input_ids=...)`."""
        features = [self.segmenter.encode(image) for image in pixel_values]
        return SimpleNamespace(features=features, kind=pixel_values.tensors)

    def get_text_features(self, input_ids: Items, attention_mask: Any = None) -> SimpleNamespace:
        """The texts, to be used again: `model(text_embeds=features.pooler_output, ...)`."""
        return SimpleNamespace(pooler_output=input_ids)

    def __call__(
        self,
        pixel_values: Items | None = None,
        vision_embeds: Any = None,
        input_ids: Items | None = None,
        attention_mask: Any = None,
        text_embeds: Items | None = None,
        input_boxes: Items | None = None,
        input_boxes_labels: Items | None = None,
        original_sizes: Any = None,
    ) -> Sam3Outputs:
        """Encodes the images. Raises ValueError when images and prompts do not go together."""
        if (pixel_values is None) == (vision_embeds is None):
            raise ValueError("give either pixel_values or vision_embeds")
        if vision_embeds is None:
            vision_embeds = self.get_vision_features(pixel_values)
        features = vision_embeds.features
        count = len(features)
        texts = _batch("text", text_embeds if input_ids is None else input_ids, count)
        boxes = _batch("input_boxes", input_boxes, count)
        labels = _batch("input_boxes_labels", input_boxes_labels, count)
        requests = [
            (features[index], _prompt(texts[index], boxes[index], labels[index]))
            for index in range(count)
        ]
        kind = "torch" if vision_embeds.kind == "pt" else "numpy"
        return Sam3Outputs(self.segmenter, requests, kind)


def _batch(name: str, values: list | None, count: int) -> list:
    if values is None:
        return [None] * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries for {count} images")
    return values


def _prompt(text: str | None, boxes: list | None, labels: list | None) -> dict[str, Any]:
    pairs = [
        (box, label)
        for box, label in zip(boxes or [], labels or [])
        if box is not None and label != PADDING
    ]
    if text is None and not pairs:
        raise ValueError("an image has neither a text nor boxes to look for")
    return {
        "text": text,
        "boxes": [box for box, _ in pairs] or None,
        "labels": [int(label) for _, label in pairs] or None,
    }

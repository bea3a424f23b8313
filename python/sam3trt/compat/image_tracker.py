"""`Sam3TrackerProcessor` and `Sam3TrackerModel`: clicks, boxes and masks on images."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .batches import (
    PADDING,
    Fields,
    Items,
    Model,
    Outputs,
    Processor,
    check_tensors,
    clicks_of,
    is_one_image,
    levels,
    nested,
    pad_points,
    refuse,
)
from .tensors import converter, logits_of, pixels_of, resize, size_of


class Sam3TrackerProcessor(Processor):
    """Images and what points at objects in them for `Sam3TrackerModel`, and masks out of it."""

    def __call__(
        self,
        images: Any = None,
        segmentation_maps: Any = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        original_sizes: Any = None,
        return_tensors: str | None = None,
        device: Any = None,
        **more: Any,
    ) -> Fields:
        """A batch of images with `input_points` [image][object][point][2], `input_labels`
        [image][object][point] and `input_boxes` [image][object][4], in pixels of the images.

        Objects with fewer points than others are filled up, which the model attends to. Without
        images `original_sizes` must be given: for embeddings that are there already.
        """
        refuse({"segmentation_maps": segmentation_maps, **more})
        kind = check_tensors(return_tensors)
        tensor = converter(kind)
        inputs = Fields()
        if images is not None:
            batch = [images] if is_one_image(images) else list(images)
            pixels = Items(pixels_of(image) for image in batch)
            pixels.tensors = return_tensors
            inputs["pixel_values"] = pixels
            original_sizes = [size_of(image) for image in pixels]
        if original_sizes is None:
            raise ValueError("give images or original_sizes")
        sizes = np.asarray(nested(original_sizes), dtype=np.int64).reshape(-1, 2)
        inputs["original_sizes"] = tensor(sizes)
        points = levels(input_points, "points", ("image", "object", "point", "coordinates"), 2)
        labels = levels(input_labels, "labels", ("image", "object", "point"))
        boxes = levels(input_boxes, "boxes", ("image", "object", "coordinates"), 4)
        if labels is not None and points is None:
            raise ValueError("input_labels say which input_points are on the object; give both")
        if points is not None:
            coordinates, kinds = pad_points(points, labels)
            inputs["input_points"] = tensor(coordinates)
            if kinds is not None:
                inputs["input_labels"] = tensor(kinds)
        if boxes is not None:
            counts = {len(image) for image in boxes}
            if len(counts) > 1:
                raise ValueError(
                    f"input_boxes: images with {sorted(counts)} boxes; boxes cannot be filled up, "
                    "so each image needs as many"
                )
            inputs["input_boxes"] = tensor(np.asarray(boxes, dtype=np.float32))
        return inputs

    def post_process_masks(
        self,
        masks: Any,
        original_sizes: Any,
        mask_threshold: float = 0.0,
        binarize: bool = True,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        apply_non_overlapping_constraints: bool = False,
        **_: Any,
    ) -> list[Any]:
        """For each image its logits (P, K, h, w) at the size of the image: bool, or float32
        logits where `binarize` is False.

        `max_hole_area` and `max_sprinkle_area` are accepted and not used, as in transformers.
        """
        results = []
        for some, size in zip(masks, nested(original_sizes)):
            large = resize(some, tuple(int(side) for side in nested(size)))
            if apply_non_overlapping_constraints and len(large) > 1:
                large = _parted(large)
            results.append(large > mask_threshold if binarize else large)
        return results


def _parted(masks: Any) -> Any:
    """A pixel stays with the object that has the highest logit there."""
    best = masks.argmax(0)
    for index in range(len(masks)):
        others = best != index
        masks[index][others] = masks[index][others].clip(max=-10.0)
    return masks


class Embeddings:
    """Encoded images of a batch."""

    def __init__(self, features: list[Any], kind: str) -> None:
        self.features = features
        self.kind = kind

    def __len__(self) -> int:
        return len(self.features)


class Sam3TrackerModel(Model):
    """A Segmenter that is called as transformers' `Sam3TrackerModel`."""

    def get_image_embeddings(self, pixel_values: Any, **_: Any) -> Embeddings:
        """Encoded images, to be used again: `model(image_embeddings=..., input_points=...)`."""
        kind = "torch" if getattr(pixel_values, "tensors", None) == "pt" else "numpy"
        return Embeddings([self.segmenter.encode(image) for image in pixel_values], kind)

    def __call__(
        self,
        pixel_values: Any = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        input_masks: Any = None,
        image_embeddings: Embeddings | None = None,
        multimask_output: bool = True,
        original_sizes: Any = None,
        **more: Any,
    ) -> Outputs:
        """`iou_scores` (B, P, K), `pred_masks` (B, P, K, side, side), `object_score_logits`
        (B, P, 1) and `image_embeddings`; K is 3, or 1 without `multimask_output`.

        `input_masks` are logits of an earlier result, or masks of the image's size.
        """
        refuse(more)
        if (pixel_values is None) == (image_embeddings is None):
            raise ValueError("give either pixel_values or image_embeddings")
        if image_embeddings is None:
            image_embeddings = self.get_image_embeddings(pixel_values)
        tensor = converter(image_embeddings.kind)
        count = len(image_embeddings)
        points, labels, boxes = (
            None if value is None else np.asarray(nested(value))
            for value in (input_points, input_labels, input_boxes)
        )
        objects = 1
        for name, value in (("input_points", points), ("input_boxes", boxes)):
            if value is not None and len(value) != count:
                raise ValueError(f"{name} has {len(value)} entries for {count} images")
            objects = objects if value is None else value.shape[1]
        if points is not None and boxes is not None and points.shape[1] != boxes.shape[1]:
            raise ValueError(
                f"as many boxes as objects with points, found {boxes.shape[1]} and "
                f"{points.shape[1]}"
            )
        if points is not None and labels is None:
            labels = np.where((points == PADDING).all(-1), PADDING, 1)
        masks = _split_masks(input_masks, count, objects)
        found = []
        for image, features in enumerate(image_embeddings.features):
            prompts = [
                _prompt(
                    index + 1,
                    *(
                        None if value is None else value[image, index]
                        for value in (points, labels, boxes)
                    ),
                    masks[image * objects + index],
                )
                for index in range(objects)
            ]
            options = (bool(multimask_output), True, True)
            found.append(self.segmenter._interact(features, prompts, options)[0])
        several = [[one.candidates or [one] for one in image] for image in found]
        return Outputs(
            iou_scores=tensor(
                np.array(
                    [[[mask.score for mask in one] for one in image] for image in several],
                    dtype=np.float32,
                )
            ),
            pred_masks=tensor(
                np.stack([[[mask.logits for mask in one] for one in image] for image in several])
            ),
            object_score_logits=tensor(
                np.stack(
                    [
                        logits_of([one.object_score for one in image.objects])[:, None]
                        for image in found
                    ]
                )
            ),
            image_embeddings=image_embeddings,
        )


def _split_masks(masks: Any, images: int, objects: int) -> list[Any]:
    """For each object of each image its mask, or None."""
    if masks is None:
        return [None] * (images * objects)
    array = np.asarray(nested(masks))
    array = array.reshape(-1, *array.shape[-2:])
    if len(array) != images * objects:
        raise ValueError(
            f"input_masks: {len(array)} masks for {images * objects} objects; expected one for each"
        )
    return list(array)


def _prompt(number: int, points: Any, labels: Any, box: Any, mask: Any) -> _core.ObjectPrompt:
    clicks, positive, corners, padding = [], [], None, 0
    if points is not None:
        clicks, positive, corners, padding = clicks_of(points, labels)
    if box is not None:
        if corners is not None:
            raise ValueError("input_boxes: the corners of a box are in input_points already")
        corners = tuple(box.tolist())
    previous = None
    if mask is not None and mask.dtype != bool and mask.shape[0] == mask.shape[1]:
        mask, previous = None, np.ascontiguousarray(mask, dtype=np.float32)
    elif mask is not None:
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(
                "input_masks: expected the logits of an earlier result, square, or a mask of the "
                f"image's size of 0 and 1, found other numbers in the shape {mask.shape}"
            )
        mask = np.ascontiguousarray(mask, dtype=bool)
    return _core.ObjectPrompt(number, clicks, positive, corners, mask, previous, padding)

"""transformers' pipeline "mask-generation" over a Segmenter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .batches import is_one_image, refuse
from .tensors import converter, open_model, pixels_of


class MaskGenerationPipeline:
    """Masks of whatever is in an image, by a grid of clicks.

    The grid covers the image; that of transformers is scaled as for a model that keeps the aspect
    ratio, so that its clicks end before the image does.
    """

    def __init__(self, segmenter: Any) -> None:
        self.segmenter = segmenter
        self._tensor = converter("auto")

    def __call__(self, image: Any, **options: Any) -> Any:
        """Of an image, or of each of a list, what `generate` gives."""
        if is_one_image(image):
            return self.generate(image, **options)
        return [self.generate(one, **options) for one in image]

    def generate(
        self,
        image: Any,
        points_per_batch: int = 64,
        points_per_crop: int = 32,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        crops_nms_thresh: float = 0.7,
        output_rle_mask: bool = False,
        output_bboxes_mask: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        """{"masks": bool (H, W) of each, "scores": (N,)}, with "rle_mask" and "bounding_boxes"
        where they are asked for. How many clicks go through the model together is its own choice.
        """
        refuse(more)
        found = self.segmenter.everything(
            pixels_of(image),
            points_per_side=points_per_crop,
            min_iou=pred_iou_thresh,
            min_stability=stability_score_thresh,
            box_nms=crops_nms_thresh,
        )
        result: dict[str, Any] = {
            "masks": [np.array(one.mask) for one in found],
            "scores": self._tensor(found.scores),
        }
        if output_rle_mask:
            result["rle_mask"] = [
                {"size": list(one.size), "counts": one.counts.tolist()} for one in found
            ]
        if output_bboxes_mask:
            result["bounding_boxes"] = self._tensor(found.boxes)
        return result


def pipeline(task: str, model: Any = None, device: Any = None, **_: Any) -> MaskGenerationPipeline:
    """The pipeline "mask-generation" of a model's folder.

    `device` is a number, -1 for the CPU, "cpu" or "cuda:N".
    """
    if task != "mask-generation":
        raise NotImplementedError(
            f"pipeline {task!r}: sam3trt has 'mask-generation'; use transformers for others"
        )
    if model is None:
        raise ValueError("model: name the folder with engines or ONNX graphs")
    name = None if device is None else str(device)
    if name is not None and name.lstrip("-").isdigit():
        name = "cpu" if int(name) < 0 else f"cuda:{name}"
    return MaskGenerationPipeline(open_model(getattr(model, "segmenter", model), name))

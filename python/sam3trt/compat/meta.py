"""Meta's package (sam3) over a Segmenter: `Sam3Processor`, its interactive predictor, its videos.

    from sam3trt.compat.meta import Sam3Processor
    processor = Sam3Processor("engines")
    state = processor.set_image(image)
    state = processor.set_text_prompt("dog", state)
    state["masks"], state["boxes"], state["scores"]

Differences: instances come by falling score; `state` has no "masks_logits" and no "backbone_out";
setting an image begins without prompts. To the letter what Meta's code computes comes from models
that were exported from Meta's `sam3.pt`.

`build_sam3_image_model` gives a model with `predict_inst`, `build_sam3_video_predictor` one that
answers requests about videos, `build_sam3_video_model` one whose `tracker` follows what is pointed
at. They take the model's folder as `checkpoint_path`. Differences of the video predictor: the
frame of a text's request is shown as tracking begins with it; objects that a text found take no
clicks; clicks need no propagation before; clicks on one object run the others again, too; an object
that is clicked on again far from the last frame begins without its mask there. What is not
supported raises an error that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .meta_interactive import (
    Sam3Image,
    SAM3InteractiveImagePredictor,
    build_sam3_image_model,
    encode_batch,
)
from .meta_tracker import Sam3TrackerPredictor
from .meta_videos import (
    Sam3VideoPredictor,
    Sam3VideoPredictorMultiGPU,
    build_sam3_video_model,
    build_sam3_video_predictor,
)
from .tensors import check_device, converter, open_model, pixels_of, size_of

__all__ = [
    "SAM3InteractiveImagePredictor",
    "Sam3Processor",
    "Sam3TrackerPredictor",
    "Sam3VideoPredictor",
    "Sam3VideoPredictorMultiGPU",
    "build_sam3_image_model",
    "build_sam3_video_model",
    "build_sam3_video_predictor",
]

_RESULTS = ("masks", "boxes", "scores")
_PROMPTS = ("text", "geometric_prompt")


class Sam3Processor:
    """Prompts for one image after another, kept in a dictionary, `state`.

    `model` is a Segmenter, the folder of one, or what `build_sam3_image_model` gives. `resolution`
    is accepted and not used: the model has its own. With `device` "cpu" or "cuda" it is an error
    when the model runs elsewhere. `tensors` is "torch", "numpy", or "auto": torch where it is
    installed.
    """

    def __init__(
        self,
        model: Any,
        resolution: int | None = None,
        device: str | None = None,
        confidence_threshold: float = 0.5,
        tensors: str = "auto",
    ) -> None:
        if isinstance(model, Sam3Image):
            model = model.segmenter
        self.model = open_model(model, device)
        self.resolution = resolution
        self.confidence_threshold = confidence_threshold
        self._tensor = converter(tensors)
        if device is not None:
            check_device(self.model, device)
        self.device = self.model.device

    def set_image(self, image: Any, state: dict[str, Any] | None = None) -> dict[str, Any]:
        """Encodes an image: PIL, uint8 (H, W, 3) or (3, H, W) RGB, a path, or a file's bytes."""
        state = {} if state is None else state
        self.reset_all_prompts(state)
        pixels = pixels_of(image)
        state["original_height"], state["original_width"] = size_of(pixels)
        state["features"] = self.model.encode(pixels)
        return state

    def set_image_batch(
        self, images: list[Any], state: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Encodes several images, for `predict_inst_batch`."""
        state = {} if state is None else state
        self.reset_all_prompts(state)
        return encode_batch(self.model, images, state)

    def set_text_prompt(self, prompt: str, state: dict[str, Any]) -> dict[str, Any]:
        """Looks for `prompt`, in place of an earlier text; boxes that were added stay."""
        _check(state)
        state["text"] = prompt
        return self._detect(state)

    def add_geometric_prompt(
        self, box: Sequence[float], label: bool, state: dict[str, Any]
    ) -> dict[str, Any]:
        """Adds an example box, center x, center y, width, height in 0..1; `label` False: not such.

        Without a text it is "what looks like this".
        """
        _check(state)
        center_x, center_y, width, height = (float(value) for value in box)
        sides = (state["original_width"], state["original_height"])
        corners = (
            (center_x - width / 2) * sides[0],
            (center_y - height / 2) * sides[1],
            (center_x + width / 2) * sides[0],
            (center_y + height / 2) * sides[1],
        )
        state.setdefault("geometric_prompt", []).append((corners, int(bool(label))))
        return self._detect(state)

    def reset_all_prompts(self, state: dict[str, Any]) -> None:
        """Forgets prompts and results; the image stays."""
        for key in (*_PROMPTS, *_RESULTS, "result"):
            state.pop(key, None)

    def set_confidence_threshold(
        self, threshold: float, state: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Takes another threshold, for the results that `state` has as well."""
        self.confidence_threshold = threshold
        if state is not None and "boxes" in state:
            return self._detect(state)
        return state

    def _detect(self, state: dict[str, Any]) -> dict[str, Any]:
        prompt = state.get("geometric_prompt", [])
        result = self.model.detect(
            state["features"],
            text=state.get("text"),
            boxes=[box for box, _ in prompt] or None,
            labels=[label for _, label in prompt] or None,
            threshold=self.confidence_threshold,
        )
        state["result"] = result
        state["masks"] = self._tensor(result.masks[:, None])
        state["boxes"] = self._tensor(result.boxes)
        state["scores"] = self._tensor(result.scores)
        return state


def _check(state: dict[str, Any]) -> None:
    if "features" not in state:
        raise ValueError("there is no image yet: call set_image first")

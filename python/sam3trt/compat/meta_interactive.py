"""Meta's image model with its interactive predictor: clicks, boxes and masks on images.

from sam3trt.compat.meta import Sam3Processor, build_sam3_image_model
model = build_sam3_image_model(checkpoint_path="engines", enable_inst_interactivity=True)
state = Sam3Processor(model).set_image(image)
masks, scores, logits = model.predict_inst(state, point_coords=points, point_labels=labels)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .batches import nested
from .tensors import open_model, pixels_of, size_of

_MOST_LOGIT = 32.0  # what Meta's predictor cuts the logits at that it gives


class SAM3InteractiveImagePredictor:
    """Masks of what is pointed at in the image, or the batch of images, that was set."""

    def __init__(self, model: Any) -> None:
        self.model = open_model(model, None)
        self.reset_predictor()

    @property
    def device(self) -> str:
        """ "cpu" or "cuda:N"."""
        return self.model.device

    def reset_predictor(self) -> None:
        """Forgets the images."""
        self._features: list[Any] = []
        self._is_batch = False

    def set_image(self, image: Any) -> None:
        """Encodes an image: PIL, uint8 (H, W, 3) RGB, or a path."""
        self._features, self._is_batch = [self.model.encode(pixels_of(image))], False

    def set_image_batch(self, image_list: list[Any]) -> None:
        """Encodes several images."""
        features = [self.model.encode(pixels_of(image)) for image in image_list]
        self._features, self._is_batch = features, True

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks float32 0 or 1 (K, H, W), predicted IoUs (K,), logits (K, side, side) for a later
        `mask_input`; of N objects (N, K, H, W) and so on.

        `point_coords` (P, 2) or (N, P, 2) and `box` (4,) or (N, 4) are pixels of the image,
        `point_labels` (P,) or (N, P) 1 on the object, 0 not.
        """
        self._check(batch=False)
        _refuse(return_logits, normalize_coords)
        asked = (point_coords, point_labels, box, mask_input)
        return self._predict(self._features[0], *asked, multimask_output)

    def predict_batch(
        self,
        point_coords_batch: list[Any] | None = None,
        point_labels_batch: list[Any] | None = None,
        box_batch: list[Any] | None = None,
        mask_input_batch: list[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """What `predict` gives, of each image of the batch."""
        self._check(batch=True)
        _refuse(return_logits, normalize_coords)
        results = []
        batches = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        for index, features in enumerate(self._features):
            asked = [None if batch is None else batch[index] for batch in batches]
            results.append(self._predict(features, *asked, multimask_output))
        masks, scores, logits = (list(parts) for parts in zip(*results))
        return masks, scores, logits

    def _check(self, batch: bool) -> None:
        if not self._features or self._is_batch != batch:
            name = "set_image_batch" if batch else "set_image"
            raise RuntimeError(f"there is no image yet: call {name} first")

    def _predict(
        self, features: Any, points: Any, labels: Any, box: Any, mask: Any, multimask: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        prompts = _prompts(points, labels, box, mask)
        found = self.model._interact(features, prompts, (bool(multimask), True, True))[0]
        several = [one.candidates or [one] for one in found]
        masks = np.stack([[mask_of(one, found.size) for one in some] for some in several])
        scores = np.array([[one.score for one in some] for some in several], dtype=np.float32)
        logits = np.stack([[one.logits for one in some] for some in several])
        arrays = (masks.astype(np.float32), scores, np.clip(logits, -_MOST_LOGIT, _MOST_LOGIT))
        return tuple(array[0] if len(several) == 1 else array for array in arrays)


def mask_of(one: Any, size: tuple[int, int]) -> np.ndarray:
    """bool (H, W)."""
    from ..rle import decode

    return decode(one.counts, size)


def _refuse(return_logits: bool, normalize_coords: bool) -> None:
    if return_logits:
        raise NotImplementedError(
            "return_logits=True: sam3trt gives masks of the image's size, and logits of the "
            "model's size as the third result"
        )
    if not normalize_coords:
        raise NotImplementedError("normalize_coords=False: give coordinates in pixels of the image")


def _prompts(points: Any, labels: Any, box: Any, mask: Any) -> list[_core.ObjectPrompt]:
    given = {}
    if points is not None:
        if labels is None:
            raise ValueError("point_labels: they go with point_coords")
        given["point_coords"] = np.asarray(nested(points), dtype=np.float64).reshape(
            -1, *np.shape(nested(points))[-2:]
        )
        given["point_labels"] = np.asarray(nested(labels)).reshape(-1, np.shape(nested(labels))[-1])
    if box is not None:
        given["box"] = np.asarray(nested(box), dtype=np.float64).reshape(-1, 4)
    if mask is not None:
        logits = np.asarray(nested(mask), dtype=np.float32)
        given["mask_input"] = logits.reshape(-1, *logits.shape[-2:])
    counts = {name: len(value) for name, value in given.items()}
    if not counts:
        raise ValueError("nothing to point at: give point_coords, box or mask_input")
    if len(set(counts.values())) > 1:
        raise ValueError(f"as many objects in each argument, found {counts}")
    prompts = []
    for index in range(next(iter(counts.values()))):
        one = {name: value[index] for name, value in given.items()}
        clicks = [tuple(point) for point in one.get("point_coords", np.zeros((0, 2))).tolist()]
        kinds = one.get("point_labels", np.zeros(0)).tolist()
        if any(kind not in (0, 1) for kind in kinds) or len(kinds) != len(clicks):
            raise ValueError(
                f"point_labels: expected 1 or 0 for each of {len(clicks)} points, found {kinds}"
            )
        corners = tuple(one["box"].tolist()) if "box" in one else None
        previous = np.ascontiguousarray(one["mask_input"]) if "mask_input" in one else None
        positive = [bool(kind) for kind in kinds]
        prompts.append(_core.ObjectPrompt(index + 1, clicks, positive, corners, None, previous))
    return prompts


class Sam3Image:
    """What `build_sam3_image_model` gives: for `Sam3Processor`, and for clicks on its images."""

    def __init__(self, segmenter: Any, interactive: bool) -> None:
        self.segmenter = segmenter
        #: With `set_image` and `predict`; None unless `enable_inst_interactivity` asked for it.
        self.inst_interactive_predictor = (
            SAM3InteractiveImagePredictor(segmenter) if interactive else None
        )

    @property
    def device(self) -> str:
        """ "cpu" or "cuda:N"."""
        return self.segmenter.device

    def eval(self) -> Sam3Image:
        """Itself."""
        return self

    def to(self, device: Any = None, *_: Any, **__: Any) -> Sam3Image:
        """Itself; ValueError when the model does not run on that kind of device."""
        from .tensors import check_device

        check_device(self.segmenter, device)
        return self

    def predict_inst(
        self, inference_state: dict[str, Any], **prompts: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`SAM3InteractiveImagePredictor.predict` for the image of a `Sam3Processor`'s state."""
        predictor = self._interactive()
        if "features" not in inference_state:
            raise ValueError("there is no image yet: call set_image first")
        predictor._features, predictor._is_batch = [inference_state["features"]], False
        return predictor.predict(**prompts)

    def predict_inst_batch(
        self, inference_state: dict[str, Any], *batches: Any, **prompts: Any
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """`SAM3InteractiveImagePredictor.predict_batch` for the images of a state."""
        predictor = self._interactive()
        if "features_batch" not in inference_state:
            raise ValueError("there are no images yet: call set_image_batch first")
        predictor._features, predictor._is_batch = inference_state["features_batch"], True
        return predictor.predict_batch(*batches, **prompts)

    def _interactive(self) -> SAM3InteractiveImagePredictor:
        if self.inst_interactive_predictor is None:
            raise ValueError(
                "this model takes no clicks: build it with enable_inst_interactivity=True"
            )
        return self.inst_interactive_predictor


def build_sam3_image_model(
    bpe_path: Any = None,
    device: Any = None,
    eval_mode: bool = True,
    checkpoint_path: Any = None,
    load_from_HF: bool = True,
    enable_segmentation: bool = True,
    enable_inst_interactivity: bool = False,
    compile: bool = False,
) -> Sam3Image:
    """The model of a folder of TensorRT engines or ONNX graphs, `checkpoint_path`.

    `device` is None, "cpu" or "cuda:N"; everything else but `enable_inst_interactivity` is accepted
    and not used.
    """
    return Sam3Image(open_folder(checkpoint_path, device), enable_inst_interactivity)


def open_folder(checkpoint_path: Any, device: Any) -> Any:
    """A Segmenter of the folder that was named, or the one that was given."""
    if checkpoint_path is None:
        raise ValueError(
            "checkpoint_path: name the folder with engines or ONNX graphs that sam3trt.export and "
            "sam3trt.build make from a checkpoint; nothing is downloaded here"
        )
    name = "auto" if device is None else str(device)
    return open_model(checkpoint_path, "cuda:0" if name == "cuda" else name)


def encode_batch(model: Any, images: list[Any], state: dict[str, Any]) -> dict[str, Any]:
    """What `Sam3Processor.set_image_batch` puts into a state."""
    pixels = [pixels_of(image) for image in images]
    sizes = [size_of(image) for image in pixels]
    state["original_heights"] = [height for height, _ in sizes]
    state["original_widths"] = [width for _, width in sizes]
    state["features_batch"] = [model.encode(image) for image in pixels]
    return state

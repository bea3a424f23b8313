"""The model, ready to be called."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Literal, overload

from . import _core
from .arguments import check_range, concepts_of
from .device import DeviceMasks
from .errors import BadInputError, Error, UnavailableError
from .intake import ImageLike, is_sequence_of_images, read_ahead, to_input
from .objects import Objects, to_objects
from .pointing import prompts_of
from .result import PromptFound, Result

Errors = Literal["raise", "return"]
Masks = Literal["host", "device"]


class Features:
    """What the vision encoder makes of one image or of several; keeps the model alive.

    They lie on the model's device until this object goes. Made by :meth:`Segmenter.encode`.
    """

    def __init__(self, encoded: _core.Features, images: list[ImageLike], one: bool) -> None:
        self._encoded = encoded
        self._images = images
        self._one = one

    def __len__(self) -> int:
        """Images that were encoded together."""
        return self._encoded.images

    @property
    def size_bytes(self) -> int:
        """Memory of the device that they take."""
        return self._encoded.size_bytes


class Segmenter:
    """Finds in images what texts and example boxes ask for, and what clicks point at.

    Load it once and call it many times, from any number of threads: calls hold no lock of Python
    while they work, and at most ``sessions`` of them run at once; others wait. On the CPU they take
    turns in the model anyhow; on a GPU each session has memory of its own.

    Args:
        path: Folder of TensorRT engines, or of the ONNX graphs that :func:`sam3trt.export` wrote.
        device: ``"auto"``: the GPU for engines, the CPU for graphs. ``"cpu"``: the graphs of the
            folder. ``"cuda"``, ``"cuda:1"`` or a number: its engines, on that GPU.
        threads: Processor threads of the CPU backend; 0 is OpenVINO's choice.
        allow_unverified: Take engines whose verification failed or is missing.
        sessions: Calls that run at once.

    Raises:
        BadInputError: The folder holds no model, or one that was built for another machine or was
            not verified.
        UnavailableError: The GPU, its driver or TensorRT is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str | int = "auto",
        threads: int = 0,
        allow_unverified: bool = False,
        *,
        sessions: int = 2,
    ) -> None:
        backend, ordinal = _parse_device(device)
        check_range("threads", threads, 0, 4096)
        check_range("sessions", sessions, 1, 64)
        self._core = _core.Segmenter(
            os.fspath(path), backend, ordinal, threads, allow_unverified, sessions
        )
        self._ordinal = ordinal

    @property
    def backend(self) -> str:
        """``"tensorrt"`` or ``"openvino"``."""
        return self._core.backend

    @property
    def semantics(self) -> str:
        """Whose behaviour the model reproduces: ``"hf"`` or ``"meta"``."""
        return self._core.semantics

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda:N"``."""
        return "cpu" if self.backend == "openvino" else f"cuda:{self._ordinal}"

    @property
    def max_images(self) -> int:
        """Images that go through the model together."""
        return self._core.max_images

    @property
    def max_boxes(self) -> int:
        """Boxes that one prompt may have."""
        return self._core.max_boxes

    @property
    def verified(self) -> bool:
        """False when an engine runs only because ``allow_unverified`` lets it."""
        return self._core.verified

    def __repr__(self) -> str:
        return f"<sam3trt.Segmenter {self.backend} on {self.device}, semantics {self.semantics}>"

    @overload
    def __call__(
        self,
        image: list[ImageLike] | tuple[ImageLike, ...],
        text: str | Sequence[str] | None = ...,
        boxes: Any = ...,
        labels: Any = ...,
        threshold: float = ...,
        mask_threshold: float = ...,
        *,
        masks: Masks = ...,
        errors: Literal["raise"] = ...,
    ) -> list[Result]: ...
    @overload
    def __call__(
        self,
        image: list[ImageLike] | tuple[ImageLike, ...],
        text: str | Sequence[str] | None = ...,
        boxes: Any = ...,
        labels: Any = ...,
        threshold: float = ...,
        mask_threshold: float = ...,
        *,
        masks: Masks = ...,
        errors: Errors,
    ) -> list[Result | Error]: ...
    @overload
    def __call__(
        self,
        image: ImageLike,
        text: str | Sequence[str] | None = ...,
        boxes: Any = ...,
        labels: Any = ...,
        threshold: float = ...,
        mask_threshold: float = ...,
        *,
        masks: Masks = ...,
        errors: Errors = ...,
    ) -> Result: ...
    def __call__(
        self,
        image,
        text=None,
        boxes=None,
        labels=None,
        threshold=0.5,
        mask_threshold=0.5,
        *,
        masks="host",
        errors="raise",
    ):
        """Finds in one image, or in each of a list or tuple, what is asked for.

        Args:
            image: A path, the bytes of an image file, a PIL image, or an array of uint8 in **RGB**
                order: numpy, torch or any other with ``__dlpack__``, of shape (H, W, 3), (3, H, W),
                (H, W, 4), whose alpha is dropped, or (H, W), which is grey, in any strides.
                On the CPU, or on the model's CUDA device, where it is read without a copy through
                the host, after what its current stream has queued. Files and PIL images are turned
                as their EXIF orientation says.
            text: What to look for; of several texts each is a prompt of its own.
            boxes: Examples, [x0, y0, x1, y1] in pixels of the image, which go with every text;
                without a text they are one prompt: "what looks like this".
            labels: For each box whether it is an example (1, the default) or a counterexample (0).
            threshold: Instances above this score are kept, 0 to 1.
            mask_threshold: Pixels above this probability belong to a mask, 0 to 1.
            masks: ``"device"``: also as bits in the GPU's memory (:attr:`Result.device_masks`).
            errors: Of several images. All are worked off in any case. ``"raise"``: then the first
                error is raised; its ``results`` has what was found in the others. ``"return"``: the
                error is in the list in place of the result.

        Returns:
            A :class:`Result`, or a list of them for several images.

        Raises:
            TypeError: An array of another type than uint8, or what is no image at all; of several
                images it is treated as their other errors are.
            BadInputError: A file that cannot be read, a box outside its image, a wrong prompt.
        """
        prompts = concepts_of(text, boxes, labels)
        settings = self._settings(threshold, mask_threshold, masks)
        if errors not in ("raise", "return"):
            raise ValueError(f"errors: expected 'raise' or 'return', found {errors!r}")
        if not is_sequence_of_images(image):
            found = self._core.run([self._take(image)], prompts, *settings)[0]
            return self._to_result(found, image)
        results = [
            result
            for some in read_ahead(image, self.max_images, self._take)
            for result in self._run_some(some, prompts, settings)
        ]
        for index, result in enumerate(results):
            if isinstance(result, Exception) and errors == "raise":
                result.index, result.results = index, results
                raise result
        return results

    def _take(self, image: ImageLike) -> _core.InputImage:
        taken = to_input(image)
        self._core.check_device(taken)
        return taken

    def _run_some(
        self,
        images: Sequence[tuple[ImageLike, _core.InputImage | Exception]],
        prompts: list[_core.Prompt],
        settings: tuple[float, float, bool],
    ) -> list[Any]:
        """The images that could be read, together; for the others the reason."""
        results: list[Any] = [taken for _, taken in images]
        readable = [i for i, taken in enumerate(results) if not isinstance(taken, Exception)]
        if not readable:
            return results
        found = self._core.run([results[i] for i in readable], prompts, *settings)
        for i, one in zip(readable, found):
            results[i] = one["error"] or self._to_result(one, images[i][0])
        return results

    def _settings(
        self, threshold: Any, mask_threshold: Any, masks: Any
    ) -> tuple[float, float, bool]:
        """Checked, as the calls of the module take them."""
        if masks not in ("host", "device"):
            raise ValueError(f"masks: expected 'host' or 'device', found {masks!r}")
        if masks == "device" and self.backend != "tensorrt":
            raise UnavailableError(
                "masks='device': this model runs on the CPU, where masks are on the host; load "
                "engines to have them on a GPU"
            )
        return *_check_thresholds(threshold, mask_threshold), masks == "device"

    def _to_result(self, found: dict[str, Any], image: ImageLike) -> Result:
        """Raises what the image failed with."""
        if found["error"] is not None:
            raise found["error"]
        size = (found["height"], found["width"])
        is_on_device = any("device_masks" in prompt for prompt in found["prompts"])
        bits = [mask for prompt in found["prompts"] for mask in prompt.pop("device_masks", [])]
        return Result(
            image=image,
            path=_path_of(image),
            size=size,
            prompts=[PromptFound(**prompt) for prompt in found["prompts"]],
            timings_ms=found["timings_ms"],
            device_masks=DeviceMasks(bits, size, self._ordinal) if is_on_device else None,
        )

    def encode(self, image: ImageLike | list[ImageLike] | tuple[ImageLike, ...]) -> Features:
        """Runs the vision encoder alone, so that :meth:`detect` can be called many times.

        Args:
            image: One image as for a call, or a list or tuple of at most ``max_images``.
        """
        one = not is_sequence_of_images(image)
        images = [image] if one else list(image)
        if not images:
            raise BadInputError("image: an empty list; give at least one image")
        encoded = self._core.encode([self._take(item) for item in images])
        return Features(encoded, images, one)

    def detect(
        self,
        features: Features,
        text: str | Sequence[str] | None = None,
        boxes: Any = None,
        labels: Any = None,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        *,
        masks: Masks = "host",
    ) -> Any:
        """What a call gives for the images of the features, which must be of this model.

        Returns:
            A :class:`Result` where one image was encoded, a list of them where a list was.
        """
        if not isinstance(features, Features):
            raise TypeError(
                f"features: expected what encode() gives, found {type(features).__name__}"
            )
        prompts = concepts_of(text, boxes, labels)
        settings = self._settings(threshold, mask_threshold, masks)
        found = self._core.detect(features._encoded, prompts, *settings)
        results = [self._to_result(one, image) for one, image in zip(found, features._images)]
        return results[0] if features._one else results

    @overload
    def interact(
        self,
        features: list[ImageLike] | tuple[ImageLike, ...],
        points: Any = ...,
        labels: Any = ...,
        box: Any = ...,
        mask: Any = ...,
        previous: Any = ...,
        multimask: bool = ...,
        *,
        logits: bool = ...,
    ) -> list[Objects]: ...
    @overload
    def interact(
        self,
        features: Features | ImageLike,
        points: Any = ...,
        labels: Any = ...,
        box: Any = ...,
        mask: Any = ...,
        previous: Any = ...,
        multimask: bool = ...,
        *,
        logits: bool = ...,
    ) -> Any: ...
    def interact(
        self,
        features,
        points=None,
        labels=None,
        box=None,
        mask=None,
        previous=None,
        multimask=False,
        *,
        logits=True,
    ):
        """Segments what clicks, boxes and masks point at: one object, or several in one call.

        What is given describes one object, or several where it has one more dimension; all that is
        given speaks of as many objects. In a list of several, None is an object without. At least
        one of points, box, mask and previous must be there for each object.

        Args:
            features: What :meth:`encode` gave, or an image as for a call, which is then encoded
                first; encode an image once to ask about it many times. Of several images each is
                asked the same, and those of a list are worked off one by one.
            points: Clicks in pixels of the image, [x, y] or [[x, y], ...] for one object, a list of
                such lists for several, of any lengths; numbers or arrays of them.
            labels: For each point whether it is on the object (1, the default) or not (0).
            box: [x0, y0, x1, y1] in pixels around one object, or [N, 4].
            mask: A rough mask, bool or uint8 (inside where not 0), (H, W) of the image, or
                (N, H, W).
            previous: Logits of an earlier result for the same object, which the other prompts
                refine, floats (side, side), or (N, side, side): :attr:`ObjectResult.logits`,
                :attr:`Objects.logits`. Not together with a mask. Give all clicks again, those of
                the earlier call too.
            multimask: Several masks for each object (:attr:`ObjectResult.candidates`), of which the
                one with the highest score is the result: for a single click, which may mean a
                thing, its part or a group.
            logits: Whether results have ``logits``.

        Returns:
            :class:`Objects`, or a list of them for a list of images or features of one.

        Raises:
            TypeError: A mask of another type than bool or uint8, coordinates that are no numbers.
            BadInputError: A model that only detects, a wrong shape or number, a click outside the
                image, a box that does not touch it, a mask of another size, features of another
                model.
        """
        prompts = prompts_of(points, labels, box, mask, previous)
        options = (bool(multimask), bool(logits))
        if is_sequence_of_images(features):
            return [self._interact(self.encode(one), prompts, options)[0] for one in features]
        if not isinstance(features, Features):
            features = self.encode(features)
        results = self._interact(features, prompts, options)
        return results[0] if features._one else results

    def everything(
        self,
        image: ImageLike,
        *,
        points_per_side: int = 32,
        min_iou: float = 0.88,
        min_stability: float = 0.95,
        box_nms: float = 0.7,
    ) -> Objects:
        """Masks of whatever is in an image, by falling score: a click in the middle of each of so
        many parts of it, and of all masks the good ones, as Segment Anything's generator does it.

        Args:
            image: One image as for a call.
            points_per_side: 1 to 256.
            min_iou: Masks with a higher predicted IoU are kept,
            min_stability: and of these, the ones that keep this part of their pixels when the
                threshold rises from -1 to 1.
            box_nms: IoU of boxes above which the mask with the lower score goes.

        Raises:
            TypeError, BadInputError: What is no image, a model that only detects, a number out of
                range.
        """
        check_range("points_per_side", points_per_side, 1, 256)
        numbers = [float(value) for value in (min_iou, min_stability, box_nms)]
        found = _core.everything(self._core, self._take(image), int(points_per_side), *numbers)
        if found["error"] is not None:
            raise found["error"]
        return to_objects(found, image, _path_of(image))

    def _interact(
        self, features: Features, prompts: list[_core.ObjectPrompt], options: tuple[bool, ...]
    ) -> list[Objects]:
        """Raises what the first image failed with."""
        found = _core.interact(self._core, features._encoded, prompts, *options)
        for one in found:
            if one["error"] is not None:
                raise one["error"]
        return [
            to_objects(one, image, _path_of(image)) for one, image in zip(found, features._images)
        ]


def _parse_device(device: str | int) -> tuple[str, int]:
    """The backend ("" for what the files say) and the number of the GPU."""
    if isinstance(device, int) and not isinstance(device, bool) and 0 <= device < 1024:
        return "tensorrt", device
    if device == "auto":
        return "", 0
    if device == "cpu":
        return "openvino", 0
    match = re.fullmatch(r"cuda(?::(\d{1,3}))?", device) if isinstance(device, str) else None
    if match is None:
        raise BadInputError(
            f"device: expected 'auto', 'cpu', 'cuda', 'cuda:N' or a number, found {device!r}"
        )
    return "tensorrt", int(match[1] or 0)


def _check_thresholds(threshold: Any, mask_threshold: Any) -> tuple[float, float]:
    checked = []
    for name, value in (("threshold", threshold), ("mask_threshold", mask_threshold)):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"{name}: expected a number, found {value!r}") from None
        if not 0 <= number <= 1:
            raise BadInputError(f"{name}: expected 0 to 1, found {value!r}")
        checked.append(number)
    return checked[0], checked[1]


def _path_of(image: ImageLike) -> str | None:
    return os.fsdecode(image) if isinstance(image, (str, os.PathLike)) else None

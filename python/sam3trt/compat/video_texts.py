"""`Sam3VideoProcessor` and `Sam3VideoModel`: what texts find, through a video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .batches import Model, Outputs, Processor, nested, refuse
from .image_tracker import Sam3TrackerProcessor
from .video_sessions import InferenceSession, check_video, order_of_frames, with_progress

_AT_ONCE = "frames by their index"
_STREAM = "frames that come one by one"
_WHOLE = "propagate_in_video_iterator"


class Sam3VideoInferenceSession(InferenceSession):
    """A video and the texts that are looked for in it."""

    def __init__(self, video: Any = None) -> None:
        super().__init__(video)
        #: The texts by their numbers.
        self.prompts: dict[int, str] = {}
        #: Of every object that was given out, the number of its text.
        self.obj_id_to_prompt_id: dict[int, int] = {}

    @property
    def obj_ids(self) -> list[int]:
        """Objects that are followed."""
        return [] if self._core is None else self._core.objects

    def get_obj_num(self) -> int:
        """How many objects are followed."""
        return len(self.obj_ids)

    def add_prompt(self, prompt_text: str) -> int:
        """The number of a text, which is added unless it is there."""
        for number, text in self.prompts.items():
            if text == prompt_text:
                return number
        if self._core is not None:
            self._core.add(text=prompt_text)
        self.prompts[len(self.prompts)] = prompt_text
        return len(self.prompts) - 1

    def remove_object(self, obj_id: int, strict: bool = False) -> None:
        """Forgets an object; with `strict` it must be there."""
        if obj_id in self.obj_ids:
            self._core.remove(obj_id)
        elif strict:
            raise RuntimeError(f"there is no object {obj_id}, only {self.obj_ids}")

    def reset_inference_session(self) -> None:
        """Forgets all objects; the video and the texts stay."""
        self.obj_id_to_prompt_id.clear()
        self.forget()

    reset_tracking_data = reset_inference_session

    def reset_state(self) -> None:
        """Forgets the texts, too."""
        self.reset_inference_session()
        self.prompts.clear()


class Sam3VideoProcessor(Processor):
    """Videos and texts for `Sam3VideoModel`, and results out of what it gives."""

    def __call__(
        self,
        images: Any = None,
        segmentation_maps: Any = None,
        original_sizes: Any = None,
        return_tensors: str | None = None,
        device: Any = None,
        **more: Any,
    ) -> Any:
        """Frames that come one by one."""
        return Sam3TrackerProcessor()(
            images,
            segmentation_maps,
            original_sizes=original_sizes,
            return_tensors=return_tensors,
            **more,
        )

    def init_video_session(
        self, video: Any = None, inference_device: Any = "cpu", **_: Any
    ) -> Sam3VideoInferenceSession:
        """A session of a video (a path, a list of images, an array of frames), or, without one, of
        frames that come one by one. Devices and types are accepted and not used: they are the
        model's.
        """
        return Sam3VideoInferenceSession(check_video(video))

    def add_text_prompt(
        self, inference_session: Sam3VideoInferenceSession, text: str | list[str]
    ) -> Sam3VideoInferenceSession:
        """Texts to look for, each for itself; the same text again is no new one."""
        texts = [text] if isinstance(text, str) else list(text)
        for one in texts:
            if not isinstance(one, str):
                raise TypeError(f"text: expected a str or a list of them, found {text!r}")
        for one in texts:
            inference_session.add_prompt(one)
        return inference_session

    def postprocess_outputs(
        self,
        inference_session: Sam3VideoInferenceSession,
        model_outputs: Any,
        original_sizes: Any = None,
    ) -> dict[str, Any]:
        """`object_ids` (N,), `scores` (N,), `boxes` (N, 4) x0 y0 x1 y1, `masks` bool (N, H, W), and
        `prompt_to_obj_ids`. `original_sizes` are the frame's own.
        """
        result = model_outputs.result
        if original_sizes is not None:
            sizes = np.asarray(nested(original_sizes)).reshape(-1, 2).tolist()
            if [int(side) for side in sizes[0]] != list(result.size):
                raise ValueError(
                    f"original_sizes: expected the frame's own height and width, {result.size}, "
                    f"found {sizes[0]}"
                )
        by_text: dict[str, list[int]] = {}
        for one in result:
            by_text.setdefault(one.prompt, []).append(one.id)
        tensor = inference_session.tensor
        return {
            "object_ids": tensor(result.ids),
            "scores": tensor(result.scores),
            "boxes": tensor(result.boxes),
            "masks": tensor(result.masks),
            "prompt_to_obj_ids": by_text,
        }


class Sam3VideoSegmentationOutput(Outputs):
    """What is on one frame; `Sam3VideoProcessor.postprocess_outputs` makes masks of it."""


class Sam3VideoModel(Model):
    """A Segmenter that is called as transformers' `Sam3VideoModel`."""

    def __call__(
        self,
        inference_session: Sam3VideoInferenceSession,
        frame_idx: int | None = None,
        frame: Any = None,
        reverse: bool = False,
        **more: Any,
    ) -> Sam3VideoSegmentationOutput:
        """Looks for the texts on a frame and follows what was found: `object_ids`,
        `obj_id_to_mask` (logits (1, side, side)), `obj_id_to_score`, `obj_id_to_tracker_score`,
        `removed_obj_ids`, `suppressed_obj_ids` and `frame_idx`, of objects with a mask.

        With `frame` nothing is removed afterwards. Which way the frames go is seen from their
        indices.
        """
        refuse(more)
        session = inference_session
        if frame is not None:
            image, index = session.take_frame(frame, frame_idx)
            core = self._open(session, _STREAM, live=True)
        elif frame_idx is None:
            raise ValueError("give frame_idx, or frame when streaming")
        else:
            image, index = session.frame_at(frame_idx), int(frame_idx)
            core = self._open(session, _AT_ONCE, hot_start=0)
        before = set(core.objects)
        (result,) = core.step(image, index)
        if frame is not None:
            session.note_frame(index)
        return _output(session, result, before - set(core.objects))

    def propagate_in_video_iterator(
        self,
        inference_session: Sam3VideoInferenceSession,
        start_frame_idx: int = 0,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        show_progress_bar: bool = False,
    ) -> Iterator[Sam3VideoSegmentationOutput]:
        """The outputs of one frame after the other, each when it is sure which of its objects stay;
        `max_frame_num_to_track` are those after the first. Backwards the first frame is left out.
        """
        session = inference_session
        order = order_of_frames(
            session, start_frame_idx, max_frame_num_to_track, reverse, skip_first=True
        )
        core = self._open(session, _WHOLE)
        for index in with_progress(order, show_progress_bar):
            for result in core.step(session.frame_at(index), index):
                yield _output(session, result, set())
        for result in core.finish():
            yield _output(session, result, set())

    def _open(self, session: Sam3VideoInferenceSession, way: str, **options: Any) -> Any:
        if not session.prompts:
            raise ValueError("no texts: call add_text_prompt first")
        is_new = session._core is None
        core = session.open(self.segmenter, way, **options)
        if is_new:
            core.add(text=list(session.prompts.values()))
        return core


def _output(
    session: Sam3VideoInferenceSession, result: Any, removed: set[int]
) -> Sam3VideoSegmentationOutput:
    for one in result:
        session.obj_id_to_prompt_id[one.id] = session.add_prompt(one.prompt)
    output = Sam3VideoSegmentationOutput(
        object_ids=[one.id for one in result],
        obj_id_to_mask={one.id: session.tensor(one.logits[None]) for one in result},
        obj_id_to_score={one.id: one.score for one in result},
        obj_id_to_tracker_score={one.id: one.object_score for one in result},
        removed_obj_ids=removed,
        suppressed_obj_ids=set(),
        frame_idx=result.frame,
    )
    output.__dict__["result"] = result
    return output

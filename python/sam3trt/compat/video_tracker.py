"""`Sam3TrackerVideoProcessor`, `Sam3TrackerVideoModel`: what is pointed at, through a video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _core
from .batches import Model, Outputs, clicks_of, levels, nested, pad_points, refuse
from .image_tracker import Sam3TrackerProcessor
from .tensors import logits_of
from .video_sessions import InferenceSession, check_video, order_of_frames, with_progress

_NO_OBJECT = -1024.0  # transformers' logits of an object that is not there
_NO_SCORE = -10.0


class Sam3TrackerVideoInferenceSession(InferenceSession):
    """A video and the objects that were pointed at in it."""

    def __init__(self, video: Any = None) -> None:
        super().__init__(video)
        #: In the order in which they were added.
        self.obj_ids: list[int] = []
        self._clicks: dict[tuple[int, int], tuple[list, list]] = {}
        self._prompts: dict[tuple[int, int], _core.ObjectPrompt] = {}
        self._pending: dict[tuple[int, int], _core.ObjectPrompt] = {}

    def get_obj_num(self) -> int:
        """How many objects there are."""
        return len(self.obj_ids)

    def obj_id_to_idx(self, obj_id: int) -> int:
        """The place of an object among all."""
        return self.obj_ids.index(obj_id)

    def obj_idx_to_id(self, obj_idx: int) -> int:
        """The object at a place."""
        return self.obj_ids[obj_idx]

    def reset_tracking_data(self) -> None:
        """Forgets all objects; the video stays."""
        self.obj_ids = []
        self._clicks.clear()
        self._prompts.clear()
        self._pending.clear()
        self.forget()

    reset_inference_session = reset_tracking_data

    def add(self, prompt: _core.ObjectPrompt, frame: int) -> None:
        """A prompt, in place of an earlier one for the same object and frame."""
        if prompt.id not in self.obj_ids:
            self.obj_ids.append(prompt.id)
        self._prompts[frame, prompt.id] = prompt
        self._pending[frame, prompt.id] = prompt

    def first_frame(self) -> int | None:
        """The first one with a prompt."""
        return min((frame for frame, _ in self._prompts), default=None)


class Sam3TrackerVideoProcessor(Sam3TrackerProcessor):
    """Videos and prompts for `Sam3TrackerVideoModel`; streamed frames as for images."""

    def init_video_session(
        self, video: Any = None, inference_device: Any = "cpu", **_: Any
    ) -> Sam3TrackerVideoInferenceSession:
        """A session of a video (a path, a list of images, an array of frames), or, without one, of
        frames that come one by one. Devices and types are accepted and not used: they are the
        model's.
        """
        return Sam3TrackerVideoInferenceSession(check_video(video))

    def add_inputs_to_inference_session(
        self,
        inference_session: Sam3TrackerVideoInferenceSession,
        frame_idx: int,
        obj_ids: list[int] | int,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        input_masks: Any = None,
        original_size: Any = None,
        clear_old_inputs: bool = True,
    ) -> None:
        """Points at objects on a frame: `input_points` [1][object][point][2], `input_labels`
        [1][object][point], `input_boxes` [1][object][4], in pixels of the video, or `input_masks`,
        one for each object, bool or 0 and 1, of the video's size.
        """
        ids = [int(one) for one in np.atleast_1d(nested(obj_ids))]
        if (input_points is None) != (input_labels is None):
            raise ValueError("input_points and input_labels go together")
        if input_points is None and input_boxes is None and input_masks is None:
            raise ValueError("give input_points, input_boxes or input_masks")
        if input_masks is not None and (input_points is not None or input_boxes is not None):
            raise ValueError("input_masks do not go together with points or boxes")
        if input_boxes is not None and not clear_old_inputs:
            raise ValueError("input_boxes replace what was there: leave clear_old_inputs True")
        if original_size is not None and inference_session.video_height is None:
            height, width = (int(side) for side in nested(original_size))
            inference_session.video_height, inference_session.video_width = height, width
        if input_masks is not None:
            prompts = _masks_of(ids, input_masks)
        else:
            prompts = _clicks_of(
                inference_session,
                frame_idx,
                ids,
                (input_points, input_labels, input_boxes),
                clear_old_inputs,
            )
        for prompt in prompts:
            _core.VideoSession.check_object(prompt)
        for prompt in prompts:
            inference_session.add(prompt, int(frame_idx))


def _masks_of(ids: list[int], masks: Any) -> list[_core.ObjectPrompt]:
    some = masks if isinstance(masks, (list, tuple)) else [masks]
    arrays = [np.asarray(nested(mask)) for mask in some]
    _check_count("input_masks", len(arrays), ids)
    prompts = []
    for number, array in zip(ids, arrays):
        if array.ndim not in (2, 3, 4) or array.size != array.shape[-1] * array.shape[-2]:
            raise ValueError(f"input_masks: expected (H, W) for each object, found {array.shape}")
        mask = np.ascontiguousarray(array.reshape(array.shape[-2:]) != 0)
        prompts.append(_core.ObjectPrompt(number, [], [], None, mask, None))
    return prompts


def _clicks_of(
    session: Sam3TrackerVideoInferenceSession,
    frame: int,
    ids: list[int],
    given: tuple[Any, Any, Any],
    clear: bool,
) -> list[_core.ObjectPrompt]:
    points = levels(given[0], "points", ("image", "object", "point", "coordinates"), 2)
    labels = levels(given[1], "labels", ("image", "object", "point"))
    boxes = levels(given[2], "boxes", ("image", "object", "coordinates"), 4)
    for name, value in (("input_points", points), ("input_boxes", boxes)):
        if value is not None:
            if len(value) != 1:
                raise ValueError(f"{name}: expected those of one frame, found {len(value)}")
            _check_count(name, len(value[0]), ids)
    coordinates, kinds = (None, None) if points is None else pad_points(points, labels)
    prompts = []
    for index, number in enumerate(ids):
        clicks: tuple = ([], [], None, 0)
        if coordinates is not None:
            clicks = clicks_of(coordinates[0, index], kinds[0, index])
        some, positive, box, padding = clicks
        key = (int(frame), number)
        if not clear and key in session._clicks:
            before = session._clicks[key]
            some, positive = before[0] + some, before[1] + positive
            box = before[2] if box is None else box
            padding += before[3]
        if boxes is not None:
            box = tuple(float(value) for value in boxes[0][index])
        session._clicks[key] = (some, positive, box, padding)
        prompts.append(_core.ObjectPrompt(number, some, positive, box, None, None, padding))
    return prompts


def _check_count(name: str, found: int, ids: list[int]) -> None:
    if found != len(ids):
        raise ValueError(f"{name}: {found} entries for {len(ids)} object ids")


class Sam3TrackerVideoModel(Model):
    """A Segmenter that is called as transformers' `Sam3TrackerVideoModel`."""

    def __call__(
        self,
        inference_session: Sam3TrackerVideoInferenceSession,
        frame_idx: int | None = None,
        frame: Any = None,
        reverse: bool = False,
        run_mem_encoder: bool = True,
        **more: Any,
    ) -> Outputs:
        """Runs all objects on a frame: `object_ids`, `pred_masks` (N, 1, side, side),
        `object_score_logits` (N, 1), `frame_idx`. Objects that are not there yet have logits of
        -1024. Which way the frames go is seen from their indices.
        """
        refuse({**more, "run_mem_encoder=False": not run_mem_encoder})
        session = inference_session
        if not session.obj_ids:
            raise ValueError("no objects: call add_inputs_to_inference_session first")
        if frame is not None:
            image, index = session.take_frame(frame, frame_idx)
        elif frame_idx is None:
            raise ValueError("give frame_idx, or frame when streaming")
        else:
            image, index = session.frame_at(frame_idx), int(frame_idx)
        core = session.open(self.segmenter, "objects that are pointed at")
        for (at, _), prompt in session._pending.items():
            core._add_object(prompt, at)
        session._pending.clear()
        (result,) = core.step(image, index)
        if frame is not None:
            session.note_frame(index)
        found = {one.id: one for one in result}
        side = next((one.logits.shape[0] for one in result), None)
        if side is None:
            raise ValueError(
                f"frame {index}: none of the objects is there yet; begin with the frame on which "
                f"one is pointed at, {session.first_frame()}"
            )
        masks = np.full((len(session.obj_ids), 1, side, side), _NO_OBJECT, dtype=np.float32)
        scores = np.full((len(session.obj_ids), 1), _NO_SCORE, dtype=np.float32)
        for place, number in enumerate(session.obj_ids):
            if number in found:
                masks[place, 0] = found[number].logits
                scores[place] = logits_of(found[number].object_score)
        return Outputs(
            object_ids=list(session.obj_ids),
            pred_masks=session.tensor(masks),
            object_score_logits=session.tensor(scores),
            frame_idx=index,
        )

    def propagate_in_video_iterator(
        self,
        inference_session: Sam3TrackerVideoInferenceSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        show_progress_bar: bool = False,
    ) -> Iterator[Outputs]:
        """The outputs of one frame after the other, from the first one on which an object was
        pointed at, or another; `max_frame_num_to_track` are those after it.
        """
        start = inference_session.first_frame() if start_frame_idx is None else start_frame_idx
        if start is None:
            raise ValueError("no objects: call add_inputs_to_inference_session first")
        order = order_of_frames(
            inference_session, start, max_frame_num_to_track, reverse, skip_first=False
        )
        if reverse and start == 0:
            order = range(0)
        for index in with_progress(order, show_progress_bar):
            yield self(inference_session, frame_idx=index, reverse=reverse)

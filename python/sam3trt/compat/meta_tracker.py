"""Meta's `Sam3TrackerPredictor`: what clicks, boxes and masks point at, through a video.

from sam3trt.compat.meta import build_sam3_video_model
predictor = build_sam3_video_model(checkpoint_path="engines").tracker
state = predictor.init_state(video_path="frames")
predictor.add_new_points_or_box(state, 0, 1, points=[[0.5, 0.4]], labels=[1])
for frame, ids, low_res, masks, scores in predictor.propagate_in_video(state, 0, 240, False):
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..video import VideoSession
from .batches import nested
from .tensors import converter, logits_of, resize
from .video_frames import frames_of

_NO_OBJECT = -1024.0
_NO_SCORE = -10.0


class TrackerState(dict):
    """A video, and what was pointed at in it: `obj_ids`, `num_frames`, `video_height`,
    `video_width`.
    """

    def __init__(self, segmenter: Any, video: Any) -> None:
        self.frames = frames_of(video)
        height, width = self.frames.size
        super().__init__(
            obj_ids=[], num_frames=len(self.frames), video_height=height, video_width=width
        )
        self._segmenter = segmenter
        self.clear()

    def clear(self) -> None:
        """Forgets all objects."""
        self["obj_ids"] = []
        self.clicks: dict[tuple[int, int], tuple[list, list, Any]] = {}
        self.core = VideoSession(self._segmenter, length=len(self.frames), logits=True)

    def step(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, 1, side, side) and object scores (N, 1) of the objects on a frame."""
        if not 0 <= frame < len(self.frames):
            raise ValueError(f"frame_idx: expected 0 to {len(self.frames) - 1}, found {frame}")
        (result,) = self.core.step(self.frames[frame], frame)
        found = {one.id: one for one in result}
        if not found:
            raise RuntimeError(f"frame {frame}: none of the objects is there yet")
        side = result[0].logits.shape[0]
        masks = np.full((len(self["obj_ids"]), 1, side, side), _NO_OBJECT, dtype=np.float32)
        scores = np.full((len(self["obj_ids"]), 1), _NO_SCORE, dtype=np.float32)
        for place, number in enumerate(self["obj_ids"]):
            if number in found:
                masks[place, 0] = found[number].logits
                scores[place] = logits_of(found[number].object_score)
        return masks, scores


class Sam3TrackerPredictor:
    """Follows objects; `tensors` is "torch", "numpy", or "auto": torch where it is installed."""

    def __init__(self, segmenter: Any, tensors: str = "auto") -> None:
        self.segmenter = segmenter
        #: Meta's code hands its detector's over; it is not used.
        self.backbone: Any = None
        self._tensor = converter(tensors)

    def init_state(self, video_path: Any = None, **_: Any) -> TrackerState:
        """A state of a video file, a folder of frames or a list of images."""
        if video_path is None:
            raise ValueError("video_path: name the video")
        return TrackerState(self.segmenter, video_path)

    def add_new_points_or_box(
        self,
        inference_state: TrackerState,
        frame_idx: int,
        obj_id: int,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        rel_coordinates: bool = True,
        use_prev_mem_frame: bool = False,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> tuple[int, list[int], None, Any]:
        """Points at an object on a frame, with coordinates in 0..1 of the frame, or in pixels
        without `rel_coordinates`; gives the frame, the ids, None and the logits (N, 1, H, W).
        """
        if use_prev_mem_frame:
            raise NotImplementedError("use_prev_mem_frame: sam3trt does not take this")
        if (points is None) != (labels is None):
            raise ValueError("points and labels go together")
        if points is None and box is None:
            raise ValueError("give points or box")
        if box is not None and not clear_old_points:
            raise ValueError("box: it replaces what was there; leave clear_old_points True")
        state = inference_state
        scale = np.array([1.0, 1.0])
        if rel_coordinates:
            scale = np.array([state["video_width"], state["video_height"]], dtype=np.float64)
        clicks: list = []
        kinds: list = []
        if points is not None:
            pixels = np.asarray(nested(points), dtype=np.float64).reshape(-1, 2) * scale
            clicks = pixels.tolist()
            kinds = np.asarray(nested(labels)).reshape(-1).tolist()
        if box is not None:
            box = (np.asarray(nested(box), dtype=np.float64).reshape(2, 2) * scale).reshape(4)
            box = box.tolist()
        key = (int(frame_idx), int(obj_id))
        if not clear_old_points and key in state.clicks:
            before = state.clicks[key]
            clicks, kinds, box = before[0] + clicks, before[1] + kinds, before[2]
        given = {"points": clicks or None, "labels": kinds or None, "box": box}
        answer = self._add(state, frame_idx, obj_id, given)
        state.clicks[key] = (clicks, kinds, box)
        return answer

    add_new_points = add_new_points_or_box

    def add_new_mask(
        self, inference_state: TrackerState, frame_idx: int, obj_id: int, mask: Any, **_: Any
    ) -> tuple[int, list[int], None, Any]:
        """A mask of the object, (H, W) of the video's size, bool or numbers."""
        mask = np.asarray(nested(mask))
        mask = np.ascontiguousarray(mask.reshape(mask.shape[-2:]) != 0)
        return self._add(inference_state, frame_idx, obj_id, {"mask": mask})

    def _add(
        self, state: TrackerState, frame: int, number: int, given: dict[str, Any]
    ) -> tuple[int, list[int], None, Any]:
        state.core.add(int(number), frame=int(frame), **given)
        if number not in state["obj_ids"]:
            state["obj_ids"].append(int(number))
        masks, _ = state.step(int(frame))
        return frame, state["obj_ids"], None, self._large(state, masks)

    def propagate_in_video_preflight(self, inference_state: TrackerState, **_: Any) -> None:
        """Nothing is left to do."""

    def propagate_in_video(
        self,
        inference_state: TrackerState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        tqdm_disable: bool = False,
        obj_ids: Any = None,
        run_mem_encoder: bool = True,
        propagate_preflight: bool = False,
    ) -> Iterator[tuple[int, list[int], Any, Any, Any]]:
        """Of one frame after the other: its index, the ids, logits (N, 1, side, side), logits
        (N, 1, H, W), and object scores (N, 1).
        """
        if obj_ids is not None or not run_mem_encoder:
            raise NotImplementedError("obj_ids, run_mem_encoder: sam3trt does not take these")
        state = inference_state
        if not state["obj_ids"]:
            raise RuntimeError("No points are provided; please add points first")
        start = start_frame_idx
        if start is None:
            start = min(frame for frame, _ in state.clicks) if state.clicks else 0
        most = state["num_frames"] if max_frame_num_to_track is None else max_frame_num_to_track
        if reverse:
            order = range(start, max(start - most, 0) - 1, -1)
        else:
            order = range(start, min(start + most, state["num_frames"] - 1) + 1)
        for frame in order:
            masks, scores = state.step(frame)
            low = self._tensor(masks)
            yield frame, state["obj_ids"], low, self._large(state, masks), self._tensor(scores)

    def remove_object(
        self, inference_state: TrackerState, obj_id: int, strict: bool = False, **_: Any
    ) -> tuple[list[int], list]:
        """Forgets an object; gives the ids of the others, and no frames."""
        state = inference_state
        if obj_id in state["obj_ids"]:
            state.core.remove(int(obj_id))
            state["obj_ids"].remove(obj_id)
            for key in [key for key in state.clicks if key[1] == obj_id]:
                del state.clicks[key]
        elif strict:
            raise RuntimeError(f"there is no object {obj_id}, only {state['obj_ids']}")
        return state["obj_ids"], []

    def clear_all_points_in_video(self, inference_state: TrackerState) -> None:
        """Forgets all objects."""
        inference_state.clear()

    def _large(self, state: TrackerState, masks: np.ndarray) -> Any:
        return resize(self._tensor(masks), (state["video_height"], state["video_width"]))

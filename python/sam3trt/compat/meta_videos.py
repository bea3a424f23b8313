"""Meta's video predictor: requests about sessions, each a video with what is followed in it.

from sam3trt.compat.meta import build_sam3_video_predictor
predictor = build_sam3_video_predictor(checkpoint_path="engines")
answer = predictor.handle_request({"type": "start_session", "resource_path": "street.mp4"})
session = answer["session_id"]
predictor.handle_request(
    {"type": "add_prompt", "session_id": session, "frame_index": 0, "text": "person"}
)
for answer in predictor.handle_stream_request(
    {"type": "propagate_in_video", "session_id": session}
):
    answer["frame_index"], answer["outputs"]["out_binary_masks"]
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _core, rle
from ..video import VideoSession
from .batches import nested
from .meta_interactive import open_folder
from .meta_tracker import Sam3TrackerPredictor
from .tensors import resize
from .video_frames import frames_of

_HOLES = 16  # pixels of the model's masks: Meta's fill_hole_area
_DIRECTIONS = ("both", "forward", "backward")


class Sam3VideoPredictor:
    """Answers requests as Meta's predictor does.

    `checkpoint_path` is the model's folder; `device` None, "cpu" or "cuda:N". Other options are
    accepted and not used, but `apply_temporal_disambiguation=False` is refused.
    """

    def __init__(
        self,
        checkpoint_path: Any = None,
        bpe_path: Any = None,
        has_presence_token: bool = True,
        geo_encoder_use_img_cross_attn: bool = True,
        strict_state_dict_loading: bool = True,
        async_loading_frames: bool = False,
        video_loader_type: str = "cv2",
        apply_temporal_disambiguation: bool = True,
        device: Any = None,
        **_: Any,
    ) -> None:
        check_disambiguation(apply_temporal_disambiguation)
        self.model = open_folder(checkpoint_path, device)
        self._sessions: dict[str, _Session] = {}

    def handle_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers "start_session", "add_prompt", "remove_object", "reset_session" and
        "close_session"; RuntimeError for anything else.
        """
        kind = request["type"]
        if kind == "start_session":
            return self.start_session(request["resource_path"], request.get("session_id"))
        if kind == "add_prompt":
            names = ("text", "points", "point_labels", "bounding_boxes", "bounding_box_labels")
            given = {name: request.get(name) for name in (*names, "obj_id")}
            return self.add_prompt(request["session_id"], request["frame_index"], **given)
        if kind == "remove_object":
            return self.remove_object(request["session_id"], request["obj_id"])
        if kind == "reset_session":
            return self.reset_session(request["session_id"])
        if kind == "close_session":
            return self.close_session(request["session_id"])
        raise RuntimeError(f"invalid request type: {kind}")

    def handle_stream_request(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Answers "propagate_in_video", frame by frame."""
        kind = request["type"]
        if kind != "propagate_in_video":
            raise RuntimeError(f"invalid request type: {kind}")
        yield from self.propagate_in_video(
            request["session_id"],
            request.get("propagation_direction", "both"),
            request.get("start_frame_index"),
            request.get("max_frame_num_to_track"),
        )

    def start_session(self, resource_path: Any, session_id: str | None = None) -> dict[str, Any]:
        """A session of an image, a video file, a folder of frames, or a list of images."""
        session = _Session(self.model, resource_path)
        name = session_id or str(uuid.uuid4())
        self._sessions[name] = session
        return {"session_id": name}

    def add_prompt(
        self,
        session_id: str,
        frame_idx: int,
        text: str | None = None,
        points: Any = None,
        point_labels: Any = None,
        bounding_boxes: Any = None,
        bounding_box_labels: Any = None,
        obj_id: int | None = None,
    ) -> dict[str, Any]:
        """A text, boxes of examples x y width height, or clicks on one object, in 0..1 of the
        frame; the answer is what that frame shows. A text or boxes begin the session anew.
        """
        session = self._session(session_id)
        if not 0 <= frame_idx < len(session.frames):
            raise ValueError(
                f"frame_index: expected 0 to {len(session.frames) - 1}, found {frame_idx}"
            )
        if points is not None:
            if text is not None or bounding_boxes is not None:
                raise ValueError("points: they do not go together with a text or boxes")
            if obj_id is None:
                raise ValueError("points: they need the obj_id of the object that they are on")
            outputs = session.point(frame_idx, int(obj_id), points, point_labels)
        else:
            outputs = session.look_for(frame_idx, text, bounding_boxes, bounding_box_labels)
        return {"frame_index": frame_idx, "outputs": outputs}

    def remove_object(
        self, session_id: str, obj_id: int, is_user_action: bool = True
    ) -> dict[str, Any]:
        """Forgets an object, on all frames."""
        self._session(session_id).remove(int(obj_id))
        return {"is_success": True}

    def propagate_in_video(
        self,
        session_id: str,
        propagation_direction: str = "both",
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Each frame when it is final; first forwards, then backwards. Frames on which nothing has
        changed since they were run are not run again.
        """
        session = self._session(session_id)
        if propagation_direction not in _DIRECTIONS:
            raise ValueError(
                f"propagation_direction: expected one of {_DIRECTIONS}, found "
                f"{propagation_direction!r}"
            )
        for reverse in (False, True):
            if propagation_direction == ("forward" if reverse else "backward"):
                continue
            for frame, outputs in session.propagate(
                start_frame_idx, max_frame_num_to_track, reverse
            ):
                yield {"frame_index": frame, "outputs": outputs}

    def reset_session(self, session_id: str) -> dict[str, Any]:
        """As after its start."""
        self._session(session_id).reset()
        return {"is_success": True}

    def close_session(self, session_id: str) -> dict[str, Any]:
        """Ends a session; one that is not there is ended already."""
        self._sessions.pop(session_id, None)
        return {"is_success": True}

    def shutdown(self) -> None:
        """Ends all sessions."""
        self._sessions.clear()

    def _session(self, session_id: str) -> _Session:
        if session_id not in self._sessions:
            raise RuntimeError(f"Cannot find session {session_id}; it might have expired")
        return self._sessions[session_id]


class Sam3VideoPredictorMultiGPU(Sam3VideoPredictor):
    """The same; of several `gpus_to_use` the first one is used, with a warning."""

    def __init__(self, *arguments: Any, gpus_to_use: Any = None, **options: Any) -> None:
        gpus = sorted(set(gpus_to_use or []))
        if len(gpus) > 1:
            warnings.warn(
                f"gpus_to_use: one session runs on one GPU here; {gpus[0]} is used, not {gpus[1:]}",
                stacklevel=2,
            )
        if gpus and options.get("device") is None:
            options["device"] = f"cuda:{gpus[0]}"
        super().__init__(*arguments, **options)


def build_sam3_video_predictor(
    *model_args: Any, gpus_to_use: Any = None, **model_kwargs: Any
) -> Sam3VideoPredictorMultiGPU:
    """`Sam3VideoPredictorMultiGPU` of a folder of TensorRT engines or ONNX graphs."""
    return Sam3VideoPredictorMultiGPU(*model_args, gpus_to_use=gpus_to_use, **model_kwargs)


class Sam3VideoModel:
    """What `build_sam3_video_model` gives; its `tracker` follows what is pointed at."""

    def __init__(self, segmenter: Any) -> None:
        self.segmenter = segmenter
        #: `Sam3TrackerPredictor`.
        self.tracker = Sam3TrackerPredictor(segmenter)
        #: It has the one attribute that is handed on to the tracker.
        self.detector = _Detector()


class _Detector:
    backbone = None


def build_sam3_video_model(
    checkpoint_path: Any = None,
    load_from_HF: bool = True,
    bpe_path: Any = None,
    has_presence_token: bool = True,
    geo_encoder_use_img_cross_attn: bool = True,
    strict_state_dict_loading: bool = True,
    apply_temporal_disambiguation: bool = True,
    device: Any = None,
    compile: bool = False,
) -> Sam3VideoModel:
    """The model of a folder of TensorRT engines or ONNX graphs, for its `tracker`."""
    check_disambiguation(apply_temporal_disambiguation)
    return Sam3VideoModel(open_folder(checkpoint_path, device))


def check_disambiguation(wanted: bool) -> None:
    """Raises NotImplementedError where it is turned off."""
    if not wanted:
        raise NotImplementedError(
            "apply_temporal_disambiguation=False: sam3trt's rules are those with it; "
            "sam3trt.VideoSession(hot_start=0) gives results at once"
        )


class _Shown:
    """An object on a frame."""

    def __init__(self, one: Any, score: float, part: float) -> None:
        self.one = one
        self.score = score
        self.part = part  #: Who has more keeps the pixels that both have.


class _Session:
    """A video, what a text finds in it, and what is pointed at."""

    def __init__(self, segmenter: Any, resource: Any) -> None:
        self._segmenter = segmenter
        self.frames = frames_of(resource)
        self.reset()

    def reset(self) -> None:
        self._text: tuple[int, dict[str, Any]] | None = None
        self._texts: VideoSession | None = None
        self._clicks: VideoSession | None = None
        self._clicked: set[int] = set()
        self._text_frames: set[int] = set()  # that are final
        self._click_frames: set[int] = set()
        self._shown: dict[int, dict[int, _Shown]] = {}

    def _open(self, **options: Any) -> VideoSession:
        return VideoSession(self._segmenter, length=len(self.frames), **options)

    def look_for(self, frame: int, text: Any, boxes: Any, labels: Any) -> dict[str, Any]:
        if text is None and boxes is None:
            raise ValueError("add_prompt: give text, bounding_boxes or points")
        asked: dict[str, Any] = {"text": None if text == "visual" else text}
        if boxes is not None:
            asked["boxes"] = self._boxes(boxes)
            asked["labels"] = [1] * len(asked["boxes"]) if labels is None else nested(labels)
        first = self._open(live=True)
        first.add(**asked)
        (result,) = first.step(self.frames[frame], frame)
        self.reset()
        self._text = (frame, asked)
        self._texts = self._open()
        if "boxes" not in asked:
            self._texts.add(**asked)
        elif asked["text"] is not None:
            self._texts.add(text=asked["text"])
        self._show(frame, result, clicked=False)
        return self._outputs(frame)

    def _boxes(self, boxes: Any) -> list[list[float]]:
        array = np.asarray(nested(boxes), dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != 4 or not ((array >= 0) & (array <= 1)).all():
            raise ValueError(
                "bounding_boxes: expected [[x, y, width, height], ...] in 0..1 of the frame, found "
                f"{nested(boxes)}"
            )
        height, width = self.frames.size
        corners = np.concatenate([array[:, :2], array[:, :2] + array[:, 2:]], axis=1)
        return (corners * [width, height, width, height]).tolist()

    def point(self, frame: int, number: int, points: Any, labels: Any) -> dict[str, Any]:
        if self._texts is not None and number in self._found():
            raise NotImplementedError(
                f"obj_id {number}: it was found by a text, and clicks cannot correct it; send "
                "remove_object first, then add it with points as an object of its own"
            )
        height, width = self.frames.size
        pixels = np.asarray(nested(points), dtype=np.float64).reshape(-1, 2) * [width, height]
        if self._clicks is None:
            self._clicks = self._open(logits=True)
        self._clicks.add(number, points=pixels, labels=nested(labels), frame=frame)
        (result,) = self._clicks.step(self.frames[frame], frame)
        self._clicked.add(number)
        self._click_frames = set()
        self._show(frame, [one for one in result if one.id == number], clicked=True)
        if number in self._shown[frame]:
            self._shown[frame][number].part = 1.0
        return self._outputs(frame)

    def _found(self) -> set[int]:
        """Objects of the text."""
        ids = {number for shown in self._shown.values() for number in shown}
        return (ids | set(self._texts.objects)) - self._clicked

    def remove(self, number: int) -> None:
        is_text = self._texts is not None and number in self._found()
        if not is_text and number not in self._clicked:
            raise RuntimeError(f"there is no object {number} to remove")
        for session in (self._texts, self._clicks):
            if session is not None and number in session.objects:
                session.remove(number)
        self._clicked.discard(number)
        for shown in self._shown.values():
            shown.pop(number, None)

    def propagate(
        self, start: int | None, most: int | None, reverse: bool
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if not self._shown and start is None:
            raise RuntimeError("no prompts yet: add one before propagation")
        start = min(self._shown) if start is None else start
        count = len(self.frames)
        most = count if most is None else most
        if reverse:
            order = range(start - 1, max(start - most, 0) - 1, -1)
        else:
            order = range(start, min(start + most, count - 1) + 1)
        waiting = list(order)
        for index in order:
            if self._texts is not None and index not in self._text_frames:
                self._step_texts(index)
            while waiting and self._is_final(waiting[0]):
                yield self._finished(waiting.pop(0))
        if self._texts is not None:
            for result in self._texts.finish():
                self._keep(result)
        for index in waiting:
            yield self._finished(index)

    def _is_final(self, index: int) -> bool:
        return self._texts is None or index in self._text_frames

    def _step_texts(self, index: int) -> None:
        frame, asked = self._text
        if index == frame and "boxes" in asked:
            self._texts.add(**asked)
        for result in self._texts.step(self.frames[index], index):
            self._keep(result)

    def _keep(self, result: Any) -> None:
        clicked = {
            number: one
            for number, one in self._shown.get(result.frame, {}).items()
            if number in self._clicked
        }
        self._shown[result.frame] = clicked
        self._show(result.frame, result, clicked=False)
        self._text_frames.add(result.frame)

    def _finished(self, index: int) -> tuple[int, dict[str, Any]]:
        if self._clicked and index not in self._click_frames:
            (result,) = self._clicks.step(self.frames[index], index)
            self._show(index, result, clicked=True)
            self._click_frames.add(index)
        return index, self._outputs(index)

    def _show(self, frame: int, objects: Any, clicked: bool) -> None:
        shown = self._shown.setdefault(frame, {})
        for one in objects:
            seen = self._cleaned(one) if clicked else one
            if clicked and seen.area == 0:
                shown.pop(one.id, None)
            else:
                shown[one.id] = _Shown(seen, 1.0 if clicked else one.score, one.object_score)

    def _cleaned(self, one: Any) -> Any:
        """Without holes and specks, as Meta's predictor shows what was clicked."""
        logits = _core.clean_logits(one.logits, _HOLES)
        if np.array_equal(logits > 0, one.logits > 0):
            return one
        mask = resize(logits, self.frames.size) > 0
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = np.zeros(4, dtype=np.float32)
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1], rows[-1]
        return replace(one, counts=rle.encode(mask), area=int(mask.sum()), box=box, logits=logits)

    def _outputs(self, frame: int) -> dict[str, Any]:
        seen = [one for _, one in sorted(self._shown.get(frame, {}).items())]
        height, width = self.frames.size
        masks = np.array([one.one.mask for one in seen], dtype=bool).reshape(-1, height, width)
        if len(seen) > 1:
            parts = np.array([one.part for one in seen], dtype=np.float32)
            best = np.where(masks, parts[:, None, None], 0).argmax(0)
            masks = masks & (best == np.arange(len(seen))[:, None, None])
        boxes = np.array([one.one.box for one in seen], dtype=np.float32).reshape(-1, 4)
        sizes = np.array([width, height, width, height], dtype=np.float32)
        return {
            "out_obj_ids": np.array([one.one.id for one in seen], dtype=np.int64),
            "out_probs": np.array([one.score for one in seen], dtype=np.float32),
            "out_boxes_xywh": np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
            / sizes,
            "out_binary_masks": masks,
            "frame_stats": {"num_obj_tracked": len(seen), "num_obj_dropped": 0},
        }

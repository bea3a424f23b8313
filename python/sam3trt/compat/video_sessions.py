"""What transformers' sessions of videos have in common here: frames and the session behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..video import VideoSession
from .batches import is_one_image
from .tensors import converter
from .video_frames import frame_of, frames_of


class InferenceSession:
    """A video, whole or frame by frame, and what is followed in it.

    Frames stay as they were handed over; those of a video file are decoded when their turn comes.
    The session behind it is made by the first model that is called with it.
    """

    def __init__(self, video: Any = None) -> None:
        self._frames = None if video is None else frames_of(video)
        self._streamed = 0
        self._core: VideoSession | None = None
        self._way: str | None = None
        size = (None, None) if self._frames is None else self._frames.size
        #: Pixels; None before the first streamed frame.
        self.video_height, self.video_width = size
        self.tensor = converter("auto")

    @property
    def num_frames(self) -> int | None:
        """Frames of the video, or those that were streamed; None before the first of these."""
        if self._frames is not None:
            return len(self._frames)
        return self._streamed or None

    def open(self, segmenter: Any, way: str, **options: Any) -> VideoSession:
        """The session behind it. `way` is how it is used, which must not change on the way."""
        if self._core is None:
            length = None if self._frames is None else len(self._frames)
            self._core = VideoSession(segmenter, length=length, logits=True, **options)
            self._way = way
        if self._core.segmenter is not segmenter:
            raise ValueError("inference_session: it belongs to another model")
        if self._way != way:
            raise ValueError(
                f"inference_session: it was used for {self._way}, now for {way}; use one session "
                "for each"
            )
        return self._core

    def frame_at(self, index: int) -> Any:
        """A frame of the video."""
        if self._frames is None:
            raise ValueError(
                "frame_idx: this session has no video; give init_video_session one, or frame="
            )
        if not 0 <= index < len(self._frames):
            raise ValueError(f"frame_idx: expected 0 to {len(self._frames) - 1}, found {index}")
        return self._frames[index]

    def take_frame(self, frame: Any, index: int | None) -> tuple[Any, int]:
        """A streamed frame, and its index."""
        if self._frames is not None:
            raise ValueError("frame: this session has a whole video; give frame_idx")
        taken = frame_of(frame)
        index = self._streamed if index is None else index
        if self.video_height is None:
            self.video_height, self.video_width = taken.height, taken.width
        return taken, index

    def note_frame(self, index: int) -> None:
        """A streamed frame was run."""
        self._streamed = max(self._streamed, index + 1)

    def forget(self) -> None:
        """Ends the session behind it; the next one begins anew."""
        self._core = None
        self._way = None


def check_video(video: Any) -> Any:
    """One video; transformers' processors also take a list of one."""
    if not is_one_image(video) and len(video) == 1 and not is_one_image(video[0]):
        return video[0]
    return video


def order_of_frames(
    session: InferenceSession, start: int, most: int | None, reverse: bool, skip_first: bool
) -> range:
    """Which frames are run: up to `most` after the first one, which is left out backwards with
    `skip_first`.
    """
    frames = session.num_frames
    if session._frames is None or frames is None:
        raise ValueError(
            "propagate_in_video_iterator needs the video: give it to init_video_session"
        )
    most = frames if most is None else most
    if reverse:
        return range(start - 1 if skip_first else start, max(start - most, 0) - 1, -1)
    return range(start, min(start + most, frames - 1) + 1)


def with_progress(frames: Iterable[int], show: bool) -> Iterator[int]:
    """The frames, with a bar where one is asked for."""
    if not show:
        return iter(frames)
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("show_progress_bar needs the package tqdm") from error
    return iter(tqdm(frames, desc="propagate in video"))

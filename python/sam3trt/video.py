"""Objects followed through a video: `VideoSession`, and what it gives."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _core
from .arguments import check_range, concepts_of
from .entries import rounded
from .errors import BadInputError
from .intake import ImageLike
from .objects import Masked, MaskedSequence, draw_objects
from .pointing import prompt_of
from .segmenter import Segmenter

_MAX = 2**40


@dataclass(frozen=True, eq=False)
class TrackedObject(Masked):
    """One object on one frame."""

    #: The number under which it was added, or that was given to it when a text found it.
    id: int
    #: The text that found it; None for an object that was pointed at.
    prompt: str | None
    #: Of the detection that began it; of an object that was pointed at `object_score`.
    score: float
    #: Probability that the object is in this frame.
    object_score: float
    #: float32 (4,), x0 y0 x1 y1: first and last column and row of the mask's pixels.
    box: np.ndarray
    #: Pixels inside the mask.
    area: int
    #: COCO's run lengths of the mask, uint32 (R,).
    counts: np.ndarray = field(repr=False)
    #: False where no hot start holds results back and the object may yet be removed.
    confirmed: bool
    #: Height and width of the frame.
    size: tuple[int, int]
    #: float32 (side, side), where they were asked for: the whole mask before it was cut at 0.
    logits: np.ndarray | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """What the program writes about an object of a frame, as plain Python values."""
        entry = {
            "id": self.id,
            "prompt": self.prompt,
            "score": rounded(self.score, 6),
            "object_score": rounded(self.object_score, 6),
            "box": [rounded(value, 3) for value in self.box],
            "area": self.area,
            "mask": self.rle,
        }
        return entry if self.confirmed else entry | {"confirmed": False}


@dataclass(eq=False, repr=False)
class FrameResult(MaskedSequence):
    """What is on one frame: a sequence of `TrackedObject` by rising id."""

    #: Index of the frame in the video.
    frame: int
    #: Height and width of the frame.
    size: tuple[int, int]
    #: The objects.
    objects: list[TrackedObject]

    def __repr__(self) -> str:
        height, width = self.size
        objects = ", ".join(f"{one.id} {one.prompt or 'object'!r}" for one in self.objects)
        return f"<FrameResult {self.frame} {width}x{height}: {objects or 'no objects'}>"

    def to_dict(self, time: float | None = None) -> dict[str, Any]:
        """The frame's line of `sam3trt track`, as plain Python values; `time` in seconds."""
        return {
            "frame": self.frame,
            "time": None if time is None else rounded(time, 6),
            "objects": [one.to_dict() for one in self.objects],
        }

    def plot(self, image: Any, **options: Any) -> Any:
        """A PIL image of the frame with masks tinted and outlined; options of `Result.plot`."""
        return draw_objects(self, image, **options)


class VideoSession:
    """Follows objects through a video, frame by frame, in memory that does not grow with it.

    Say with :meth:`add` what to follow, hand over frames with :meth:`step` or :meth:`track`, or
    iterate over the session where it was made with its frames. Objects and texts may be added and
    removed at any time.

    Calls hold no lock of Python while they work. A session does one thing at a time: a call from
    another thread waits until the one before has ended. Several sessions of one Segmenter work
    side by side. A call that raises leaves the session as it was.

    Args:
        segmenter: The model, whose checkpoint must have the tracker.
        frames: What iteration goes through, as for :meth:`track`.
        hot_start: Frames for which an object that a text found is on trial; results come that much
            later. 0: none, and objects that may yet be removed are not ``confirmed``. Here and
            below None is what the model's configuration says.
        live: Results at once, and nothing is removed afterwards.
        det_nms: IoU, more than 0 to 1, above which the weaker of two detections goes; 1 is off.
        fill_holes: Holes of at most so many pixels, at 4 times the model's grid, are filled; 0 is
            off.
        max_objects: Objects followed at most.
        length: Frames of the whole video, where it is known: in clips of fewer than 16 distances in
            time count in it. Default: that of `frames`, if it has one.
        logits: Whether objects have ``logits``. Objects that were pointed at are then on every
            frame, also where their mask has no pixel.

    Raises:
        BadInputError: A model without the tracker, an option out of range.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        frames: Iterable[ImageLike] | None = None,
        *,
        hot_start: int | None = None,
        live: bool = False,
        det_nms: float | None = None,
        fill_holes: int | None = None,
        max_objects: int | None = None,
        length: int | None = None,
        logits: bool = False,
    ) -> None:
        if not isinstance(segmenter, Segmenter):
            raise TypeError(f"segmenter: expected a Segmenter, found {type(segmenter).__name__}")
        self._frames = None if frames is None else _check_frames(frames)
        if length is None and isinstance(frames, Sized) and len(frames) > 0:
            length = len(frames)
        for name, value, low in (
            ("hot_start", hot_start, 0),
            ("fill_holes", fill_holes, 0),
            ("max_objects", max_objects, 1),
            ("length", length, 1),
        ):
            if value is not None:
                check_range(name, value, low, _MAX)
        if det_nms is not None and (isinstance(det_nms, (bool, str)) or not 0 < det_nms <= 1):
            raise BadInputError(f"det_nms: expected more than 0 to 1, found {det_nms!r}")
        self._segmenter = segmenter
        self._lock = threading.Lock()
        #: Prompts for the next frame by the ids of their objects.
        self._waiting: dict[int, _core.ObjectPrompt] = {}
        self._core = _core.VideoSession(
            segmenter._core,
            hot_start,
            bool(live),
            det_nms,
            fill_holes,
            max_objects,
            length,
            bool(logits),
        )

    def __repr__(self) -> str:
        with self._lock:
            last, objects = self._core.last_frame, self._core.objects
        where = "before the first frame" if last is None else f"after frame {last}"
        return f"<sam3trt.VideoSession {where}: {len(objects)} objects>"

    @property
    def segmenter(self) -> Segmenter:
        """The model."""
        return self._segmenter

    @property
    def objects(self) -> list[int]:
        """Ids of the objects that are followed, rising."""
        with self._lock:
            return self._core.objects

    @property
    def last_frame(self) -> int | None:
        """Index of the last frame that was handed over; None before the first."""
        with self._lock:
            return self._core.last_frame

    def add(
        self,
        object_id: int | None = None,
        *,
        text: str | list[str] | None = None,
        boxes: Any = None,
        labels: Any = None,
        points: Any = None,
        box: Any = None,
        mask: Any = None,
        frame: int | None = None,
    ) -> None:
        """Says what to follow: everything that a text names, or one object that is pointed at.

        Without an id it is a text, from the next frame on; each of several is one of its own, and
        one that is there already stays one:

        >>> session.add(text="dog")
        >>> session.add(text="dog", boxes=[[10, 20, 200, 220]])

        With an id it is an object, or, where the id is known, a correction of it:

        >>> session.add(1, points=[320, 200])
        >>> session.add(1, points=[[320, 200], [50, 60]], labels=[1, 0], frame=14)

        Args:
            object_id: 0 or more. Objects of texts get numbers above those of all others, and clicks
                cannot correct them.
            text: What to look for on every frame; a str or a list of them.
            boxes: Examples of the texts, [x0, y0, x1, y1] or a list of such, in pixels of the next
                frame; without a text they say alone what to look for.
            labels: With boxes, for each whether it is an example (1, the default) or a
                counterexample (0); with points, for each whether it is on the object (1) or not.
            points: Clicks in pixels, [x, y] or [[x, y], ...].
            box: [x0, y0, x1, y1] in pixels around the object.
            mask: The object, bool or uint8 (H, W) of the frame's size, taken as it is; not together
                with points or a box.
            frame: Index of the frame that these are about, applied when :meth:`step` gets it; None:
                the next one. A later call for the same object and frame replaces an earlier one.

        Raises:
            TypeError, BadInputError: As :meth:`Segmenter.interact`; an object that a text found, or
                more than `max_objects`. What only the frame shows (a click outside it), and of
                prompts for the next frame these two, comes when it is handed over.
        """
        if object_id is None:
            given = {"points": points, "box": box, "mask": mask, "frame": frame}
            wrong = [name for name, value in given.items() if value is not None]
            if wrong:
                raise BadInputError(
                    f"{wrong[0]}: this goes with an object, which needs an id, as in "
                    "add(1, points=[320, 200]); texts and their boxes count from the next frame on"
                )
            concepts = concepts_of(text, boxes, labels)
            with self._lock:
                for one in concepts:
                    self._core.add_concept(one)
            return
        for name, value in (("text", text), ("boxes", boxes)):
            if value is not None:
                raise BadInputError(
                    f"{name}: this does not go with the id of an object; add(text=, boxes=) looks "
                    "for a text, add(1, points=, box=, mask=) follows one object"
                )
        if isinstance(object_id, str):
            raise TypeError(
                f"object_id: expected a whole number, found {object_id!r}; a text is text="
            )
        check_range("object_id", object_id, 0, _MAX - 1)
        if frame is not None:
            check_range("frame", frame, 0, _MAX - 1)
        self._add_object(prompt_of(int(object_id), points, labels, box, mask), frame)

    def _add_object(self, prompt: _core.ObjectPrompt, frame: int | None) -> None:
        _core.VideoSession.check_object(prompt)
        with self._lock:
            if frame is None:
                self._waiting[prompt.id] = prompt
            else:
                self._core.add_object(prompt, int(frame))

    def step(self, frame: ImageLike, index: int | None = None) -> list[FrameResult]:
        """Hands over the next frame, in any form that a Segmenter takes as an image.

        Args:
            frame: The image; an array or tensor on the model's GPU is read where it lies.
            index: Of the frame in the video; indices rise, or fall when it is tracked backwards,
                and may leave frames out. None: the one after the last, or 0.

        Returns:
            The frames that are final now: this one where there is no hot start, else none at first
            and then the one that has passed it.

        Raises:
            TypeError, BadInputError: What is no image, a frame out of order, a prompt that does not
                fit it.
        """
        taken = self._segmenter._take(frame)
        if index is not None:
            check_range("index", index, 0, _MAX - 1)
        with self._lock:
            index = self._next_frame() if index is None else int(index)
            self._place_waiting(index)
            found = self._core.step(taken, index)
            self._waiting.clear()
        return [_to_frame_result(one) for one in found]

    def finish(self) -> list[FrameResult]:
        """The frames that are still held back, at the end of the video."""
        with self._lock:
            found = self._core.finish()
        return [_to_frame_result(one) for one in found]

    def track(
        self,
        frames: Iterable[ImageLike],
        *,
        start: int | None = None,
        backwards: bool = False,
    ) -> Iterator[FrameResult]:
        """Goes through frames to their end and gives each as it becomes final.

        Frames are asked for one at a time, so that they may come from a camera. Where one cannot be
        read the error is raised, and the session can go on with the next.

        Args:
            frames: Any iterable of images: a list of files, a generator of arrays, an array
                (T, H, W, 3).
            start: Index of the first of them; None: the one after the last frame, or 0.
            backwards: They come last one first, and their indices fall; without `start` from the
                one before the last frame that was handed over.
        """
        return self._track(_check_frames(frames), start, backwards)

    def __iter__(self) -> Iterator[FrameResult]:
        """:meth:`track` of the frames that the session was made with."""
        if self._frames is None:
            raise BadInputError(
                "frames: this session was made without any; iterate over track(frames), or give "
                "them to VideoSession"
            )
        return self.track(self._frames)

    def _track(
        self, frames: Iterable[ImageLike], start: int | None, backwards: bool
    ) -> Iterator[FrameResult]:
        index = start
        for frame in frames:
            if index is None:
                last = self.last_frame
                if backwards and last is None:
                    raise BadInputError(
                        "start: give the index of the first frame to track it backwards"
                    )
                index = 0 if last is None else last + (-1 if backwards else 1)
            yield from self.step(frame, index)
            index += -1 if backwards else 1
        yield from self.finish()

    def remove(self, object_id: int) -> None:
        """Forgets an object, also on frames held back; BadInputError when there is none."""
        check_range("object_id", object_id, 0, _MAX)
        with self._lock:
            waiting = self._waiting.pop(object_id, None)
            try:
                self._core.remove(object_id)
            except BadInputError:
                if waiting is None:
                    raise

    def reset(self) -> None:
        """As after construction: nothing to follow, no frames, the same options."""
        with self._lock:
            self._waiting.clear()
            self._core.reset()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes everything that further frames depend on, under a temporary name, renamed.

        What was added for the next frame counts for the one after the last.
        """
        with self._lock:
            self._place_waiting(self._next_frame())
            self._waiting.clear()
            self._core.save(os.fsdecode(path))

    def load(self, path: str | os.PathLike[str]) -> None:
        """Goes on from a saved session of the same checkpoint, with its options.

        Raises:
            BadInputError: A file that is not one, is damaged or belongs to another checkpoint.
        """
        with self._lock:
            self._core.load(os.fsdecode(path))
            self._waiting.clear()

    def _next_frame(self) -> int:
        last = self._core.last_frame
        return 0 if last is None else last + 1

    def _place_waiting(self, index: int) -> None:
        """Adds what is for the next frame now that its index is known; one that fails is gone."""
        for object_id, prompt in list(self._waiting.items()):
            try:
                self._core.add_object(prompt, index)
            except BadInputError:
                del self._waiting[object_id]
                raise


def _check_frames(frames: Iterable[ImageLike]) -> Iterable[ImageLike]:
    """Raises TypeError for what is no iterable of images, a path above all."""
    if isinstance(frames, (str, bytes, bytearray, os.PathLike)):
        raise TypeError(
            f"frames: expected an iterable of images, found {frames!r}; list a folder's files, "
            "decode a video with a package of your choice, or use the command sam3trt track"
        )
    if not hasattr(frames, "__iter__") and not hasattr(frames, "__getitem__"):
        raise TypeError(f"frames: expected an iterable of images, found {type(frames).__name__}")
    return frames


def _to_frame_result(found: Mapping[str, Any]) -> FrameResult:
    size = (found["height"], found["width"])
    objects = [TrackedObject(**one, size=size) for one in found["objects"]]
    return FrameResult(frame=found["frame"], size=size, objects=objects)

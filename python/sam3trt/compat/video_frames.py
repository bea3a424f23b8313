"""Frames of a video by their index, as the interfaces of other libraries ask for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import _core
from .tensors import pixels_of


class VideoFile(Sequence):
    """Frames of a file, or whatever else `sam3trt track --video` reads, decoded when asked for.

    One frame is kept. Those in order, or backwards, cost one decoding of the video; another order
    begins anew each time.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._path = os.fspath(path)
        self._source: Any = None
        self._backward = False
        self._kept: tuple[int, Any] | None = None
        self._open(0, backward=False)
        #: Height and width.
        self.size = (self._source.height, self._source.width)
        frames = self._source.frames
        if frames is None:  # counted, where the file does not say
            frames = 0
            while self._source.next() is not None:
                frames += 1
            self._open(0, backward=False)
        self._frames = frames

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: Any) -> Any:
        """The frame, as a Segmenter takes it. Raises BadInputError for one that cannot be read."""
        if isinstance(index, slice):
            raise TypeError("frames of a video file are taken one by one")
        if not 0 <= index < self._frames:
            raise IndexError(f"{self._path}: has no frame {index}, only 0 to {self._frames - 1}")
        if self._kept is None or self._kept[0] != index:
            self._kept = (index, self._read(index))
        if isinstance(self._kept[1], Exception):
            raise self._kept[1]
        return self._kept[1]

    def _read(self, index: int) -> Any:
        at = self._next
        if index < at if not self._backward else index > at:
            self._open(index, backward=not self._backward and index == at - 2)
        while True:
            read = self._source.next()
            if read is None:
                raise IndexError(f"{self._path}: ends before frame {index}")
            found, frame = read
            self._next = found - 1 if self._backward else found + 1
            if found == index:
                return frame

    def _open(self, first: int, backward: bool) -> None:
        self._source = _core.FrameSource(self._path, backward, first)
        self._backward, self._next = backward, first


class FrameList(Sequence):
    """Frames that are there: images of any kind, or an array (T, H, W, 3) or (T, 3, H, W)."""

    def __init__(self, frames: Any) -> None:
        self._frames = frames
        first = self[0]
        #: Height and width, of the first.
        self.size = (first.height, first.width)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: Any) -> Any:
        return frame_of(self._frames[index])


def frame_of(frame: Any) -> Any:
    """An image as a Segmenter takes it, transparent ones on white."""
    from ..intake import to_input

    return to_input(pixels_of(frame))


def frames_of(video: Any) -> Any:
    """A sequence with `size`. `video` is a path, a list of images or of their paths, or an array
    of frames; raises TypeError or BadInputError.
    """
    if isinstance(video, (str, os.PathLike)):
        name = os.fspath(video)
        if "://" not in name and not any(mark in name for mark in "*?%[") and name != "-":
            if not Path(name).exists():
                raise FileNotFoundError(f"{name!r} is neither a file nor a folder")
        return VideoFile(name)
    if not hasattr(video, "__len__") or not hasattr(video, "__getitem__"):
        raise TypeError(
            f"video: expected a path, a list of images or an array of frames, found "
            f"{type(video).__name__}"
        )
    if len(video) == 0:
        raise ValueError("video: it has no frames")
    return FrameList(video)

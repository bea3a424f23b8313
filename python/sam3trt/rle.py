"""COCO's run lengths of masks, by numpy alone.

Run lengths go through a mask column by column, outside and inside in turn, beginning with outside
(0 when the first pixel is inside). `to_string` and `from_string` convert them to and from COCO's
compressed text, byte for byte as pycocotools writes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_GROUPS = 7  # A run has 32 bits, its difference to another 33 with the sign: 7 groups of 5 bits.


def encode(mask: np.ndarray) -> np.ndarray:
    """Run lengths, uint32 (R,), of `mask` (H, W): bool, or numbers that are inside where not 0."""
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f"a mask has 2 dimensions (height, width), found the shape {mask.shape}")
    flat = np.zeros(mask.size + 2, dtype=bool)
    flat[1:-1] = (mask if mask.dtype == bool else mask != 0).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [mask.size]))
    runs = ends - starts
    if runs[-1] == 0 and len(runs) > 1:  # the mask ends inside
        runs = runs[:-1]
    return runs.astype(np.uint32)


def check(counts: np.ndarray, size: tuple[int, int]) -> None:
    """Raises ValueError when the runs do not fill a mask of `size` (height, width) exactly."""
    height, width = size
    total = int(np.sum(counts, dtype=np.uint64))
    if total != height * width:
        raise ValueError(f"a mask's runs have {total} pixels, expected {width}x{height}")


def decode(counts: np.ndarray, size: tuple[int, int], out: np.ndarray | None = None) -> np.ndarray:
    """The mask, bool (H, W), of run lengths. `size` is (height, width).

    `out` is where to put it: bool (H, W), all False. Raises ValueError when the runs do not fill
    the mask exactly.
    """
    check(counts, size)
    height, width = size
    if out is None:
        out = np.zeros((height, width), dtype=bool)
    ends = np.cumsum(counts, dtype=np.int64)
    starts, ends = ends[:-1:2], ends[1::2]
    starts = starts[: len(ends)]
    inside = ends > starts
    starts, ends = starts[inside], ends[inside]
    if len(starts) == 0:
        return out
    # Only the columns that the mask touches are decoded: as differences, then summed up.
    first = int(starts[0]) // height
    last = (int(ends[-1]) - 1) // height + 1
    steps = np.zeros((last - first) * height + 1, dtype=np.int8)
    steps[starts - first * height] += 1
    steps[ends - first * height] -= 1
    columns = np.cumsum(steps[:-1], dtype=np.int8).view(bool).reshape(last - first, height)
    rows = np.flatnonzero(columns.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    out[top:bottom, first:last] = columns[:, top:bottom].T
    return out


def to_string(counts: np.ndarray | Sequence[int]) -> str:
    """COCO's compressed text of run lengths.

    From the fourth run on it holds the difference to the run before the last one, in groups of
    five bits, lowest first; bit 5 says that another group follows, and 48 makes it printable
    (COCO API, maskApi.c, rleToString).
    """
    values = np.asarray(counts, dtype=np.int64).copy()
    if len(values) > 3:
        values[3:] -= np.asarray(counts, dtype=np.int64)[1:-2]
    groups = np.empty((len(values), _GROUPS), dtype=np.uint8)
    used = np.zeros((len(values), _GROUPS), dtype=bool)
    more = np.ones(len(values), dtype=bool)
    for index in range(_GROUPS):
        used[:, index] = more
        group = values & 0x1F
        values >>= 5
        more = more & np.where(group & 0x10, values != -1, values != 0)
        groups[:, index] = (group | np.where(more, 0x20, 0)) + 48
    return groups[used].tobytes().decode("ascii")


def from_string(text: str | bytes) -> np.ndarray:
    """Run lengths, uint32 (R,), of COCO's compressed text; ValueError when it is malformed."""
    data = text.encode("utf-8") if isinstance(text, str) else bytes(text)
    codes = np.frombuffer(data, dtype=np.uint8).astype(np.int64) - 48
    if len(codes) == 0:
        return np.zeros(0, dtype=np.uint32)
    wrong = np.flatnonzero((codes < 0) | (codes > 0x3F))
    if len(wrong):
        raise ValueError(
            f"a mask's run-length string is malformed at character {wrong[0]}; "
            "expected COCO's compressed form"
        )
    lasts = np.flatnonzero((codes & 0x20) == 0)
    if len(lasts) == 0 or lasts[-1] != len(codes) - 1:
        raise ValueError("a mask's run-length string ends inside a number")
    firsts = np.concatenate(([0], lasts[:-1] + 1))
    sizes = lasts - firsts + 1
    if sizes.max() > _GROUPS:
        character = firsts[np.argmax(sizes > _GROUPS)] + _GROUPS
        raise ValueError(
            f"a mask's run-length string is malformed at character {character}; "
            "expected COCO's compressed form"
        )
    places = np.arange(len(codes)) - np.repeat(firsts, sizes)
    values = np.add.reduceat((codes & 0x1F) << (5 * places), firsts)
    values -= np.where(codes[lasts] & 0x10, np.int64(1) << (5 * sizes), 0)
    counts = values
    counts[1::2] = np.cumsum(values[1::2])
    counts[2::2] = np.cumsum(values[2::2])
    wrong = np.flatnonzero((counts < 0) | (counts > 0xFFFFFFFF))
    if len(wrong):
        raise ValueError(
            f"a mask's run-length string has the run {counts[wrong[0]]} before character "
            f"{lasts[wrong[0]] + 1}, expected a number of pixels"
        )
    return counts.astype(np.uint32)

"""Draws the clips that the goldens of tracking are made from: shapes that move over a background.

    python tools/reference/clip_scenes.py meadow --output FOLDER

Writes FOLDER/00000.png and so on. The clips are described in tests/data/goldens/clips.json; all
arithmetic is on integers, so the frames are the same on every machine. Needs only numpy.
"""

import argparse
import json
import struct
import zlib
from pathlib import Path

import numpy as np

CLIPS = Path(__file__).resolve().parents[2] / "tests/data/goldens/clips.json"
SUBPIXELS = 16


def _noise(seed: int, height: int, width: int) -> np.ndarray:
    """Whole numbers from -8 to 7, from splitmix64 as in make_checkpoint.py."""
    with np.errstate(over="ignore"):
        steps = np.arange(1, height * width + 1, dtype=np.uint64)
        bits = np.uint64(seed) + steps * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(60)).astype(np.int64).reshape(height, width) - 8


def background(seed: int, height: int, width: int) -> np.ndarray:
    """A grey that rises to the right and falls to the bottom, with fixed noise."""
    x = np.arange(width, dtype=np.int64) * 40 // width
    y = np.arange(height, dtype=np.int64) * 24 // height
    grey = 118 + x[None, :] - y[:, None] + _noise(seed, height, width)
    return np.repeat(grey[:, :, None], 3, axis=2)


def place(path: list[list[int]], frame: int) -> tuple[int, int]:
    """The centre in 1/16 pixels: straight between the [frame, x, y] of `path`."""
    before = max((p for p in path if p[0] <= frame), default=path[0])
    after = min((p for p in path if p[0] > frame), default=before)
    span = max(after[0] - before[0], 1)
    step = min(max(frame - before[0], 0), span)
    return tuple(
        before[i] * SUBPIXELS + (after[i] - before[i]) * SUBPIXELS * step // span for i in (1, 2)
    )


def shape_mask(thing: dict, frame: int, height: int, width: int) -> np.ndarray:
    """Where the shape lies on this frame, whether something covers it or not: bool [H, W]."""
    empty = np.zeros((height, width), bool)
    if not thing.get("from", 0) <= frame < thing.get("until", 1 << 30):
        return empty
    if any(first <= frame < last for first, last in thing.get("gone", [])):
        return empty
    centre_x, centre_y = place(thing["path"], frame)
    half_w, half_h = (side * SUBPIXELS // 2 for side in thing["size"])
    x = np.arange(width, dtype=np.int64) * SUBPIXELS + SUBPIXELS // 2 - centre_x
    y = (np.arange(height, dtype=np.int64) * SUBPIXELS + SUBPIXELS // 2 - centre_y)[:, None]
    inside = (np.abs(x) <= half_w) & (np.abs(y) <= half_h)
    if thing["shape"] == "disc":
        inside = (x * half_h) ** 2 + (y * half_w) ** 2 <= (half_w * half_h) ** 2
    elif thing["shape"] == "wedge":
        inside &= 2 * np.abs(x) * half_h <= (y + half_h) * half_w
    elif thing["shape"] == "ring":
        outer = (x * half_h) ** 2 + (y * half_w) ** 2
        full = (half_w * half_h) ** 2
        inside = (outer <= full) & (outer * 25 >= full)
    return inside


def colour(thing: dict, frame: int) -> list[int]:
    """Its colour on this frame: the last of "recolour", [frame, colour], that has begun."""
    begun = [c for first, c in thing.get("recolour", []) if first <= frame]
    return begun[-1] if begun else thing["colour"]


def draw(clip: dict, frame: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The frame, uint8 [H, W, 3], and what is visible of every thing, bool [H, W]; later ones are
    in front."""
    height, width = clip["height"], clip["width"]
    image = background(clip["seed"], height, width)
    visible: list[np.ndarray] = []
    for thing in clip["things"]:
        mask = shape_mask(thing, frame, height, width)
        visible = [other & ~mask for other in visible] + [mask]
        image[mask] = np.array(colour(thing, frame)) + (image[mask] - 126) // 4
    return np.clip(image, 0, 255).astype(np.uint8), visible


def frames(clip: dict) -> np.ndarray:
    """All frames, uint8 [T, H, W, 3]."""
    return np.stack([draw(clip, frame)[0] for frame in range(clip["frames"])])


def load(name: str) -> dict:
    return json.loads(CLIPS.read_text(encoding="utf-8"))[name]


def write_png(path: Path, image: np.ndarray) -> None:
    """8-bit RGB without filters."""
    height, width, _ = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", help="a name in tests/data/goldens/clips.json")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(frames(load(arguments.clip))):
        write_png(arguments.output / f"{number:05d}.png", image)


if __name__ == "__main__":
    main()

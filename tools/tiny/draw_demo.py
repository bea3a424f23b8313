"""Draws two demo pictures and a clip of the shapes that the small model knows.

    python tools/tiny/draw_demo.py FOLDER

FOLDER/shapes.png has a plain background, FOLDER/shapes_photo.png one of test_images;
FOLDER/clip/00.png and so on are the frames of the clip, in which one red circle goes behind a
square and another comes into view. Needs numpy and Pillow only.
"""

import sys
from pathlib import Path

import numpy as np
from backgrounds import TEST_IMAGES
from PIL import Image
from scenes import Item, Painter

SIZE = (640, 440)
PLAIN = np.array([0.93, 0.93, 0.90], np.float32)
# shape, colour as RGB, fill, x, y, radius in parts of the height, angle
SHAPES = [
    ("circle", (0.86, 0.12, 0.12), "plain", 0.22, 0.26, 0.16, 0.0),
    ("square", (0.13, 0.28, 0.85), "plain", 0.62, 0.24, 0.15, 0.3),
    ("star", (0.95, 0.78, 0.08), "plain", 1.02, 0.28, 0.17, 0.2),
    ("circle", (0.13, 0.28, 0.85), "plain", 1.27, 0.70, 0.14, 0.0),
    ("ring", (0.10, 0.60, 0.25), "striped", 0.26, 0.74, 0.16, 0.0),
    ("circle", (0.86, 0.12, 0.12), "plain", 0.58, 0.68, 0.08, 0.0),
    ("triangle", (0.55, 0.20, 0.70), "plain", 0.92, 0.74, 0.16, 0.1),
    ("star", (0.13, 0.28, 0.85), "plain", 1.30, 0.20, 0.09, -0.2),
]


FRAMES = 36
# As SHAPES, with x, y and angle on the first and on the last frame; later ones cover earlier ones.
MOVING = [
    ("circle", (0.86, 0.12, 0.12), "plain", (0.20, 1.24), (0.46, 0.66), 0.13, (0.0, 0.0)),
    ("circle", (0.86, 0.12, 0.12), "plain", (1.62, 1.16), (0.20, 0.18), 0.11, (0.0, 0.0)),
    ("star", (0.13, 0.28, 0.85), "plain", (1.22, 0.20), (0.82, 0.80), 0.16, (0.0, 2.0)),
    ("ring", (0.10, 0.60, 0.25), "striped", (0.30, 0.55), (0.18, 0.17), 0.12, (0.0, 0.6)),
    ("square", (0.55, 0.20, 0.70), "plain", (0.72, 0.74), (0.54, 0.58), 0.18, (0.1, 0.3)),
]


def draw(background: np.ndarray, shapes: list[tuple]) -> Image.Image:
    """The shapes over a float RGB background of SIZE."""
    width, height = SIZE
    canvas = background.copy()
    for shape, color, fill, x, y, radius, angle in shapes:
        look = {
            "color": np.array(color, np.float32),
            "second": np.ones(3, np.float32),
            "period": 0.5,
            "edge": None,
            "shade": None,
        }
        item = Item(shape, "", fill, "large", x, y, radius, angle, look)
        Painter(item, SIZE, (width / height, 1.0), 1.2).draw(canvas)
    return Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))


def moved(part: float) -> list[tuple]:
    """MOVING at a part of the clip, 0 to 1."""

    def between(ends: tuple[float, float]) -> float:
        return ends[0] + (ends[1] - ends[0]) * part

    return [
        (shape, color, fill, between(x), between(y), radius, between(angle))
        for shape, color, fill, x, y, radius, angle in MOVING
    ]


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "clip").mkdir(parents=True, exist_ok=True)
    width, height = SIZE
    plain = np.broadcast_to(PLAIN, (height, width, 3))
    draw(plain, SHAPES).save(folder / "shapes.png")
    photo = Image.open(TEST_IMAGES / "rocket.jpg").convert("RGB").resize(SIZE)
    draw(np.asarray(photo, np.float32) / 255, SHAPES).save(folder / "shapes_photo.png")
    for t in range(FRAMES):
        draw(plain, moved(t / (FRAMES - 1))).save(folder / f"clip/{t:02}.png")


if __name__ == "__main__":
    main()

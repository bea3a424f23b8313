"""Small clips for the tests of `sam3trt track`: shapes that move, as PNG files and as videos."""

import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64


def frame(index: int) -> np.ndarray:
    """A red disc that moves to the right, a blue box that moves down, on a grey gradient."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.repeat((60 + x)[..., None], 3, axis=2).astype(np.uint8)
    image[(x - 20 - 2 * index) ** 2 + (y - 24) ** 2 < 14**2] = (230, 30, 30)
    top = 10 + index
    image[top : top + 20, 70:90] = (30, 60, 220)
    return image


def disc(index: int) -> np.ndarray:
    """The mask of the disc on that frame."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (x - 20 - 2 * index) ** 2 + (y - 24) ** 2 < 14**2


def write_frames(folder: Path, count: int) -> Path:
    """frame0.png, frame1.png, ...: sorted by name, 10 comes before 2."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(frame(index)).save(folder / f"frame{index}.png")
    return folder


def ffmpeg(*arguments) -> None:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def encode(folder: Path, target: Path, *options) -> Path:
    """The frames of `folder` as a video; lossless where no options are given."""
    options = options or ("-c:v", "ffv1", "-pix_fmt", "gbrp")
    ffmpeg("-framerate", 25, "-i", folder / "frame%d.png", *options, target)
    return target

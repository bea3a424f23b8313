"""Backgrounds of the synthetic scenes: plain, noise, gradient, clouds, photograph; numpy, Pillow.

Training takes photographs that the PyPI package scikit-image ships (NASA's astronaut and Hubble
field, and the CC0 textures brick, grass and gravel); evaluation takes the repository's
test_images, which training never sees. Without the package, clouds stand in.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from shapes import hsv_to_rgb

KINDS = ("plain", "noise", "gradient", "clouds", "photo")
TRAINING_PHOTOS = ("astronaut.png", "hubble_deep_field.jpg", "brick.png", "grass.png", "gravel.png")
TEST_IMAGES = Path(__file__).resolve().parents[2] / "test_images"


def training_folder() -> Path | None:
    try:
        import skimage
    except ImportError:
        return None
    return Path(skimage.__file__).parent / "data"


@lru_cache(maxsize=2)
def photographs(held_out: bool) -> list[Image.Image]:
    if held_out:
        paths = sorted(TEST_IMAGES.glob("*.jpg"))
        if not paths:
            raise FileNotFoundError(f"{TEST_IMAGES}: no *.jpg for photographic backgrounds")
    else:
        folder = training_folder()
        paths = [folder / name for name in TRAINING_PHOTOS] if folder else []
    return [Image.open(path).convert("RGB") for path in paths if path.exists()]


def dull_color(rng: np.random.Generator) -> np.ndarray:
    """White, black, grey, a tint or a dark shade: colours that no shape has."""
    choice = rng.random()
    if choice < 0.2:
        return np.full(3, rng.uniform(0.93, 1.0))
    if choice < 0.3:
        return np.full(3, rng.uniform(0.0, 0.12))
    if choice < 0.55:
        return np.full(3, rng.uniform(0.15, 0.9))
    if choice < 0.8:
        return hsv_to_rgb(rng.uniform(0, 360), rng.uniform(0.03, 0.18), rng.uniform(0.6, 1.0))
    return hsv_to_rgb(rng.uniform(0, 360), rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.35))


def clouds(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Sum of random fields at four scales, in two dull colours."""
    total = np.zeros((height, width), np.float32)
    for cells, weight in ((3, 1.0), (6, 0.6), (13, 0.35), (40, 0.2)):
        field = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        total += weight * np.asarray(field.resize((width, height), Image.Resampling.BICUBIC))
    total = np.clip((total - total.min()) / max(np.ptp(total), 1e-6), 0, 1)[..., None]
    return dull_color(rng) * total + dull_color(rng) * (1 - total)


def photo(rng: np.random.Generator, width: int, height: int, held_out: bool) -> np.ndarray:
    pictures = photographs(held_out)
    if not pictures:
        return clouds(rng, width, height)
    picture = pictures[rng.integers(len(pictures))]
    w, h = picture.size
    part = rng.uniform(0.45, 1.0)
    cw, ch = int(w * part), int(h * part)
    x, y = rng.integers(w - cw + 1), rng.integers(h - ch + 1)
    box = (x, y, x + cw, y + ch)
    crop = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(crop, np.float32) / 255
    if rng.random() < 0.4 and not held_out:
        pixels = pixels[..., rng.permutation(3)]
    return np.clip((pixels - 0.5) * rng.uniform(0.6, 1.1) + 0.5 + rng.uniform(-0.12, 0.12), 0, 1)


def make(rng: np.random.Generator, kind: str, width: int, height: int, held_out: bool):
    """Background [height, width, 3] in 0..1, float32."""
    if kind == "photo":
        pixels = photo(rng, width, height, held_out)
    elif kind == "clouds":
        pixels = clouds(rng, width, height)
    else:
        pixels = np.broadcast_to(dull_color(rng).astype(np.float32), (height, width, 3))
        if kind == "gradient":
            angle = rng.uniform(0, 2 * np.pi)
            x = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.cos(angle)
            y = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.sin(angle)
            part = np.clip(x + y[:, None] + 0.5, 0, 1)[..., None]
            pixels = pixels * part + dull_color(rng) * (1 - part)
        elif kind == "noise":
            channels = 3 if rng.random() < 0.5 else 1
            noise = rng.standard_normal((height, width, channels), dtype=np.float32)
            pixels = pixels + rng.uniform(0.03, 0.16) * noise
    return np.clip(pixels, 0, 1).astype(np.float32)

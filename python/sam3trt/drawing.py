"""Draws results on images, by Pillow. Colours and sizes are those of the program's overlays."""

from __future__ import annotations

import colorsys
import io
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .result import Result

Color = tuple[int, int, int]

#: RGB of the first prompts.
PALETTE: tuple[Color, ...] = (
    (255, 64, 64),
    (0, 150, 255),
    (70, 210, 60),
    (255, 165, 0),
    (170, 80, 255),
    (0, 220, 210),
    (255, 90, 200),
    (250, 235, 50),
    (60, 70, 230),
    (160, 90, 40),
)
_DARK, _LIGHT = (16, 16, 16), (255, 255, 255)
#: Hue, saturation and value that are added to a prompt's colour for its next instances.
_SHADES = (
    (0.0, 0.0, 0.0),
    (0.03, -0.28, 0.0),
    (-0.03, 0.0, -0.24),
    (0.045, 0.0, -0.14),
    (-0.045, -0.18, 0.0),
)


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFilter
        import PIL.ImageFont
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError("drawing needs Pillow: pip install 'sam3trt[plot]'") from error
    return PIL


def _shade(color: Color, index: int) -> Color:
    """`color` for index 0, else one near it, so that instances of a prompt differ."""
    shift = _SHADES[index % len(_SHADES)]
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in color))
    shifted = colorsys.hsv_to_rgb(
        (hue + shift[0]) % 1.0,
        min(max(saturation + shift[1], 0.0), 1.0),
        min(max(value + shift[2], 0.0), 1.0),
    )
    return tuple(round(255 * part) for part in shifted)  # type: ignore[return-value]


def _as_rgb(image: Any) -> Any:
    """A PIL image in RGB, turned as its EXIF says where it comes from a file."""
    pil = _pillow()
    if isinstance(image, (str, os.PathLike)):
        image = pil.Image.open(Path(image))
    elif isinstance(image, (bytes, bytearray, memoryview)):
        image = pil.Image.open(io.BytesIO(image))
    if isinstance(image, pil.Image.Image):
        return pil.ImageOps.exif_transpose(image).convert("RGB")
    if hasattr(image, "detach"):  # torch, which also knows CUDA
        image = image.detach().cpu().numpy()
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.shape[2] != 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype == np.uint8 and pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise TypeError(
            f"an image to draw on is uint8 (H, W, 3), RGB; found {pixels.dtype} {pixels.shape}"
        )
    return pil.Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


def _image_of(result: Result, image: Any) -> Any:
    for candidate in (image, result.image, result.path):
        if candidate is not None:
            drawn = _as_rgb(candidate)
            break
    else:
        raise ValueError("the result has no image to draw on: pass one, plot(image)")
    height, width = result.size
    if drawn.size != (width, height):
        raise ValueError(
            f"the image to draw on is {drawn.width}x{drawn.height}, the result's {width}x{height}"
        )
    return drawn


def _distances(deviation: float) -> np.ndarray:
    """Distance in pixels to a straight edge, for each value 0 to 255 of the blurred edge."""
    normal = statistics.NormalDist(0, deviation)
    inner = [abs(normal.inv_cdf(value / 255)) for value in range(1, 255)]
    return np.array([np.inf, *inner, np.inf], dtype=np.float32)


def _tint(pixels: np.ndarray, mask: np.ndarray, color: Color, opacity: float, line: float) -> None:
    """Mixes a mask's colour into `pixels` float32 (H, W, 3), and draws its outline, both smooth."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return
    pil = _pillow()
    margin = math.ceil(line) + 2
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    bottom, right = rows[-1] + 1 + margin, columns[-1] + 1 + margin
    part = pixels[top:bottom, left:right]
    inside = mask[top:bottom, left:right]
    # Blurred by a Gaussian, a straight edge goes from 1 to 0 as the normal distribution does, so a
    # value says how far the edge is. What the image's border cuts off has no outline there.
    padded = np.pad(inside, margin, mode="edge").astype(np.uint8) * 255
    deviation = max(line * 0.55, 0.8)
    blurred = pil.Image.fromarray(padded).filter(pil.ImageFilter.GaussianBlur(deviation))
    distance = _distances(deviation)[np.asarray(blurred)[margin:-margin, margin:-margin]]
    outline = np.clip(line / 2 - distance + 0.5, 0, 1)[..., None]
    fill = np.where(inside, opacity, 0.0).astype(np.float32)[..., None]
    tone = np.array(color, dtype=np.float32)
    part += (tone - part) * fill
    part += (tone - part) * outline


def _text_color(background: Color) -> Color:
    """Black or white, whichever can be read better (Rec. 601 luma)."""
    red, green, blue = background
    return _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 130 else _LIGHT


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _place(
    size: tuple[float, float], box: Sequence[float], image: Any, taken: list[tuple]
) -> tuple[float, float, float, float]:
    """Where a label goes: at a corner of the box, inside the image, over no other if possible."""
    width, height = size
    x0, y0, x1, y1 = (float(value) for value in box)
    corners = (
        (x0, y0 - height),
        (x0, y0),
        (x1 - width, y0 - height),
        (x0, y1),
        (x0, y1 - height),
        (x1 - width, y1),
        (x1 - width, y1 - height),
        ((x0 + x1 - width) / 2, (y0 + y1 - height) / 2),
    )
    best: tuple[float, tuple] | None = None
    for x, y in corners:
        x = min(max(x, 0), max(image.width - width, 0))
        y = min(max(y, 0), max(image.height - height, 0))
        area = (x, y, x + width, y + height)
        hidden = sum(_overlap(area, other) for other in taken)
        if best is None or hidden < best[0]:
            best = (hidden, area)
        if hidden == 0:
            break
    assert best is not None
    return best[1]


def draw(
    result: Result,
    image: Any,
    *,
    masks: bool,
    boxes: bool,
    labels: bool,
    opacity: float,
    colors: Sequence[Sequence[int]] | None,
    font: str | os.PathLike | None,
) -> Any:
    """See `Result.plot`."""
    pil = _pillow()
    drawn = _image_of(result, image)
    side = math.sqrt(drawn.width * drawn.height)
    line = max(2.0, side / 480)
    text_size = max(11.0, side / 60)
    palette = [tuple(color) for color in colors] if colors else PALETTE
    seen = [0] * len(result.prompts)
    tones: list[Color] = []
    for label in result.labels.tolist():
        tones.append(_shade(palette[label % len(palette)], seen[label]))
        seen[label] += 1
    found = list(result)

    if masks and found:
        pixels = np.asarray(drawn).astype(np.float32)
        # Better instances are drawn later and lie over the others.
        for index in np.argsort(result.scores, kind="stable"):
            _tint(pixels, found[index].mask, tones[index], opacity, line)
        drawn = pil.Image.fromarray((pixels + 0.5).clip(0, 255).astype(np.uint8))
    pen = pil.ImageDraw.Draw(drawn)
    if boxes:
        for instance, tone in zip(found, tones):
            x0, y0, x1, y1 = (float(value) for value in instance.box)
            corners = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            pen.rectangle(corners, outline=tone, width=round(line))
    if labels:
        _draw_labels(pen, drawn, found, tones, text_size, font)
    return drawn


def _draw_labels(
    pen: Any,
    image: Any,
    found: list,
    tones: list[Color],
    text_size: float,
    font: str | os.PathLike | None,
) -> None:
    pil = _pillow()
    if font is None:
        face = pil.ImageFont.load_default(text_size)
    else:
        face = pil.ImageFont.truetype(os.fspath(font), text_size)
    padding = max(2, round(text_size * 0.28))
    taken: list[tuple] = []
    for index in sorted(range(len(found)), key=lambda index: -found[index].score):
        text = f"{found[index].name} {found[index].score:.2f}".replace("\n", " ")
        left, _, right, _ = pen.textbbox((0, 0), text, font=face, anchor="ls")
        ascent, descent = face.getmetrics()
        size = (right - left + 2 * padding, ascent + descent + padding)
        if size[0] > image.width or size[1] > image.height:
            continue  # an image smaller than a label has none
        area = _place(size, found[index].box, image, taken)
        taken.append(area)
        pen.rounded_rectangle(area, radius=padding, fill=tones[index])
        baseline = area[1] + padding / 2 + ascent
        pen.text(
            (area[0] + padding - left, baseline),
            text,
            font=face,
            fill=_text_color(tones[index]),
            anchor="ls",
        )

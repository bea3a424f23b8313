"""Seeded synthetic scenes: coloured shapes on a background, with exact visible masks; numpy only.

`Scene` number i of seed s is always the same picture. Later objects lie over earlier ones; a mask
is the visible part. Objects of which less than 45 % is visible are left out of the picture.
"""

from dataclasses import dataclass, field

import backgrounds
import numpy as np
from shapes import COLORS, FILLS, RADII, SHAPES, SIZES, paint, sample_color

MAX_OBJECTS = 9
MIN_VISIBLE = 0.45


@dataclass
class Item:
    """One object; lengths in pixels of a scene of area 1, that is, as parts of sqrt(W * H)."""

    shape: str
    color: str
    fill: str
    size: str
    x: float
    y: float
    radius: float
    angle: float
    look: dict = field(default_factory=dict)

    @property
    def kind(self) -> tuple[str, str]:
        return self.color, self.shape


@dataclass
class Scene:
    """image uint8 [H, W, 3]; ids int8 [H, W]: the visible item of a pixel or -1."""

    image: np.ndarray
    ids: np.ndarray
    items: list[Item]

    def mask(self, index: int) -> np.ndarray:
        return self.ids == index

    def box(self, index: int) -> np.ndarray:
        """Tight box x0 y0 x1 y1 of the visible part as parts of width and height."""
        mask = self.mask(index)
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        height, width = mask.shape
        return np.array(
            [
                columns[0] / width,
                rows[0] / height,
                (columns[-1] + 1) / width,
                (rows[-1] + 1) / height,
            ],
            np.float32,
        )


def sample_look(rng: np.random.Generator, color: str, radius: float) -> dict:
    main = sample_color(rng, color)
    dark = rng.random() < 0.4
    second = np.full(3, rng.uniform(0.0, 0.15) if dark else rng.uniform(0.9, 1.0))
    period = rng.uniform(0.42, 0.62)
    return {
        "color": main,
        "second": second,
        "period": period if radius > 0.08 else max(period, 0.55),
        "edge": rng.choice([0.0, 0.35, 0.7]) if rng.random() < 0.2 else None,
        "shade": rng.uniform(-0.15, 0.15, 2) if rng.random() < 0.25 else None,
    }


def sample_items(rng, width: float, height: float, colors, shapes, count: int) -> list[Item]:
    """Up to `count` items in a scene of width * height = 1, drawn from few kinds."""
    kinds = [(rng.choice(colors), rng.choice(shapes)) for _ in range(rng.integers(2, 5))]
    items: list[Item] = []
    for _ in range(count):
        own = rng.random() < 0.75
        color, shape = (
            kinds[rng.integers(len(kinds))] if own else (rng.choice(colors), rng.choice(shapes))
        )
        size = SIZES[rng.integers(2)]
        fill = FILLS[rng.choice(3, p=[0.66, 0.22, 0.12] if size == "small" else [0.5, 0.25, 0.25])]
        radius = rng.uniform(*RADII[size])
        overlap = 0.45 if rng.random() < 0.25 else 0.9
        for _ in range(25):
            x = rng.uniform(0.85 * radius, width - 0.85 * radius)
            y = rng.uniform(0.85 * radius, height - 0.85 * radius)
            if all(np.hypot(x - o.x, y - o.y) > overlap * (radius + o.radius) for o in items):
                angle = 0.0 if rng.random() < 0.35 else rng.uniform(-np.pi, np.pi)
                look = sample_look(rng, color, radius)
                items.append(Item(str(shape), str(color), fill, size, x, y, radius, angle, look))
                break
    return items


class Painter:
    """Coverage and colours of one item on the pixels around it."""

    def __init__(self, item: Item, size: tuple[int, int], extent: tuple[float, float], soft: float):
        (width, height), (scene_w, scene_h) = size, extent
        sx, sy = width / scene_w, height / scene_h
        reach = 1.2 * item.radius
        x0, x1 = int(max((item.x - reach) * sx, 0)), int(min((item.x + reach) * sx + 2, width))
        y0, y1 = int(max((item.y - reach) * sy, 0)), int(min((item.y + reach) * sy + 2, height))
        self.rows, self.columns = slice(y0, y1), slice(x0, x1)
        u = ((np.arange(x0, x1, dtype=np.float32) + 0.5) / sx - item.x) / item.radius
        v = ((np.arange(y0, y1, dtype=np.float32) + 0.5) / sy - item.y) / item.radius
        cos, sin = np.float32(np.cos(item.angle)), np.float32(np.sin(item.angle))
        self.u = u[None, :] * cos + v[:, None] * sin
        self.v = v[:, None] * cos - u[None, :] * sin
        self.item = item
        self.distance = SHAPES[item.shape](self.u, self.v) * item.radius * np.sqrt(sx * sy)
        self.inside = self.distance < 0
        self.cover = np.clip(0.5 - self.distance / soft, 0, 1)

    def draw(self, canvas: np.ndarray) -> None:
        look = self.item.look
        colors = paint(
            self.item.fill, self.u, self.v, look["color"], look["second"], look["period"]
        )
        if look["shade"] is not None:
            a, b = look["shade"]
            colors = np.clip(colors * (1 + a * self.u + b * self.v)[..., None], 0, 1)
        if look["edge"] is not None:
            line = np.clip(2.0 + self.distance, 0, 1)[..., None]
            colors = colors * (1 - line * (1 - look["edge"]))
        view = canvas[self.rows, self.columns]
        view += (colors - view) * self.cover[..., None]


def render(rng, items: list[Item], width: int, height: int, extent, held_out: bool) -> Scene:
    """Draws the items that stay visible; `extent` is the scene's width and height."""
    soft = rng.uniform(0.8, 1.7)
    painters = [Painter(item, (width, height), extent, soft) for item in items]
    taken = np.zeros((height, width), bool)
    kept = []
    for painter in reversed(painters):
        view = taken[painter.rows, painter.columns]
        free = np.count_nonzero(painter.inside & ~view)
        if free > MIN_VISIBLE * max(np.count_nonzero(painter.inside), 1) and free > 25:
            view |= painter.inside
            kept.insert(0, painter)
    kind = backgrounds.KINDS[rng.choice(5, p=[0.3, 0.12, 0.16, 0.17, 0.25])]
    canvas = np.array(backgrounds.make(rng, kind, width, height, held_out), np.float32)
    ids = np.full((height, width), -1, np.int8)
    for index, painter in enumerate(kept):
        painter.draw(canvas)
        ids[painter.rows, painter.columns][painter.inside] = index
    if rng.random() < 0.2:
        canvas += rng.uniform(0.01, 0.04) * rng.standard_normal(canvas.shape, dtype=np.float32)
    image = (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Scene(image, ids, [painter.item for painter in kept])


def choose_palette(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """A few colours and shapes: scenes of one palette are full of near misses."""
    colors = rng.choice(list(COLORS), rng.integers(2, 5), replace=False)
    shapes = rng.choice(list(SHAPES), rng.integers(2, 5), replace=False)
    return [str(c) for c in colors], [str(s) for s in shapes]


def training_scene(seed: int, index: int, side: int) -> tuple[Scene, np.random.Generator]:
    """A scene of any aspect ratio squeezed into side x side, as inference will see it."""
    rng = np.random.default_rng([seed, index])
    aspect = np.exp(rng.uniform(-0.5, 0.5)) if rng.random() < 0.75 else 1.0
    extent = (np.sqrt(aspect), 1 / np.sqrt(aspect))
    items = sample_items(rng, *extent, *choose_palette(rng), int(rng.integers(1, MAX_OBJECTS + 1)))
    return render(rng, items, side, side, extent, held_out=False), rng


def held_out_scene(seed: int, index: int, palette=None) -> tuple[Scene, np.random.Generator]:
    """An evaluation scene of varying size and aspect ratio; photographs that training lacks."""
    rng = np.random.default_rng([seed, index, 1])
    long_side = int(rng.integers(280, 641))
    ratio = rng.uniform(0.62, 1.0)
    width, height = (long_side, int(long_side * ratio))
    if rng.random() < 0.4:
        width, height = height, width
    scale = np.sqrt(width * height)
    extent = (width / scale, height / scale)
    colors, shapes = palette or choose_palette(rng)
    items = sample_items(rng, *extent, colors, shapes, int(rng.integers(2, MAX_OBJECTS + 1)))
    return render(rng, items, width, height, extent, held_out=True), rng

"""The synthetic scenes set in motion, with exact visible masks on every frame; numpy only.

Items move, bounce, turn, grow and shrink; some leave and come back; dull bars in front cover them
for a while; some have a double of the same kind. Clip number i of seed s is always the same.
"""

from dataclasses import dataclass, replace

import backgrounds
import numpy as np
from scenes import Item, Painter, choose_palette, sample_items, sample_look

MAX_ITEMS = 7
FEWEST_PIXELS = 30  # below this an item counts as out of sight


@dataclass
class Motion:
    """Where an item is at time t, in frames: a straight way, a swing around it, turns, growth."""

    speed: np.ndarray  # of the centre, per frame
    swing: np.ndarray  # half the way to and fro
    period: float  # of the swing and of the growth, in frames
    phase: float
    turn: float  # radians per frame
    growth: float  # largest part by which the radius changes
    bounces: bool  # comes back from the border; otherwise leaves

    def place(self, item: Item, t: float, extent: tuple[float, float]) -> Item:
        wave = np.sin(2 * np.pi * t / self.period + self.phase) - np.sin(self.phase)
        centre = np.array([item.x, item.y]) + self.speed * t + self.swing * wave
        if self.bounces:
            low = 0.5 * item.radius
            for axis in (0, 1):
                span = extent[axis] - 2 * low
                along = (centre[axis] - low) % (2 * span)
                centre[axis] = low + min(along, 2 * span - along)
        radius = item.radius * (1 + self.growth * wave / 2)
        turned = item.angle + self.turn * t
        return replace(item, x=centre[0], y=centre[1], radius=radius, angle=turned)


def sample_motion(rng: np.random.Generator, pace: float) -> Motion:
    """`pace` is the usual way in a frame, as a part of the scene's side."""
    angle = rng.uniform(0, 2 * np.pi)
    speed = pace * rng.uniform(0.0, 1.6) * np.array([np.cos(angle), np.sin(angle)])
    period = rng.uniform(16, 50)
    swings = rng.random() < 0.4
    swing = rng.normal(0, 1, 2) * pace * period / 8 if swings else np.zeros(2)
    turn = rng.normal(0, 0.06) if rng.random() < 0.6 else 0.0
    growth = rng.uniform(0, 0.35) if rng.random() < 0.5 else 0.0
    phase = rng.uniform(0, 2 * np.pi)
    return Motion(speed, swing, period, phase, turn, growth, rng.random() < 0.75)


def occluder(rng: np.random.Generator, extent: tuple[float, float]) -> Item:
    """A large dull square that no text asks for."""
    look = sample_look(rng, "red", 0.2) | {"color": backgrounds.dull_color(rng), "edge": None}
    radius = rng.uniform(0.12, 0.24)
    x, y = rng.uniform(0.15, 0.85, 2) * extent
    return Item("square", "dull", "plain", "large", x, y, radius, rng.uniform(0, 1.5), look)


@dataclass
class MovingScene:
    """Items from back to front with their motions over one background."""

    items: list[Item]
    motions: list[Motion]
    extent: tuple[float, float]
    canvas: np.ndarray  # [h, w, 3] in 0..1, at least as large as a frame
    pan: np.ndarray  # pixels by which the background moves in a frame
    soft: float
    noise: float
    seed: list[int]

    def frame(self, t: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [H, W, 3] and ids int8 [H, W], the item that is seen at a pixel or -1."""
        spare = np.array([self.canvas.shape[1] - width, self.canvas.shape[0] - height])
        along = np.abs((self.pan * t + spare / 2) % np.maximum(2 * spare, 1) - spare)
        x, y = np.minimum(along.astype(int), spare)
        canvas = np.array(self.canvas[y : y + height, x : x + width], np.float32)
        ids = np.full((height, width), -1, np.int8)
        for index, (item, motion) in enumerate(zip(self.items, self.motions)):
            at = motion.place(item, t, self.extent)
            painter = Painter(at, (width, height), self.extent, self.soft)
            if painter.inside.size and painter.rows.start < painter.rows.stop:
                painter.draw(canvas)
                ids[painter.rows, painter.columns][painter.inside] = index
        if self.noise:
            rng = np.random.default_rng([*self.seed, t])
            canvas += self.noise * rng.standard_normal(canvas.shape, dtype=np.float32)
        return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8), ids


def moving_scene(seed: list[int], width: int, height: int, extent, held_out: bool) -> MovingScene:
    """`extent` is the scene's width and height with an area of 1."""
    rng = np.random.default_rng(seed)
    colors, shapes = choose_palette(rng)
    count = int(rng.integers(2, MAX_ITEMS))
    items = sample_items(rng, *extent, colors, shapes, count)
    if items and rng.random() < 0.4:  # a double, somewhere else
        other = items[rng.integers(len(items))]
        x, y = rng.uniform(0.1, 0.9, 2) * extent
        items.append(replace(other, x=x, y=y, angle=rng.uniform(-np.pi, np.pi)))
    pace = np.exp(rng.uniform(np.log(0.003), np.log(0.035)))
    motions = [sample_motion(rng, pace) for _ in items]
    for _ in range(rng.choice(3, p=[0.45, 0.4, 0.15])):
        at = int(rng.integers(len(items) // 2, len(items) + 1))
        items.insert(at, occluder(rng, extent))
        motions.insert(at, sample_motion(rng, pace * rng.uniform(0.0, 1.0)))
    kind = backgrounds.KINDS[rng.choice(5, p=[0.3, 0.1, 0.16, 0.19, 0.25])]
    pans = rng.random() < 0.3
    grow = 1.25 if pans else 1.0
    size = (int(width * grow), int(height * grow))
    canvas = backgrounds.make(rng, kind, *size, held_out)
    pan = rng.normal(0, 0.5 * pace, 2) * (width, height) if pans else np.zeros(2)
    noise = rng.uniform(0.01, 0.03) if rng.random() < 0.2 else 0.0
    return MovingScene(items, motions, extent, canvas, pan, rng.uniform(0.8, 1.7), noise, seed)

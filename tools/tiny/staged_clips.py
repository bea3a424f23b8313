"""Training clips in which something happens: the moving scenes with staged occlusions; numpy only.

A bar passes over an item and hides it for some frames, an item leaves the image and comes back, two
items cross, one in front of the other; between two frames more time may pass than one step. Clip
number i of seed s is always the same. The held-out clips of track_suite.py know none of this.
"""

from dataclasses import dataclass, replace

import numpy as np
from moving_scenes import Motion, MovingScene, moving_scene, occluder
from scenes import Item

MOST_ITEMS = 16  # of a scene, bars included
MOST_EVENTS = 2
LARGEST_HIDDEN = 0.15  # radius of an item that a bar of bearable size still covers
SQUARE = 0.78  # half a square's side as a part of its radius


@dataclass
class Passing:
    """The way of something that moves past an item: at `time` it is `miss` away from it."""

    target: Item
    motion: Motion
    velocity: np.ndarray  # against the target, per frame
    time: float
    miss: np.ndarray

    def place(self, item: Item, t: float, extent: tuple[float, float]) -> Item:
        there = self.motion.place(self.target, t, extent)
        x, y = np.array([there.x, there.y]) + self.miss + self.velocity * (t - self.time)
        return replace(item, x=x, y=y)


@dataclass
class Leaving:
    """A motion with an excursion by `shift`, complete for `time` +- `half`."""

    motion: Motion
    shift: np.ndarray
    time: float
    half: float

    def place(self, item: Item, t: float, extent: tuple[float, float]) -> Item:
        there = self.motion.place(item, t, extent)
        away = np.clip(2.5 - 1.5 * abs(t - self.time) / self.half, 0, 1)
        x, y = np.array([there.x, there.y]) + self.shift * away * away * (3 - 2 * away)
        return replace(there, x=x, y=y)


def frame_times(rng: np.random.Generator, frames: int) -> np.ndarray:
    """When the frames are taken: every step, or some left out, at times with a leap between two."""
    longest = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    steps = rng.integers(1, longest + 1, frames)
    if rng.random() < 0.3:
        steps[rng.integers(1, frames)] += rng.integers(4, 30)
    return int(rng.integers(0, 40)) + np.cumsum(steps)


def direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def hide(rng, scene: MovingScene, index: int, time: float) -> None:
    """A bar covers the item for 2 to 9 steps, one that belongs to no text."""
    target, motion = scene.items[index], scene.motions[index]
    bar = occluder(rng, scene.extent)
    bar = replace(bar, radius=target.radius * (1 + motion.growth / 2) * rng.uniform(1.6, 2.3))
    spare = SQUARE * bar.radius - target.radius
    along = direction(rng)
    angle = np.arctan2(along[1], along[0]) if rng.random() < 0.7 else bar.angle
    miss = rng.uniform(-0.3, 0.3) * spare * np.array([-along[1], along[0]])
    way = Passing(target, motion, along * 2 * spare / rng.uniform(2, 9), time, miss)
    at = int(rng.integers(index + 1, len(scene.items) + 1))
    scene.items.insert(at, replace(bar, angle=angle))
    scene.motions.insert(at, way)


def leave(rng, scene: MovingScene, index: int, time: float) -> None:
    """The item is out of the image for 2 to 8 steps, over the border that is nearest."""
    item, motion = scene.items[index], scene.motions[index]
    there = motion.place(item, time, scene.extent)
    beyond = there.radius * 1.25
    ways = [
        np.array([-there.x - beyond, 0]),
        np.array([scene.extent[0] - there.x + beyond, 0]),
        np.array([0, -there.y - beyond]),
        np.array([0, scene.extent[1] - there.y + beyond]),
    ]
    shift = min(ways, key=lambda way: np.abs(way).sum())
    scene.motions[index] = Leaving(motion, shift, time, rng.uniform(1.0, 4.0))


def cross(rng, scene: MovingScene, index: int, time: float) -> None:
    """Another item, of the same kind where there is one, passes before or behind this one."""
    item = scene.items[index]
    others = [i for i, o in enumerate(scene.items) if i != index and o.color != "dull"]
    alike = [i for i in others if scene.items[i].kind == item.kind]
    if not others:
        return
    chosen = alike if alike and rng.random() < 0.5 else others
    other = int(chosen[rng.integers(len(chosen))])
    along, reach = direction(rng), item.radius + scene.items[other].radius
    miss = rng.uniform(-0.8, 0.8) * reach * np.array([-along[1], along[0]])
    speed = reach * rng.uniform(0.1, 0.5)
    scene.motions[other] = Passing(item, scene.motions[index], along * speed, time, miss)


def stage(rng: np.random.Generator, scene: MovingScene, times: np.ndarray) -> None:
    """None to two events, each of another item, in the middle part of the clip."""
    items = [i for i in scene.items if i.color != "dull"]
    wanted = int(rng.choice(MOST_EVENTS + 1, p=[0.15, 0.45, 0.4]))
    for number in rng.permutation(len(items))[:wanted]:
        index = next(i for i, item in enumerate(scene.items) if item is items[number])
        if not isinstance(scene.motions[index], Motion):
            continue  # has its part in an event already
        time = times[rng.integers(3, len(times) - 3)] + rng.uniform(-0.5, 0.5)
        kind = rng.choice(3, p=[0.4, 0.25, 0.35])
        if kind == 0 and items[number].radius < LARGEST_HIDDEN:
            hide(rng, scene, index, time)
        elif kind == 1:
            leave(rng, scene, index, time)
        else:
            cross(rng, scene, index, time)


def training_clip(seed: int, index: int, frames: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [T, S, S, 3] and ids int8 [T, S, S] of any aspect ratio squeezed into S x S."""
    rng = np.random.default_rng([seed, index, 3])
    aspect = np.exp(rng.uniform(-0.5, 0.5)) if rng.random() < 0.75 else 1.0
    extent = (np.sqrt(aspect), 1 / np.sqrt(aspect))
    scene = moving_scene([seed, index, 4], side, side, extent, held_out=False)
    times = frame_times(rng, frames)
    stage(rng, scene, times)
    drawn = [scene.frame(int(t), side, side) for t in times]
    ids = np.stack([ids for _, ids in drawn])
    for number, item in enumerate(scene.items):
        if item.color == "dull":
            ids[ids == number] = -1
    return np.stack([image for image, _ in drawn]), ids


def count_pixels(ids: np.ndarray) -> np.ndarray:
    """int32 [T, MOST_ITEMS]: how many pixels of each frame show each item."""
    flat = ids.reshape(len(ids), -1).astype(np.int64)
    return np.stack([np.bincount(f[f >= 0], minlength=MOST_ITEMS) for f in flat]).astype(np.int32)

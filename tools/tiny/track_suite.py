"""The held-out set of the tracker: seeded images to click on, clips with occlusion; numpy only.

Half of the clips are chosen so that something disappears behind a bar, or from the image, for some
frames and comes back.
"""

from dataclasses import dataclass

import numpy as np
from moving_scenes import FEWEST_PIXELS, MovingScene, moving_scene
from scenes import Item, held_out_scene

FRAMES = 60
GONE = 3  # frames out of sight that make an occlusion
BACK = 5  # frames in sight again
START_PIXELS = 120


@dataclass
class ImageCase:
    """One object of an image."""

    image: np.ndarray
    mask: np.ndarray


@dataclass
class Clip:
    """images uint8 [T, H, W, 3], ids int8 [T, H, W]; items that are no bars, by their id."""

    images: np.ndarray
    ids: np.ndarray
    items: dict[int, Item]

    def mask(self, item: int, frame: int) -> np.ndarray:
        return self.ids[frame] == item

    def pixels(self, item: int) -> np.ndarray:
        return (self.ids == item).sum((1, 2))

    def begins(self) -> list[int]:
        """Items that are well in sight on the first frame."""
        return [i for i in self.items if self.pixels(i)[0] >= START_PIXELS]

    def returns(self, item: int) -> int | None:
        """The frame on which an item is back after having been out of sight; None: it never is."""
        seen = self.pixels(item) >= FEWEST_PIXELS
        for t in range(GONE, len(seen) - BACK):
            if seen[:2].all() and not seen[t - GONE : t].any() and seen[t : t + BACK].all():
                return t
        return None


def image_cases(seed: int, count: int) -> list[ImageCase]:
    """One object of each of `count` images, large or small, in front or partly covered."""
    cases, index = [], 0
    while len(cases) < count:
        scene, rng = held_out_scene(seed, 10_000 + index)
        index += 1
        if scene.items:
            item = int(rng.integers(len(scene.items)))
            cases.append(ImageCase(scene.image, scene.mask(item)))
    return cases


def draw(scene: MovingScene, width: int, height: int, frames: int) -> Clip:
    drawn = [scene.frame(t, width, height) for t in range(frames)]
    items = {i: item for i, item in enumerate(scene.items) if item.color != "dull"}
    return Clip(np.stack([a for a, _ in drawn]), np.stack([b for _, b in drawn]), items)


def clips(seed: int, count: int, frames: int = FRAMES) -> list[Clip]:
    """`count` clips; those with an even number have something that comes back."""
    found: list[Clip] = []
    index = 0
    while len(found) < count:
        rng = np.random.default_rng([seed, index, 5])
        width, height = int(rng.integers(240, 400)), int(rng.integers(200, 320))
        scale = np.sqrt(width * height)
        extent = (width / scale, height / scale)
        scene = moving_scene([seed, index, 6], width, height, extent, held_out=True)
        index += 1
        clip = draw(scene, width, height, frames)
        begins = clip.begins()
        if not begins:
            continue
        if len(found) % 2 or any(clip.returns(i) is not None for i in begins):
            found.append(clip)
    return found

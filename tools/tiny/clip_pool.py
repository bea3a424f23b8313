"""Clips for the tracker's training: worker processes draw them into files that training maps.

A slot of the pool holds one clip, or in its place as many still scenes that have nothing to do with
one another, of the kind that the detector was trained on: what is seen at every pixel, how many
pixels show each item, and either the images or, because the vision encoder is frozen, its tokens.
On the CPU the workers compute the tokens, once for all prompts that the clip will be used with, and
the pool is trained from where it lies; a resumed run begins with a full one. For a GPU the pool is
only what is on its way: `Store` takes each clip once, encodes it and keeps it in the GPU's memory,
and a worker draws the slot again when it was taken.
"""

import os
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from config import BACKBONE, GRID, IMAGE_SIZE
from scenes import training_scene
from staged_clips import MOST_ITEMS, count_pixels, training_clip

FRAMES = 20
FIELDS = {
    "ids": ((FRAMES, IMAGE_SIZE, IMAGE_SIZE), np.int8),
    "pixels": ((FRAMES, MOST_ITEMS), np.int32),
    "image": ((FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
    "tokens": ((FRAMES, GRID * GRID, BACKBONE["hidden_size"]), np.float16),
}


def map_field(folder: Path, name: str, slots: int) -> np.ndarray:
    shape, kind = FIELDS[name]
    return map_file(folder / f"{name}.bin", (slots, *shape), kind)


def map_file(path: Path, shape: tuple, kind: type) -> np.ndarray:
    """The file as an array that processes share; made, with zeros, where it has another size."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    new = not path.exists() or path.stat().st_size != size
    return np.memmap(path, kind, "w+" if new else "r+", shape=shape)


class Clips:
    """The pool's arrays. `ready` is 0 for a slot without a clip, else how often it was drawn,
    `taken` the number that it had when a store took it; `still` says which slots hold stills."""

    def __init__(self, folder: Path, slots: int, content: str, stills: float = 0.0):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.slots, self.content, self.stills = folder, slots, content, stills
        self.ids = map_field(folder, "ids", slots)
        self.values = map_field(folder, content, slots)
        self.pixels = map_field(folder, "pixels", slots)
        self.ready = map_file(folder / "ready.bin", (slots,), np.int32)
        self.taken = map_file(folder / "taken.bin", (slots,), np.int32)
        self.still = map_file(folder / "still.bin", (slots,), np.bool_)
        wanted = np.array([is_still(slot, stills) for slot in range(slots)])
        self.ready[self.still != wanted] = 0  # of an earlier run with another share: drawn again
        self.still[:] = wanted

    def filled(self, still: bool) -> np.ndarray:
        ready = self.ready.copy()  # workers write to it meanwhile
        return np.flatnonzero((ready > 0) & (self.still == still))

    def waiting(self) -> np.ndarray:
        """Slots with a clip that no store took."""
        ready = self.ready.copy()
        return np.flatnonzero((ready > 0) & (ready != self.taken))

    def read(
        self, rng: np.random.Generator, count: int, frames: np.ndarray, still: bool = False
    ) -> tuple:
        """`count` clips, or slots of stills, that are not being drawn again right now: ids, tokens,
        pixels of frames [count, T]."""
        import torch

        while True:
            chosen = rng.choice(self.filled(still), count)
            before = self.ready[chosen].copy()
            at = (chosen[:, None], frames)
            ids, values, pixels = self.ids[at], self.values[at], self.pixels[at]
            if (before == self.ready[chosen]).all():
                return torch.from_numpy(ids), torch.from_numpy(values).float(), pixels


class Store:
    """Clips in a GPU's memory: ids and tokens there, pixels on the host.

    `encode` gives the tokens [N, cells, width] of uint8 images [N, S, S, 3] on the device.
    """

    def __init__(self, slots: int, device: str, encode):
        import torch

        self.encode, self.device, self.slots = encode, device, slots
        (ids, _), (tokens, _), (pixels, _) = (FIELDS[n] for n in ("ids", "tokens", "pixels"))
        self.ids = torch.full((slots, *ids), -1, dtype=torch.int8, device=device)
        self.tokens = torch.zeros((slots, *tokens), dtype=torch.bfloat16, device=device)
        self.pixels = np.zeros((slots, *pixels), np.int32)
        self.still = np.zeros(slots, bool)
        self.added = 0

    def filled(self, still: bool) -> np.ndarray:
        return np.flatnonzero(self.still[: self.added] == still)

    def take(self, clips: Clips, most: int, rng: np.random.Generator) -> int:
        """Takes up to `most` waiting clips, half of them mirrored, over the oldest; how many."""
        import torch

        waiting = clips.waiting()[:most]
        for slot in waiting:
            images = torch.from_numpy(clips.values[slot].copy()).to(self.device)
            ids = torch.from_numpy(clips.ids[slot].copy()).to(self.device)
            if rng.random() < 0.5:
                images, ids = images.flip(2), ids.flip(2)
            own = self.added % self.slots
            self.pixels[own], self.still[own] = clips.pixels[slot], clips.still[slot]
            self.ids[own], self.tokens[own] = ids, self.encode(images).to(torch.bfloat16)
            self.added += 1
            clips.taken[slot] = clips.ready[slot]
        return len(waiting)

    def read(
        self, rng: np.random.Generator, count: int, frames: np.ndarray, still: bool = False
    ) -> tuple:
        import torch

        chosen = rng.choice(self.filled(still), count)
        row = torch.from_numpy(chosen)[:, None].to(self.device)
        at = (row, torch.from_numpy(frames).to(self.device))
        return self.ids[at], self.tokens[at].float(), self.pixels[chosen[:, None], frames]


def load_encoder(model: Path):
    """tokens of uint8 images [N, S, S, 3] as the frozen vision encoder gives them."""
    import torch
    from network import normalise
    from transformers import Sam3Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    backbone = Sam3Model.from_pretrained(model, dtype=torch.float32).eval().vision_encoder.backbone

    def encode(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return backbone(normalise(torch.from_numpy(images))).last_hidden_state.numpy()

    return encode


def is_still(slot: int, share: float) -> bool:
    """Slots of stills lie among those of clips, so that workers and stores take both alike."""
    return int((slot + 1) * share) > int(slot * share)


def still_scenes(seed: int, index: int, frames: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """As many scenes as a clip has frames."""
    drawn = [training_scene(seed, index * frames + t, side)[0] for t in range(frames)]
    return np.stack([scene.image for scene in drawn]), np.stack([scene.ids for scene in drawn])


def draw_clips(
    folder: str, slots: int, content: str, stills: float, model: str, seed: int, part: tuple
) -> None:
    """A worker: draws slots `part[0]`, `part[0] + part[1]`, ..., those without a clip first."""
    os.nice(5)
    parent = os.getppid()
    clips = Clips(Path(folder), slots, content, stills)
    encode = load_encoder(Path(model)) if content == "tokens" else None
    own = np.arange(part[0], slots, part[1])
    index = part[0] + part[1] * int(time.time())  # no clip twice, also after a resume
    while os.getppid() == parent:
        slot = own[np.argmin(clips.ready[own])]
        if content == "image" and clips.ready[slot]:
            free = own[clips.ready[own] == clips.taken[own]]
            if not free.size:
                time.sleep(0.02)
                continue
            slot = free[0]
        draw = still_scenes if clips.still[slot] else training_clip
        images, ids = draw(seed, index, FRAMES, IMAGE_SIZE)
        index += part[1]
        values = encode(images) if encode else images
        number = int(clips.ready[slot]) + 1
        clips.ready[slot] = 0  # nobody reads it now
        clips.ids[slot], clips.values[slot], clips.pixels[slot] = ids, values, count_pixels(ids)
        clips.ready[slot] = number


def start_workers(clips: Clips, model: Path, seed: int, count: int) -> list:
    """Processes that draw until they are terminated or this process ends."""
    context = get_context("spawn")
    workers = []
    for number in range(count):
        arguments = (str(clips.folder), clips.slots, clips.content, clips.stills, str(model), seed)
        process = context.Process(
            target=draw_clips, args=(*arguments, (number, count)), daemon=True
        )
        process.start()
        workers.append(process)
    return workers

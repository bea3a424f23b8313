"""Clips for the tracker's training: worker processes draw them into files that training maps.

A slot of the pool holds one clip: what is seen at every pixel, and either the images or, because
the vision encoder is frozen, its tokens, which the workers then compute once for all prompts that
the clip will be used with. The files stay where they are, so that a resumed run begins with a full
pool; a slot that is being drawn again is not taken.
"""

import os
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from config import BACKBONE, GRID, IMAGE_SIZE
from moving_scenes import training_clip

FRAMES = 8
FIELDS = {
    "ids": ((FRAMES, IMAGE_SIZE, IMAGE_SIZE), np.int8),
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
    """The pool's arrays. `ready` is 0 for a slot without a clip, else how often it was drawn."""

    def __init__(self, folder: Path, slots: int, content: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.slots, self.content = folder, slots, content
        self.ids = map_field(folder, "ids", slots)
        self.values = map_field(folder, content, slots)
        self.ready = map_file(folder / "ready.bin", (slots,), np.int32)

    def filled(self) -> np.ndarray:
        return np.flatnonzero(self.ready.copy())  # workers write to it meanwhile


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


def draw_clips(folder: str, slots: int, content: str, model: str, seed: int, part: tuple) -> None:
    """A worker: draws slots `part[0]`, `part[0] + part[1]`, ..., those without a clip first."""
    os.nice(5)
    parent = os.getppid()
    clips = Clips(Path(folder), slots, content)
    encode = load_encoder(Path(model)) if content == "tokens" else None
    own = np.arange(part[0], slots, part[1])
    index = part[0] + part[1] * int(time.time())  # no clip twice, also after a resume
    while os.getppid() == parent:
        slot = own[np.argmin(clips.ready[own])]
        images, ids = training_clip(seed, index, FRAMES, IMAGE_SIZE)
        index += part[1]
        values = encode(images) if encode else images
        number = int(clips.ready[slot]) + 1
        clips.ready[slot] = 0
        clips.ids[slot], clips.values[slot] = ids, values
        clips.ready[slot] = number


def start_workers(clips: Clips, model: Path, seed: int, count: int) -> list:
    """Processes that draw until they are terminated or this process ends."""
    context = get_context("spawn")
    workers = []
    for number in range(count):
        arguments = (str(clips.folder), clips.slots, clips.content, str(model), seed)
        process = context.Process(
            target=draw_clips, args=(*arguments, (number, count)), daemon=True
        )
        process.start()
        workers.append(process)
    return workers

"""Training data: worker processes render scenes into shared memory, a device pool keeps them.

A slot of the shared ring holds CHUNK scenes. The device pool is refreshed as slots arrive, so that
the device never waits for the renderers; every draw mirrors and transposes scenes at random.
"""

import mmap
import multiprocessing
import os

import numpy as np
import prompts
import torch
import vocabulary
from config import IMAGE_SIZE, MASK_SIZE
from scenes import MAX_OBJECTS, training_scene

CHUNK = 16
TOKENS = 12
BOXES = 3
PROMPTS = len(prompts.MAKERS)
FIELDS = {
    "image": ((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
    "cover": ((MAX_OBJECTS, MASK_SIZE, MASK_SIZE), np.uint8),
    "box": ((MAX_OBJECTS, 4), np.float32),
    "kind": ((MAX_OBJECTS, 4), np.int8),
    "tokens": ((PROMPTS, TOKENS), np.int16),
    "target": ((PROMPTS, MAX_OBJECTS), np.bool_),
    "exemplar": ((PROMPTS, BOXES, 4), np.float32),
    "label": ((PROMPTS, BOXES), np.int8),
}


def area_weights(small: int, large: int) -> np.ndarray:
    """[small, large]: row i averages the part of the fine axis that coarse cell i covers."""
    edges = np.arange(small + 1) * (large / small)
    cells = np.arange(large)
    low = np.maximum(edges[:-1, None], cells)
    high = np.minimum(edges[1:, None], cells + 1)
    return (np.clip(high - low, 0, None) * (small / large)).astype(np.float32)


_WEIGHTS = area_weights(MASK_SIZE, IMAGE_SIZE)


def fill_prompts(row: dict, rng, scene) -> None:
    eos = vocabulary.encode("")[-1]
    row["tokens"][:] = eos
    row["target"][:] = False
    row["label"][:] = -10
    row["exemplar"][:] = (0.5, 0.5, 0.1, 0.1)
    for p, prompt in enumerate(prompts.training_prompts(rng, scene)):
        ids = vocabulary.encode(prompt.text)[: TOKENS - 1]
        row["tokens"][p, : len(ids)] = ids
        row["target"][p, prompt.targets] = True
        for b, (item, label) in enumerate(prompt.boxes):
            x0, y0, x1, y1 = row["box"][item]
            jitter = rng.uniform(-0.06, 0.06, 4) * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
            x0, y0, x1, y1 = np.clip(row["box"][item] + jitter, 0, 1)
            row["exemplar"][p, b] = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
            row["label"][p, b] = label


def fill_scene(row: dict, seed: int, index: int) -> None:
    """Writes one scene with its prompts into the arrays of `row`."""
    scene, rng = training_scene(seed, index, IMAGE_SIZE)
    while not scene.items:
        index += 1 << 40
        scene, rng = training_scene(seed, index, IMAGE_SIZE)
    row["image"][:] = scene.image
    row["cover"][:] = 0
    row["box"][:] = 0
    row["kind"][:] = -1
    for i, item in enumerate(scene.items):
        fine = scene.mask(i).astype(np.float32)
        row["cover"][i] = _WEIGHTS @ fine @ _WEIGHTS.T * 255 + 0.5
        row["box"][i] = scene.box(i)
        row["kind"][i] = [
            prompts.VALUES[name].index(getattr(item, name)) for name in prompts.ATTRIBUTES
        ]
    fill_prompts(row, rng, scene)


def slot_views(memory, slots: int) -> dict[str, np.ndarray]:
    views, offset = {}, 0
    for name, (shape, kind) in FIELDS.items():
        full = (slots, CHUNK, *shape)
        count = int(np.prod(full))
        views[name] = np.frombuffer(memory, kind, count, offset).reshape(full)
        offset += (count * np.dtype(kind).itemsize + 63) // 64 * 64
    return views


def slot_bytes() -> int:
    return sum(
        CHUNK * int(np.prod(shape)) * np.dtype(kind).itemsize + 64
        for shape, kind in FIELDS.values()
    )


def work(views: dict, free, full, seed: int, worker: int, workers: int) -> None:
    os.nice(10)  # the training process goes first
    index = worker
    while True:
        slot = free.get()
        for at in range(CHUNK):
            fill_scene({name: view[slot, at] for name, view in views.items()}, seed, index)
            index += workers
        full.put(slot)


class Renderers:
    """Worker processes; start before the first use of the device."""

    def __init__(self, seed: int, workers: int):
        slots = 6 * workers
        self.memory = mmap.mmap(-1, slots * slot_bytes())
        self.views = slot_views(self.memory, slots)
        context = multiprocessing.get_context("fork")
        self.free, self.full = context.Queue(), context.Queue()
        for slot in range(slots):
            self.free.put(slot)
        self.processes = [
            context.Process(
                target=work,
                args=(self.views, self.free, self.full, seed, worker, workers),
                daemon=True,
            )
            for worker in range(workers)
        ]
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()


class Pool:
    """Scenes on the device, oldest replaced first."""

    def __init__(self, renderers: Renderers, capacity: int, device: str):
        self.renderers = renderers
        self.capacity = capacity // CHUNK * CHUNK
        self.device = device
        self.filled = 0
        self.at = 0
        self.rendered = 0
        self.data = {
            name: torch.zeros(
                (self.capacity, *shape), dtype=getattr(torch, np.dtype(kind).name), device=device
            )
            for name, (shape, kind) in FIELDS.items()
        }

    def take(self, wait: bool) -> bool:
        """Moves one finished slot into the pool; False when none is ready."""
        if not wait and self.renderers.full.empty():
            return False
        slot = self.renderers.full.get()
        for name, view in self.renderers.views.items():
            self.data[name][self.at : self.at + CHUNK].copy_(torch.from_numpy(view[slot]))
        self.renderers.free.put(slot)
        self.at = (self.at + CHUNK) % self.capacity
        self.filled = min(self.filled + CHUNK, self.capacity)
        self.rendered += CHUNK
        return True

    def draw(self, count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """`count` scenes, all mirrored and transposed alike by one random choice per call."""
        index = torch.randint(self.filled, (count,), generator=generator).to(self.device)
        batch = {name: values[index] for name, values in self.data.items()}
        flips = torch.randint(2, (3,), generator=generator).tolist()
        return transform(batch, *flips)


def transform(batch: dict, mirror: int, flip: int, transpose: int) -> dict[str, torch.Tensor]:
    """Mirrors (x), flips (y), then exchanges the axes of images, masks and boxes."""
    image, cover, box, exemplar = (batch[k] for k in ("image", "cover", "box", "exemplar"))
    box, exemplar = box.clone(), exemplar.clone()
    for axis, wanted in ((0, mirror), (1, flip)):
        if wanted:
            image = image.flip(2 - axis)
            cover = cover.flip(3 - axis)
            low, high = box[..., axis].clone(), box[..., axis + 2].clone()
            box[..., axis], box[..., axis + 2] = 1 - high, 1 - low
            exemplar[..., axis] = 1 - exemplar[..., axis]
    if transpose:
        image = image.transpose(1, 2)
        cover = cover.transpose(2, 3)
        box = box[..., [1, 0, 3, 2]]
        exemplar = exemplar[..., [1, 0, 3, 2]]
    return batch | dict(image=image, cover=cover, box=box, exemplar=exemplar)

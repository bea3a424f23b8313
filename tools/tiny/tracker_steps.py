"""What a training step of the tracker does: prompts on single images, then clips with memory."""

import numpy as np
import torch
import torch.nn.functional as F
from config import IMAGE_SIZE, MASK_SIZE
from moving_scenes import FEWEST_PIXELS
from tracker_losses import decoded_loss
from tracker_network import TrackerNetwork, to_side

POINTER_LIMIT = 16
STARTS = ("click", "box", "points", "refined", "mask")
START_SHARES = (0.25, 0.2, 0.1, 0.1, 0.35)


class Batch:
    """Objects of some clips: one row to an object, `frames` frames of each clip.

    ids int8 [B, T, S, S] and tokens [B, T, cells, width] are those of the frames; numbers [T]
    says which frames they are, the same of all clips. Only what is seen on the first of them
    becomes a row.
    """

    def __init__(self, ids, tokens, numbers, objects: int, rng: np.random.Generator, device):
        clips, items = [], []
        for clip, first in enumerate(ids[:, 0]):
            counts = np.bincount(first[first >= 0].astype(np.int64), minlength=1)
            found = rng.permutation(np.flatnonzero(counts >= 2 * FEWEST_PIXELS))[:objects]
            clips += [clip] * len(found)
            items += found.tolist()
        self.rows = len(clips)
        self.clip = torch.tensor(clips, device=device, dtype=torch.long)
        item = torch.tensor(items, device=device, dtype=torch.int8)
        self.numbers = numbers
        self.frames = ids.shape[1]
        seen = torch.from_numpy(ids).to(device)[self.clip]
        self.masks = seen == item[:, None, None, None]  # [N, T, S, S]
        self.pixels = self.masks.sum((-1, -2))
        self.cover = to_side(self.masks, MASK_SIZE)
        everything = to_side(torch.from_numpy(ids).to(device) >= 0, MASK_SIZE)
        self.others = (everything[self.clip] - self.cover).clamp(min=0)
        self.tokens = tokens

    def loss(self, out: dict, t: int) -> tuple[torch.Tensor, dict]:
        return decoded_loss(out, self.cover[:, t], self.others[:, t], self.pixels[:, t])


def tokens_of(image: torch.Tensor) -> torch.Tensor:
    """Maps [N, C, G, G] to [N, cells, C]."""
    return image.flatten(2).transpose(1, 2)


def inner_points(masks: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A pixel x y of each mask [N, S, S], [N, 2]: half of them well inside, others anywhere.

    The pixel with the largest of random numbers, all on the device; 0 0 for an empty mask.
    """
    near = F.avg_pool2d(masks[:, None].float(), 9, 1, 4, count_include_pad=False)[:, 0]
    deep = masks & (near > 0.98) & bool_column(rng.random(len(masks)) < 0.6, masks)
    allowed = torch.where(deep.any(2).any(1)[:, None, None], deep, masks)
    generator = torch.Generator(masks.device).manual_seed(int(rng.integers(1 << 62)))
    numbers = torch.rand(masks.shape, generator=generator, device=masks.device)
    best = (numbers * allowed).flatten(1).argmax(1)
    return torch.stack([best % masks.shape[2], best // masks.shape[2]], 1).float()


def bool_column(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """bool [N, 1, 1] on the device of `like`."""
    return torch.from_numpy(values).to(like.device)[:, None, None]


def click(masks: torch.Tensor, rng) -> dict:
    points = inner_points(masks, rng)[:, None, None]
    labels = torch.ones(points.shape[:3], dtype=torch.long, device=masks.device)
    return {"points": points, "labels": labels}


def box_corners(masks: torch.Tensor) -> torch.Tensor:
    """[N, 4] x0 y0 x1 y1 in pixels."""
    corners = []
    for axis in (1, 2):
        seen = masks.any(axis)
        low = seen.float().argmax(1)
        high = seen.shape[1] - seen.flip(1).float().argmax(1)
        corners.append((low, high))
    (x0, x1), (y0, y1) = corners
    return torch.stack([x0, y0, x1, y1], 1).float()


def box(masks: torch.Tensor, rng) -> dict:
    """A box as people draw it: some pixels off, more for large objects."""
    corners = box_corners(masks)
    sides = torch.cat([corners[:, 2:] - corners[:, :2]] * 2, 1)
    noise = torch.from_numpy(rng.normal(0, 0.04, corners.shape)).to(corners)
    corners = (corners + noise * sides * (rng.random() < 0.7)).clamp(0, IMAGE_SIZE)
    return {"boxes": corners[:, None]}


def corrected(before: dict, found: torch.Tensor, masks: torch.Tensor, rng) -> dict:
    """The points before and one more where the mask found [N, S, S] is wrong, if it is."""
    missed, extra = masks & ~found, found & ~masks
    positive = missed.sum((1, 2)) >= extra.sum((1, 2))
    wrong = torch.where(positive[:, None, None], missed, extra)
    none = ~wrong.any(2).any(1)
    wrong = torch.where(none[:, None, None], masks, wrong)
    points = torch.cat([before["points"], inner_points(wrong, rng)[:, None, None]], 2)
    label = (positive | none).long()[:, None, None]
    return {"points": points, "labels": torch.cat([before["labels"], label], 2)}


def enlarged(masks: torch.Tensor) -> torch.Tensor:
    """Logits [N, M, M] to bool [N, S, S]."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return F.interpolate(masks[:, None], size, mode="bilinear")[:, 0] > 0


class Steps:
    def __init__(self, network: TrackerNetwork, seed: int):
        self.network = network
        self.rng = np.random.default_rng(seed)

    def _fine(self, levels, rows) -> list[torch.Tensor]:
        return [levels[0][rows], levels[1][rows]]

    def image_loss(self, batch: Batch, more: bool) -> tuple[torch.Tensor, dict]:
        """A click and a box on the first frame; with `more` refinements of the click's mask, and
        the true mask as a prompt."""
        network, rng = self.network, self.rng
        levels = network.levels(batch.tokens[:, 0])
        image = network.without_memory(levels[2][batch.clip])
        fine = self._fine(levels, batch.clip)
        masks = batch.masks[:, 0]
        parts = {}

        def run(name: str, prompt: dict, given=image) -> tuple:
            out = network.decode(given, fine, prompt)
            loss, part = batch.loss(out, 0)
            parts[f"{name}_iou"] = part["iou" if name == "click" else "single"]
            return loss, out

        prompt = click(masks, rng)
        total, out = run("click", prompt)
        for _ in range(int(rng.integers(1, 3)) if more else 0):
            best = out["scores"][:, 1:].argmax(1) + 1
            if prompt["points"].shape[2] > 1:
                best = torch.zeros_like(best)
            chosen = out["masks"].detach()[torch.arange(batch.rows), best]
            prompt = corrected(prompt, enlarged(chosen), masks, rng)
            again = {"masks": chosen[:, None].clamp(-32, 32)} if rng.random() < 0.5 else {}
            loss, out = run("more", prompt | again)
            total = total + 0.7 * loss
        loss, _ = run("box", box(masks, rng))
        total = total + loss
        if more:
            prompt = {"masks": self.mask_prompt(masks)}
            total = total + 0.5 * run("mask", prompt, levels[2][batch.clip])[0]
        return total / (3 if more else 2), parts

    def mask_prompt(self, masks: torch.Tensor) -> torch.Tensor:
        """Logits [N,1,M,M] that the tracker makes of a mask to point at its object."""
        down = self.network.tracker.mask_downsample(masks[:, None].float())
        return F.interpolate(down, (MASK_SIZE, MASK_SIZE), mode="bilinear", antialias=True)

    def start(self, kind: str, batch: Batch, levels) -> tuple[torch.Tensor, dict, dict]:
        """Loss on the first frame, what is remembered of it, and figures."""
        network, rng = self.network, self.rng
        rows = batch.clip * batch.frames
        masks = batch.masks[:, 0]
        plain, fine = levels[2][rows], self._fine(levels, rows)
        image = network.without_memory(plain)
        each = torch.arange(batch.rows, device=rows.device)
        if kind == "mask":
            out = network.decode(plain, fine, {"masks": self.mask_prompt(masks)})
        elif kind == "box":
            out = network.decode(image, fine, box(masks, rng))
        else:
            prompt = click(masks, rng)
            if kind == "points":
                prompt = corrected(prompt, torch.zeros_like(masks), masks, rng)
            out = network.decode(image, fine, prompt)
        loss, part = batch.loss(out, 0)
        if kind == "refined":
            best = out["scores"][:, 1:].argmax(1) + 1
            chosen = out["masks"].detach()[each, best]
            prompt = corrected(prompt, enlarged(chosen), masks, rng)
            out = network.decode(image, fine, prompt | {"masks": chosen[:, None].clamp(-32, 32)})
            again, part = batch.loss(out, 0)
            loss = loss + again
        several = kind in ("click", "mask")
        best = out["scores"][:, 1:].argmax(1) + 1 if several else torch.zeros_like(each)
        appears = out["appears"]
        known = (out["masks"][each, best][:, None] > 0).float()
        if kind == "mask":
            known, appears = masks[:, None].float(), torch.full_like(appears, 10.0)
        return loss, self.entry(plain, known, appears, out["tokens"][each, best], 0, True), part

    def entry(self, plain, masks, appears, tokens, t: int, prompted: bool) -> dict:
        memory, place = self.network.remember(plain, masks, appears)
        pointer = self.network.pointer(tokens, appears)
        return {"memory": memory, "place": place, "pointer": pointer, "t": t, "prompted": prompted}

    def clip_loss(self, batch: Batch, taught: float) -> tuple[torch.Tensor, dict]:
        """A prompt on the first frame, then memory alone; with the probability `taught` a frame is
        remembered with the true mask in place of the one that was found."""
        network, rng = self.network, self.rng
        levels = network.levels(batch.tokens.flatten(0, 1))
        kind = str(rng.choice(STARTS, p=START_SHARES))
        total, first, part = self.start(kind, batch, levels)
        history, parts = [first], {f"start_{kind}": part["iou"]}
        each = torch.arange(batch.rows, device=batch.clip.device)
        quality, seen = [], []
        for t in range(1, batch.frames):
            rows = batch.clip * batch.frames + t
            now = int(batch.numbers[t])
            plain = levels[2][rows]
            image = network.attend(plain, history, now, POINTER_LIMIT)
            out = network.decode(image, self._fine(levels, rows), {})
            out["cells"].append(network.attended_cells(tokens_of(image))[..., 0].float())
            loss, part = batch.loss(out, t)
            total = total + loss
            quality.append(part["iou"])
            seen.append(part["seen"])
            best = out["scores"][:, 1:].argmax(1) + 1
            appears, found = out["appears"], out["masks"].detach()[each, best][:, None].sigmoid()
            if rng.random() < taught:
                found = batch.cover[:, t, None]
                appears = (batch.pixels[:, t, None] > 0).float() * 20 - 10
            found = torch.where(appears[..., None, None] > 0, found, 0.0)
            again = rng.random() < 0.08  # a mask is given again, as when a detection agrees
            if again:
                found = batch.masks[:, t, None].float()
                appears = (batch.pixels[:, t, None] > 0).float() * 20 - 10
            token = out["tokens"][each, best]
            history.append(self.entry(plain, found, appears, token, now, again))
        parts |= {"track_iou": torch.stack(quality).mean(), "seen": torch.stack(seen).mean()}
        return total / batch.frames, parts


def clip_frames(rng: np.random.Generator, available: int, count: int) -> np.ndarray:
    """`count` frame numbers in order, for all clips of a batch; most steps are of one."""
    steps = rng.choice([1, 1, 2, 3], count - 1)
    numbers = np.concatenate([[0], np.cumsum(steps)])
    while numbers[-1] >= available:
        late = rng.integers(1, count)
        if numbers[late] - numbers[late - 1] > 1:
            numbers[late:] -= 1
    return numbers + rng.integers(0, available - numbers[-1])

"""What a training step of the tracker does: prompts on single images, then clips with memory."""

import numpy as np
import torch
import torch.nn.functional as F
from config import IMAGE_SIZE, MASK_SIZE
from moving_scenes import FEWEST_PIXELS
from tracker_losses import SEEN, Truth, decoded_loss, mean_over
from tracker_network import MEMORY_SIZE, TrackerNetwork, to_side

STARTS = ("click", "box", "points", "refined", "mask")
START_SHARES = (0.3, 0.15, 0.1, 0.1, 0.35)
AGAIN = 3.0  # weight of the frames on which an object is seen again, against 1 of the others
AGAIN_FRAMES = 4
OUT_OF_SIGHT = 30  # pixels below which it was
LOST = 0.5  # IoU below which a mask is not that of its object


class Batch:
    """Objects of some clips: one row to an object, `frames` frames of each clip.

    ids int8 [B, T, S, S] and tokens [B, T, cells, width] are on the device, pixels [B, T, items]
    on the host. `numbers` [T] are the times of the frames as memory counts them. Only what is seen
    on a clip's first frame becomes a row, and of many rows a few are left out, so that few counts
    of them occur: cuDNN prepares convolutions for each count anew, which takes a second.
    """

    def __init__(self, ids, tokens, pixels, numbers, objects: int, rng: np.random.Generator):
        clips, items = [], []
        for clip, first in enumerate(pixels[:, 0]):
            found = rng.permutation(np.flatnonzero(first >= 2 * FEWEST_PIXELS))[:objects]
            clips += [clip] * len(found)
            items += found.tolist()
        kept = rng.permutation(len(clips))[: rounded_rows(len(clips))]
        clips, items = [clips[row] for row in kept], [items[row] for row in kept]
        self.rows, self.frames = len(clips), ids.shape[1]
        self.numbers = [int(number) for number in numbers]
        counts = pixels[clips, :, items] if clips else np.zeros((0, self.frames), np.int32)
        table = np.concatenate([[clips, items], counts.T, self.weights(counts).T])
        table = torch.from_numpy(table.astype(np.float32)).to(ids.device)  # one transfer
        self.clip, item = table[0].long(), table[1].to(torch.int8)
        self.pixels, self.weight = table[2 : 2 + self.frames].T, table[2 + self.frames :].T
        self.again = self.weight > 1
        self.masks = ids[self.clip] == item[:, None, None, None]  # [N, T, S, S]
        self.cover = to_side(self.masks, MASK_SIZE)
        everything = to_side(ids >= 0, MASK_SIZE)
        self.others = (everything[self.clip] - self.cover).clamp(min=0)
        self.tokens = tokens

    @staticmethod
    def weights(pixels: np.ndarray) -> np.ndarray:
        """[N, T]: more where an object is in sight that a few frames ago was not."""
        hidden = pixels < OUT_OF_SIGHT
        weight = np.ones(pixels.shape)
        for t in range(1, pixels.shape[1]):
            before = hidden[:, max(0, t - AGAIN_FRAMES) : t].any(1)
            weight[before & ~hidden[:, t], t] = AGAIN
        return weight

    def truth(self, t: int | slice) -> Truth:
        """Of one frame, or of several, one after another."""
        parts = (self.masks, self.cover, self.others, self.pixels, self.weight)
        if isinstance(t, slice):
            return Truth(*(part[:, t].transpose(0, 1).flatten(0, 1) for part in parts))
        return Truth(*(part[:, t] for part in parts))

    def loss(self, out: dict, t: int | slice) -> tuple[torch.Tensor, dict]:
        return decoded_loss(out, self.truth(t))


def rounded_rows(count: int) -> int:
    """The largest number of four significant binary digits that is at most `count`."""
    step = 1 << max(count.bit_length() - 4, 0)
    return count // step * step


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
    """A tight box, or one as people draw it: some pixels off, more for large objects."""
    corners = box_corners(masks)
    sides = torch.cat([corners[:, 2:] - corners[:, :2]] * 2, 1)
    noise = torch.from_numpy(rng.normal(0, 0.03, corners.shape)).to(corners)
    corners = (corners + noise * sides * (rng.random() < 0.5)).clamp(0, IMAGE_SIZE)
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


def for_memory(masks: torch.Tensor) -> torch.Tensor:
    """Logits [N, M, M] as the memory encoder's [N, 1, *, *]."""
    return F.interpolate(masks[:, None], (MEMORY_SIZE, MEMORY_SIZE), mode="bilinear")


class Steps:
    def __init__(self, network: TrackerNetwork, seed: int):
        self.network = network
        self.rng = np.random.default_rng(seed)

    def _fine(self, levels, rows) -> list[torch.Tensor]:
        return [levels[0][rows], levels[1][rows]]

    def image_loss(self, batch: Batch, more: bool) -> tuple[torch.Tensor, dict]:
        """A click and a box on the first frame; with `more` two corrections of the click's mask,
        and the true mask as a prompt."""
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
        for _ in range(2 if more else 0):
            best = out["scores"][:, 1:].argmax(1) + 1
            if prompt["points"].shape[2] > 1:
                best = torch.zeros_like(best)
            chosen = out["masks"].detach()[torch.arange(batch.rows), best]
            prompt = corrected(prompt, enlarged(chosen), masks, rng)
            again = {"masks": chosen[:, None].clamp(-32, 32)} if rng.random() < 0.35 else {}
            loss, out = run("more", prompt | again)
            total = total + loss
        loss, _ = run("box", box(masks, rng))
        total = total + loss
        if more:
            prompt = {"masks": self.mask_prompt(masks)}
            total = total + 0.5 * run("mask", prompt, levels[2][batch.clip])[0]
        return total / (4 if more else 2), parts

    def mask_prompt(self, masks: torch.Tensor) -> torch.Tensor:
        """Logits [N,1,M,M] that the tracker makes of a mask to point at its object."""
        down = self.network.tracker.mask_downsample(masks[:, None].float())
        return F.interpolate(down.float(), (MASK_SIZE, MASK_SIZE), mode="bilinear", antialias=True)

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
        known = (for_memory(out["masks"][each, best].detach()) > 0) & (appears[..., None, None] > 0)
        known = known.float()
        if kind == "mask":
            known, appears = masks[:, None].float(), torch.full_like(appears, 10.0)
        return loss, self.entry(plain, known, appears, out["tokens"][each, best], 0, True), part

    def entry(self, plain, masks, appears, tokens, t: int, prompted: bool) -> dict:
        memory, place = self.network.remember(plain, masks, appears)
        pointer = self.network.pointer(tokens, appears)
        return {"memory": memory, "place": place, "pointer": pointer, "t": t, "prompted": prompted}

    def clip_loss(self, batch: Batch, taught: float, kind: str = "") -> tuple[torch.Tensor, dict]:
        """A prompt on the first frame, of any kind unless one is said, then memory alone; with the
        probability `taught` a frame is remembered with the true mask in place of the one that was
        found."""
        network, rng = self.network, self.rng
        levels = network.levels(batch.tokens.flatten(0, 1))
        kind = kind or str(rng.choice(STARTS, p=START_SHARES))
        total, first, part = self.start(kind, batch, levels)
        history, parts = [first], {f"start_{kind}": part["iou"]}
        each = torch.arange(batch.rows, device=batch.clip.device)
        outs = []
        for t in range(1, batch.frames):
            rows = batch.clip * batch.frames + t
            now = batch.numbers[t]
            plain = levels[2][rows]
            image = network.attend(plain, history, now)
            out = network.decode(image, self._fine(levels, rows), {})
            out["cells"].append(network.cells(network.attended_cells, tokens_of(image)))
            outs.append(out)
            best = out["scores"][:, 1:].argmax(1) + 1
            appears = out["appears"]
            found = for_memory(out["masks"][each, best].detach()).sigmoid()
            if rng.random() < taught:
                found = batch.cover[:, t, None]
                appears = (batch.pixels[:, t, None] > 0).float() * 20 - 10
            found = torch.where(appears[..., None, None] > 0, found, 0.0)
            again = rng.random() < 0.05  # a mask is given again, as when a detection agrees
            if again:
                found = batch.masks[:, t, None].float()
                appears = (batch.pixels[:, t, None] > 0).float() * 20 - 10
            token = out["tokens"][each, best]
            history.append(self.entry(plain, found, appears, token, now, again))
        together = {
            name: torch.cat([out[name] for out in outs]) for name in ("masks", "scores", "appears")
        }
        together["cells"] = [torch.cat(cells) for cells in zip(*(out["cells"] for out in outs))]
        later = slice(1, batch.frames)
        loss, part = batch.loss(together, later)
        parts |= self.figures(part, batch.truth(later).pixels, batch.again[:, later])
        return (total + loss * (batch.frames - 1)) / batch.frames, parts

    def figures(self, part: dict, pixels: torch.Tensor, again: torch.Tensor) -> dict:
        """Mean IoU on the frames after the first, on those where an object is back, and the share
        of frames on which it is followed at all."""
        found = part["found"]
        seen = (pixels >= SEEN).float()
        held = (found >= LOST).float()
        back = again.T.flatten().float() * seen
        return {
            "track_iou": mean_over(found, seen),
            "held": mean_over(held, seen),
            "back": mean_over(held, back),
            "seen": part["seen"],
        }


def clip_frames(rng: np.random.Generator, available: int, count: int) -> np.ndarray:
    """`count` frames of a clip in order, some left out between them."""
    slack = available - count
    left_out = int(rng.integers(0, slack + 1)) if count > 1 else 0
    gaps = rng.multinomial(left_out, np.full(count - 1, 1 / (count - 1))) if count > 1 else []
    numbers = np.concatenate([[0], np.cumsum(1 + np.asarray(gaps, np.int64))]).astype(np.int64)
    return numbers + rng.integers(0, slack - left_out + 1)


def memory_times(rng: np.random.Generator, count: int) -> np.ndarray:
    """When the frames of a batch of clips were, as memory counts. Half of the time the prompt was
    given long before the other frames, as it was in the later parts of a video."""
    long = rng.random() < 0.5
    return np.concatenate([[0], np.arange(1, count) + (int(rng.integers(1, 80)) if long else 0)])

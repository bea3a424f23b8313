"""Fits part of a random checkpoint to moving shapes, so that what it finds and follows is there.

    python tools/reference/fit_tracker.py --config video_a --minutes 8

Pure random weights follow nothing, and what they do hangs on rounding. This fits the tensors that
`spec["fit"]` names (patterns) with torch on the CPU to clips drawn by clip_scenes.py and writes
them as float16 to tests/data/configs/NAME.fitted.safetensors, which make_checkpoint.py reads. The
file is not bit-identical from run to run: after it, all goldens of that checkpoint are made again.
"""

import argparse
import fnmatch
import json
import tempfile
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import clip_scenes
import make_checkpoint
import numpy as np
import torch
import torch.nn.functional as F
from transformers import Sam3VideoModel, Sam3VideoProcessor

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "tests/data/configs"
# Colours that a detector query of its own finds, by the text that asks for them; magenta is
# followed but not detected.
TEXTS = {"red apple": (0, 1), "blue bird": (2, 3)}
COLOURS = [[200, 40, 40], [225, 205, 50], [50, 70, 205], [40, 165, 70], [200, 60, 190]]
DETECTED = 4
BAR = [70, 50, 35]


def random_clip(rng: np.random.Generator, frames: int) -> tuple[dict, list[int]]:
    """A clip and the colour of each of its things (-1: a bar)."""
    width, height = [(96, 72), (128, 96), (112, 112)][rng.integers(3)]
    things, kinds = [], []
    colours = rng.permutation(5)[: rng.integers(2, 5)].tolist()
    if rng.random() < 0.4:
        colours.append(-1)
    elif rng.random() < 0.4:
        colours.append(colours[0])
    for kind in colours:
        size = [int(rng.integers(s // 6, s * 2 // 5)) for s in (width, height)]
        start = np.array([rng.integers(0, width), rng.integers(0, height)])
        speed = rng.normal(0, 0.045, 2) * (width, height)
        ends = (start + speed * (frames - 1)).round().astype(int)
        thing = {
            "shape": ["box", "disc", "wedge", "disc", "ring"][rng.integers(5)],
            "colour": BAR if kind < 0 else COLOURS[kind],
            "size": size if kind >= 0 else [width // 5, height * 2],
            "path": [[0, *map(int, start)], [frames - 1, *map(int, ends)]],
        }
        if kind >= 0 and rng.random() < 0.25:
            first = int(rng.integers(1, frames))
            thing["gone"] = [[first, first + int(rng.integers(1, 4))]]
        if kind == 1 and rng.random() < 0.4:
            thing["recolour"] = [[int(rng.integers(1, frames)), COLOURS[4]]]
        things.append(thing)
        kinds.append(kind)
    clip = {"width": width, "height": height, "seed": int(rng.integers(1 << 30)), "things": things}
    return clip, kinds


class Batch:
    """Clips on the model's input, with what is visible of one thing each."""

    def __init__(self, seed: int, size: int, frames: int, side: int) -> None:
        torch.set_num_threads(1)
        rng = np.random.default_rng(seed)
        self.pixels = torch.zeros(size, frames, 3, side, side)
        self.masks = torch.zeros(size, frames, side, side)
        self.classes = torch.zeros(size, frames, DETECTED, side, side)
        for index in range(size):
            while True:
                clip, kinds = random_clip(rng, frames)
                drawn = [clip_scenes.draw(clip, t) for t in range(frames)]
                followed = [i for i, k in enumerate(kinds) if k >= 0 and drawn[0][1][i].sum() > 40]
                if followed:
                    break
            target = followed[rng.integers(len(followed))]
            for t, (image, visible) in enumerate(drawn):
                self.pixels[index, t] = self._resize(image.transpose(2, 0, 1), side) / 127.5 - 1
                self.masks[index, t] = self._resize(visible[target][None] * 255.0, side)[0] / 255
                for thing, kind, mask in zip(clip["things"], kinds, visible):
                    seen = clip_scenes.colour(thing, t)
                    if kind >= 0 and seen in COLOURS[:DETECTED]:
                        resized = self._resize(mask[None] * 255.0, side)[0] / 255
                        self.classes[index, t, COLOURS.index(seen)] += resized
        self.classes.clamp_(max=1)

    @staticmethod
    def _resize(image: np.ndarray, side: int) -> torch.Tensor:
        values = torch.from_numpy(np.ascontiguousarray(image)).float()[None]
        return F.interpolate(values, (side, side), mode="bilinear", antialias=True)[0].round()


def mask_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy and dice over the last two axes."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((-1, -2))
    p = logits.sigmoid()
    dice = 1 - (2 * (p * target).sum((-1, -2)) + 1) / ((p + target).sum((-1, -2)) + 1)
    return 4 * entropy + dice


class Fit:
    def __init__(self, name: str, seed: int, resume: bool, fresh: str, device: str = "cpu") -> None:
        self.name, self.device = name, torch.device(device)
        self.spec = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
        if not resume:
            self.spec.pop("fitted", None)
        with tempfile.TemporaryDirectory() as folder:
            make_checkpoint.write_hugging_face(self.spec, Path(folder))
            self.model = Sam3VideoModel.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="sdpa"
            )
            self.model = self.model.eval().to(self.device)
            tokenizer = Sam3VideoProcessor.from_pretrained(folder).tokenizer
        context = self.spec["config"]["text_config"]["max_position_embeddings"]
        self.tokens = tokenizer(
            list(TEXTS), return_tensors="pt", padding="max_length", max_length=context
        ).to(self.device)
        self.rng = np.random.default_rng(seed)
        self.detect = 0.3 if resume else 1.0  # how often detection is fitted, too
        self.fitted = {}
        # What is fitted again from the start, with the rest as it is fitted already.
        random = make_checkpoint.make_weights({**self.spec, "fit": []}) if fresh else {}
        for key, value in self.model.named_parameters():
            short = key.removeprefix("detector_model.")
            chosen = any(fnmatch.fnmatchcase(short, pattern) for pattern in self.spec["fit"])
            value.requires_grad_(chosen)
            if fresh and fnmatch.fnmatchcase(short, fresh):
                value.data.copy_(torch.from_numpy(random[short]))
            if chosen:
                self.fitted[short] = value
        self.tracker = self.model.tracker_model
        self.decoder = self.tracker.mask_decoder
        # All four masks come back from every call.
        self.decoder._dynamic_multimask_via_stability = lambda masks, scores: (masks, scores)
        self.decoder.transformer.register_forward_hook(
            lambda _m, _i, out: setattr(self, "decoded", out[0])
        )
        self.side = self.model.config.image_size
        self.grid = self.side // 14
        self.dense = None

    @torch.no_grad()
    def loosen_memory(self, gain: float) -> None:
        """Makes the mask a large part of a memory, and memory a large part of what is decoded.

        With random weights the mask is a few hundredths of the memory, and nothing learns it.
        """
        encoder = self.tracker.memory_encoder
        side = 16 * self.grid
        sign = torch.tensor([1.0, -1.0], device=self.device).reshape(2, 1, 1, 1)
        values = sign.expand(2, 1, side, side) * 10
        for layer in encoder.mask_downsampler.layers:
            values = layer(values)
        inside, outside = values[:, :, side // 32, side // 32]
        final = encoder.mask_downsampler.final_conv
        weight = final.weight[:, :, 0, 0]
        apart = (weight @ (inside - outside) / 2).std()
        final.weight.mul_(3 / apart)
        final.bias.copy_(-(final.weight[:, :, 0, 0] @ (inside + outside) / 2))
        encoder.feature_projection.weight.mul_(0.5)
        batch = Batch(1, 6, 2, self.side)
        _, maps, _ = self.features(batch.pixels.flatten(0, 1).to(self.device))
        masks = batch.masks.flatten(0, 1)[:, None].to(self.device) * 20 - 10
        rows = torch.arange(len(masks), device=self.device)
        memory = self.remember(maps, rows, masks, torch.ones_like(masks[:, :, 0, 0]), True)
        encoder.projection.bias.sub_(memory["memory"].mean((0, 1)))
        for layer in self.tracker.memory_attention.layers:
            layer.cross_attn_image.o_proj.weight.mul_(gain)

    def features(self, pixels: torch.Tensor) -> tuple:
        vision = self.model.detector_model.get_vision_features(pixel_values=pixels)
        maps, places = self.model.get_vision_features_for_tracker(vision_embeds=vision)
        return vision, maps, places

    def maps_of(self, maps: list[torch.Tensor], rows: torch.Tensor) -> list[torch.Tensor]:
        out = []
        for values in maps:
            side = int(values.shape[0] ** 0.5)
            out.append(values[:, rows].permute(1, 2, 0).reshape(len(rows), -1, side, side))
        return out

    def decode(self, image: torch.Tensor, high: list[torch.Tensor], prompt: dict) -> tuple:
        points = prompt.get("points")
        if points is None and "boxes" not in prompt:
            points = image.new_zeros(len(image), 1, 1, 2)
            labels = torch.full((len(image), 1, 1), -1, device=self.device)
            prompt = prompt | {"labels": labels}
        sparse, dense = self.tracker.prompt_encoder(
            input_points=points,
            input_labels=prompt.get("labels"),
            input_boxes=prompt.get("boxes"),
            input_masks=prompt.get("masks"),
        )
        place = self.tracker.get_image_wide_positional_embeddings().repeat(len(image), 1, 1, 1)
        masks, scores, _, appears = self.decoder(
            image_embeddings=image,
            image_positional_embeddings=place,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            high_resolution_features=high,
        )
        tokens = self.decoded[:, 0, 2 : 2 + self.decoder.num_mask_tokens]
        return masks[:, 0], scores[:, 0], appears[:, 0], tokens

    def prompt(self, masks: torch.Tensor, kind: int) -> dict:
        """Clicks inside and outside of the mask, its box, or the mask itself."""
        points, labels, boxes = [], [], []
        for mask in masks:
            inside, outside = (mask > 0.5).nonzero(), (mask < 0.5).nonzero()
            number = self.rng.integers(2, 4)
            chosen = [inside[self.rng.integers(len(inside))]] if len(inside) else [outside[0]]
            chosen += [(inside if i % 2 and len(inside) else outside)[0] for i in range(number - 1)]
            marks = [1] + [1 if i % 2 and len(inside) else 0 for i in range(number - 1)]
            for i in range(1, number):
                pool = inside if marks[i] else outside
                chosen[i] = pool[self.rng.integers(len(pool))]
            while len(chosen) < 3:
                chosen.append(torch.zeros(2))
                marks.append(-10)
            points.append(torch.stack([c.float().flip(0) for c in chosen]))
            labels.append(marks)
            y, x = inside.T if len(inside) else outside[:1].T
            box = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()
            boxes.append(box + torch.from_numpy(self.rng.normal(0, 1.5, 4)).float())
        points = torch.stack(points)[:, None].to(self.device)
        labels = torch.tensor(labels)[:, None].to(self.device)
        corners = torch.stack(boxes)[:, None].to(self.device)
        if kind == 0:
            return {"points": points[:, :, :1], "labels": labels[:, :, :1]}
        if kind == 1:
            return {"points": points, "labels": labels}
        if kind == 2:
            return {"boxes": corners}
        return {
            "boxes": torch.stack(boxes)[:, None],
            "points": points[:, :, :1],
            "labels": labels[:, :, :1],
        }

    def mask_losses(self, masks, scores, appears, target) -> torch.Tensor:
        low = F.interpolate(target[:, None], masks.shape[-2:], mode="bilinear", antialias=True)
        each = mask_loss(masks, low.expand_as(masks))
        area = (target > 0.5).sum((-1, -2))
        seen = (area > 20).float()
        clear = ((area > 20) | (area == 0)).float()
        found, truth = masks.detach() > 0, low > 0.5
        overlap = (found & truth).sum((-1, -2)) / (found | truth).sum((-1, -2)).clamp(min=1)
        best = each[:, 1:].min(1).values + 0.15 * each[:, 1:].mean(1)
        loss = (each[:, 0] + best) * seen + 2 * ((scores - overlap) ** 2).mean(1) * seen
        presence = F.binary_cross_entropy_with_logits(appears[:, 0], seen, reduction="none")
        best = overlap[:, 1:].max(1).values * seen
        self.quality.append(best.sum() / seen.sum().clamp(min=1))
        right = ((appears[:, 0] > 0).float() == seen).float() * clear
        self.hits.append(right.sum() / clear.sum().clamp(min=1))
        return (loss + presence * clear).mean()

    def remember(self, maps, rows, masks, appears, binary) -> dict:
        memory, place = self.tracker._encode_new_memory(
            current_vision_feats=maps[-1][:, rows],
            pred_masks_high_res=masks,
            object_score_logits=appears[:, None],
            is_mask_from_pts=binary,
        )
        return {"memory": memory.float(), "place": place}

    def step(self, batch: Batch) -> torch.Tensor:
        size, frames = batch.pixels.shape[:2]
        near = batch.masks
        batch.pixels, batch.masks, batch.classes = (
            values.to(self.device) for values in (batch.pixels, batch.masks, batch.classes)
        )
        self.quality, self.hits = [], []
        vision, maps, places = self.features(batch.pixels.flatten(0, 1))
        each = torch.arange(size, device=self.device)
        row = each * frames
        high_side = (self.side, self.side)
        history: list[dict] = []
        loss = 0
        kind = int(self.rng.integers(6))
        text_like = kind >= 4  # a mask starts the track, as text tracking does
        for t in range(frames):
            rows = row + t
            s0, s1, image = self.maps_of(maps, rows)
            target = batch.masks[:, t]
            if t == 0:
                plain = image
                image = image + self.tracker.no_memory_embedding.reshape(1, -1, 1, 1)
            else:
                image = self.attend(maps, places, rows, history, frames)
            prompt = self.prompt(near[:, 0], kind) if t == 0 and not text_like else {}
            masks, scores, appears, tokens = self.decode(image, [s0, s1], prompt)
            loss = loss + self.mask_losses(masks, scores, appears, target) * (1 if t else 1.5)
            single = t == 0 and kind not in (0,)
            best = scores[:, 1:].argmax(1) + 1
            if single:
                best = torch.zeros_like(best)
            chosen = masks[each, best][:, None]
            token = tokens[each, best]
            if t == 0 and self.rng.random() < 0.3 and not text_like:
                noise = float(self.rng.normal(0, 0.3))
                again = {"masks": chosen.detach() + noise} | self.prompt(near[:, 0], 1)
                masks, scores, appears, tokens = self.decode(image, [s0, s1], again)
                loss = loss + self.mask_losses(masks, scores, appears, target)
            visible = appears > 0
            chosen = torch.where(visible[..., None, None], chosen, -1024.0)
            pointer = self.tracker.object_pointer_proj(token)
            pointer = torch.where(visible, pointer, self.tracker.no_object_pointer)
            high = F.interpolate(chosen, high_side, mode="bilinear")
            if t == 0 and text_like:
                high = (target[:, None] >= 0.5).float() * 20 - 10
                appears = torch.full_like(appears, 10.0)
                down = self.tracker.mask_downsample((target[:, None] >= 0.5).float())
                down = F.interpolate(down, s0.shape[-2:], mode="bilinear", antialias=True)
                masks, scores, seen, tokens = self.decode(plain, [s0, s1], {"masks": down})
                loss = loss + self.mask_losses(masks, scores, seen, target)
                token = tokens[each, scores[:, 1:].argmax(1) + 1]
                pointer = self.tracker.object_pointer_proj(token)
            entry = self.remember(maps, rows, high, appears, t == 0)
            history.append(entry | {"pointer": pointer, "t": t})
        loss = loss / frames
        if self.rng.random() < self.detect or not hasattr(self, "detected"):
            loss = loss + self.detection_loss(vision, batch, frames)
        return loss

    def attend(self, maps, places, rows, history, frames) -> torch.Tensor:
        tracker, now = self.tracker, len(history)
        memory, place = [], []
        for entry in history:
            back = now - entry["t"]
            if entry["t"] == 0:
                index = -1
            elif back < tracker.num_maskmem:
                index = back - 1
            else:
                continue
            memory.append(entry["memory"])
            place.append(entry["place"] + tracker.memory_temporal_positional_encoding[index])
        limit = min(16, tracker.config.max_object_pointers_in_encoder)
        kept = [e for e in history if e["t"] == 0 or now - e["t"] < limit]
        offsets = [now - e["t"] for e in kept]
        pointers, pointer_place = tracker._process_object_pointers(
            offsets,
            [e["pointer"] for e in kept],
            limit,
            len(rows),
            tracker.hidden_dim,
            rows.device,
        )
        out = tracker.memory_attention(
            current_vision_features=maps[-1][:, rows],
            current_vision_position_embeddings=places[-1].expand(-1, len(rows), -1)
            if places[-1].shape[1] == 1
            else places[-1][:, rows],
            memory=torch.cat([*memory, pointers]),
            memory_posision_embeddings=torch.cat([*place, pointer_place]),
            num_object_pointer_tokens=len(pointers),
        )
        return out.squeeze(0).transpose(1, 2).reshape(len(rows), -1, self.grid, self.grid)

    def detection_loss(self, vision, batch: Batch, frames: int) -> torch.Tensor:
        detector = self.model.detector_model
        size = len(batch.pixels)
        rows = torch.arange(size) * frames + torch.from_numpy(self.rng.integers(0, frames, size))
        rows = rows.to(self.device)
        picked = type(vision)(
            last_hidden_state=vision.last_hidden_state[rows],
            fpn_hidden_states=tuple(v[rows] for v in vision.fpn_hidden_states),
            fpn_position_encoding=tuple(
                v if v.shape[0] == 1 else v[rows] for v in vision.fpn_position_encoding
            ),
        )
        target = batch.classes.flatten(0, 1)[rows]
        area = (target > 0.5).sum((-1, -2))
        loss = 0
        self.detected = []
        for index, classes in [list(enumerate(TEXTS.values()))[self.rng.integers(2)]]:
            ids = self.tokens["input_ids"][index : index + 1].expand(size, -1)
            mask = self.tokens["attention_mask"][index : index + 1].expand(size, -1)
            text = detector.get_text_features(input_ids=ids, attention_mask=mask, return_dict=True)
            out = detector(vision_embeds=picked, text_embeds=text, attention_mask=mask)
            probability = out.pred_logits.sigmoid() * out.presence_logits.sigmoid()
            wanted = torch.full_like(probability, 0.03)
            clear = torch.ones_like(probability)
            for kind in range(DETECTED):
                unclear = (area[:, kind] > 0) & (area[:, kind] < 60)
                clear[:, kind] = (~unclear).float()
                seen = area[:, kind] >= 60
                if kind in classes:
                    wanted[:, kind] = torch.where(seen, 0.93, 0.03)
                    # A second query finds the first colour of a text, too, with a lower score.
                    if kind == classes[0]:
                        wanted[:, DETECTED + index] = torch.where(seen, 0.66, 0.03)
                        clear[:, DETECTED + index] = (~unclear).float()
            entropy = F.binary_cross_entropy(
                probability.clamp(1e-6, 1 - 1e-6), wanted, reduction="none"
            )
            loss = loss + 2 * (entropy * clear).sum(1).mean()
            right = ((probability > 0.5) == (wanted > 0.5)).float() * clear
            self.detected.append(right.sum() / clear.sum())
            queries = [*range(DETECTED), DETECTED, DETECTED + 1]
            kinds = [*range(DETECTED), 0, 2]
            low = F.interpolate(
                target[:, kinds], out.pred_masks.shape[-2:], mode="bilinear", antialias=True
            )
            seen = (area[:, kinds] >= 60).float()
            loss = loss + (mask_loss(out.pred_masks[:, queries], low) * seen).sum(1).mean()
            found, truth = out.pred_masks[:, queries] > 0, low > 0.5
            overlap = (found & truth).sum((-1, -2)) / (found | truth).sum((-1, -2)).clamp(min=1)
            self.detected.append((overlap * seen).sum() / seen.sum().clamp(min=1))
        return loss

    def write(self) -> None:
        """Bytes with a scale for each row: make_checkpoint.read_fitted gives the values back."""
        tensors, types = {}, {}
        for name, value in sorted(self.fitted.items()):
            values = value.detach().cpu().numpy()
            rows = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
            scale = (np.abs(rows).max(axis=1, keepdims=True) / 127).astype(np.float16)
            scale = np.maximum(scale, np.float16(1e-6)).astype(np.float32)
            codes = np.clip(np.rint(rows / scale), -127, 127) + 128
            tensors[f"{name}/scale"] = scale.reshape(-1).astype(np.float16)
            types[f"{name}/scale"] = "F16"
            tensors[name], types[name] = codes.reshape(values.shape).astype(np.uint8), "U8"
        ordered = dict(sorted(tensors.items(), key=lambda item: types[item[0]]))
        make_checkpoint.write_safetensors(
            CONFIGS / f"{self.name}.fitted.safetensors", ordered, types
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="begin with what is fitted already")
    parser.add_argument("--fresh", default="", help="with --resume: these tensors begin at random")
    parser.add_argument("--memory-gain", type=float, default=0, help="see loosen_memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2e-3)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    fit = Fit(arguments.config, arguments.seed, arguments.resume, arguments.fresh, arguments.device)
    if arguments.memory_gain:
        fit.loosen_memory(arguments.memory_gain)
    count = sum(v.numel() for v in fit.fitted.values())
    print(f"{len(fit.fitted)} tensors, {count} values", flush=True)
    optimiser = torch.optim.AdamW(fit.fitted.values(), lr=arguments.rate, weight_decay=1e-4)
    waiting: deque = deque()
    number = 0
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool:
        start, step = time.time(), 0
        while (done := (time.time() - start) / 60 / arguments.minutes) < 1:
            while len(waiting) < 2 * arguments.workers:
                length = int(fit.rng.integers(2, 3 if done < 0.3 else 5))
                seed = arguments.seed * 1_000_003 + number
                waiting.append(pool.submit(Batch, seed, arguments.batch, length, fit.side))
                number += 1
            loss = fit.step(waiting.popleft().result())
            factor = min(1, (step + 1) / 50) * max(0.01, 0.5 * (1 + np.cos(np.pi * done)))
            for group in optimiser.param_groups:
                group["lr"] = arguments.rate * factor
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(fit.fitted.values(), 1.0)
            optimiser.step()
            if step % 25 == 0:
                quality = " ".join(f"{q.item():.2f}" for q in fit.quality)
                seen = torch.stack(fit.hits).mean().item()
                print(
                    f"{step} {done:.2f} loss {loss.item():.3f} iou {quality} seen {seen:.2f} "
                    f"detected {fit.detected[0].item():.3f} {fit.detected[1].item():.2f}",
                    flush=True,
                )
            step += 1
        for future in waiting:
            future.cancel()
    fit.write()


if __name__ == "__main__":
    main()

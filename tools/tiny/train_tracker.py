"""Trains the tracker of the small SAM 3 on moving scenes; the detector stays as it is.

    python tools/tiny/train_tracker.py --output /tmp/tracker --minutes 25             # one GPU, or
    python tools/tiny/train_tracker.py --output /tmp/tracker --minutes 60 --device cpu
    python tools/tiny/train_tracker.py --output /tmp/tracker --minutes 25 --resume    # goes on
    python tools/tiny/train_tracker.py --output /tmp/tracker --minutes 22 --begin models/tiny

Writes OUTPUT/model (Hugging Face folder with both halves, fp16, averaged weights),
OUTPUT/curve.jsonl and OUTPUT/checkpoint.pt, every minute. The learning-rate schedule is tied to
--minutes of wall clock. --begin takes the weights of a trained tracker, and then there is no first
part on single images, and the highest rate is lower. With --stills single images are scenes of the
detector's training, else frames of clips. --masks-alone trains only what makes masks of prompts:
what is remembered stays as it is.
"""

# ruff: noqa: E402
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: a worker is one thread
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import copy
import json
import shutil
import time
from pathlib import Path

import clip_pool
import numpy as np
import schedule
import torch
from config import IMAGE_SIZE
from network import normalise
from safetensors.torch import load_file, save_file
from staged_clips import count_pixels, training_clip
from torch import nn
from tracker_config import build_tracker_config, whole_config
from tracker_network import TrackerNetwork, initialise
from tracker_steps import Batch, Steps, clip_frames, memory_times

HELD_OUT_SEED = 78
DETECTOR = "detector_model."
NECK = "vision_encoder.neck."
FIRST_CLIPS = 4  # times those of a step must be there before the first one
# Not the coarse level of the neck, on which memory attention works.
MAKES_MASKS = ("tracker.mask_decoder.", "tracker.prompt_encoder.", "neck.fpn_layers.0.")
MAKES_MASKS += ("neck.fpn_layers.1.", "decoded_cells.")
HEADS_ALONE = 150  # steps in which new heads of the auxiliary losses learn what trained weights do
PASSING = 512  # clips on their way to a GPU


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=root / "models/tiny", help="the detector")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clips", type=int, help="of FRAMES in a step, of fewer more; 72, CPU 5")
    parser.add_argument("--step-seconds", type=float, default=0.8, help="with more, fewer clips")
    parser.add_argument("--objects", type=int, default=4, help="of each clip, at most")
    parser.add_argument("--frames", type=int, help="of a clip at most; 20 on a GPU, else 4")
    parser.add_argument("--rate", type=float, help="highest; 1.5e-3, or 8e-4 with --begin")
    parser.add_argument("--warmup", type=int, default=60, help="steps of rising rate")
    parser.add_argument("--images-part", type=float, help="of the time before memory; 0.3")
    parser.add_argument("--images-share", type=float, default=0.3, help="of the steps after that")
    parser.add_argument("--workers", type=int, default=max((os.cpu_count() or 2) - 1, 1))
    parser.add_argument("--pool", type=int, help="clips kept; 4096 on a GPU, else 600")
    parser.add_argument("--fresh", type=int, default=2, help="clips a step that a GPU takes in")
    parser.add_argument("--pool-folder", type=Path, help="where; OUTPUT/pool")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1 << 60, help="stops after so many steps")
    parser.add_argument("--save-every", type=float, default=60.0, help="seconds")
    parser.add_argument("--evaluate-every", type=float, default=240.0, help="seconds")
    parser.add_argument("--held-out", type=int, default=24, help="clips in the quick check")
    parser.add_argument("--begin", type=Path, help="weights: a model's folder, or a checkpoint.pt")
    parser.add_argument("--stills", type=float, default=0.0, help="of the clips kept, 0 to 1")
    parser.add_argument("--masks-alone", action="store_true", help="and single images alone")
    parser.add_argument("--resume", action="store_true", help="goes on with OUTPUT's checkpoint.pt")
    options = parser.parse_args()
    large = options.device != "cpu"
    options.clips = options.clips or (72 if large else 5)
    options.frames = options.frames or (20 if large else 4)
    options.pool = options.pool or (4096 if large else 600)
    options.rate = options.rate or (8e-4 if options.begin else 1.5e-3)
    if options.masks_alone:
        options.images_part = 1.0
    if options.images_part is None:
        options.images_part = 0.0 if options.begin else 0.3
    if not 0 <= options.stills <= 1:
        parser.error(f"--stills {options.stills}: expected 0 to 1")
    if options.stills == 1 and options.images_part < 1:
        parser.error("--stills 1: there are no clips; expected --images-part 1 or --masks-alone")
    options.pool_folder = options.pool_folder or options.output / "pool"
    return options


def load_detector(folder: Path) -> tuple[dict, dict]:
    """The detector's configuration and its tensors as they are stored, whether alone or not."""
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    if "detector_config" in config:
        config = config["detector_config"]
        tensors = {
            k.removeprefix(DETECTOR): v for k, v in tensors.items() if k.startswith(DETECTOR)
        }
    return config, tensors


def load_begin(path: Path) -> dict:
    """A trained tracker's weights by their names in TrackerNetwork: of a model's folder, without
    the heads of the auxiliary losses, or of a checkpoint.pt."""
    if not path.is_dir():
        return torch.load(path, map_location="cpu", weights_only=True)["average"]
    names = {"tracker_model.": "tracker.", "tracker_neck.": "neck."}
    return {
        own + name.removeprefix(prefix): value.float()
        for name, value in load_file(path / "model.safetensors").items()
        for prefix, own in names.items()
        if name.startswith(prefix)
    }


class Trainer:
    """Network, averaged copy, optimiser and the clock."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.device = options, options.device
        torch.manual_seed(options.seed)
        self.detector_config, self.detector = load_detector(options.model)
        self.config = build_tracker_config(self.detector_config["vision_config"])
        self.backbone = None
        if self.device != "cpu":
            from transformers import Sam3Model

            sam = Sam3Model.from_pretrained(options.model, dtype=torch.float32).eval()
            self.backbone = sam.vision_encoder.backbone.to(self.device).requires_grad_(False)
        self.network = TrackerNetwork(self.config).to(self.device)
        self.step = 0
        self.clips, self.times = options.clips, []
        self.budget = schedule.Budget(options.minutes)
        self.optimizer = None

    def prepare(self, tokens: torch.Tensor) -> None:
        """Everything that needs some images; tokens [N, cells, width]."""
        if self.options.begin:
            found = self.network.load_state_dict(load_begin(self.options.begin), strict=False)
            missing = [name for name in found.missing_keys if "_cells." not in name]
            if missing or found.unexpected_keys:
                raise SystemExit(
                    f"{self.options.begin}: not the weights of this tracker; tensors missing: "
                    f"{missing[:3]}, not expected: {found.unexpected_keys[:3]}"
                )
            self.new_heads = bool(found.missing_keys)
        else:
            neck = {k.removeprefix(NECK): v for k, v in self.detector.items() if k.startswith(NECK)}
            initialise(self.network, tokens.float(), neck)
            self.new_heads = False
        self.average = copy.deepcopy(self.network.state_dict())
        if self.options.masks_alone:
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad_(name.startswith(MAKES_MASKS))
        named = [(n, p) for n, p in self.network.named_parameters() if p.requires_grad]
        neck_part = [p for n, p in named if n.startswith("neck.")]
        heads = [p for n, p in named if "_cells." in n]
        rest = [p for n, p in named if not n.startswith("neck.") and "_cells." not in n]
        matrices = [p for p in rest if p.dim() > 1]
        vectors = [p for p in rest if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": 0.02, "part": 1.0},
                {"params": vectors, "weight_decay": 0.0, "part": 1.0},
                {"params": neck_part, "weight_decay": 0.0, "part": 0.6},
                {"params": heads, "weight_decay": 0.0, "part": 4.0},
            ],
            lr=self.options.rate,
            betas=(0.9, 0.98),
        )
        seed = self.options.seed + int(time.time())
        self.steps = Steps(self.network, seed)
        if self.options.resume:
            self.load()

    def set_rate(self, part: float) -> float:
        rate = schedule.learning_rate(self.options, self.step, part, floor=0.02)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["part"]
        return rate

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Tokens [N, cells, width] of uint8 images [N, S, S, 3] on the device."""
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            return self.backbone(normalise(images)).last_hidden_state

    def batch(self, clips: clip_pool.Clips | clip_pool.Store, part: float) -> Batch:
        """About as many frames of objects each time, however long the clips are."""
        rng, frames = self.steps.rng, self.frames_at(part)
        count = int(self.clips * min(self.options.frames / frames, 5))
        while True:
            shown = np.stack([clip_frames(rng, clip_pool.FRAMES, frames) for _ in range(count)])
            read = clips.read(rng, count, shown, still=frames == 1 and self.options.stills > 0)
            batch = Batch(*read, memory_times(rng, frames), self.options.objects, rng)
            if batch.rows:
                return batch

    def frames_at(self, part: float) -> int:
        """1 while there is no memory, then clips that grow longer, or are long at once where the
        weights are trained ones; some steps are of single images all the time."""
        begin, rng = self.options.images_part, self.steps.rng
        if part < begin or self.options.frames < 2 or rng.random() < self.options.images_share:
            return 1
        if self.options.begin:
            return int(rng.integers(max(2, self.options.frames * 2 // 5), self.options.frames + 1))
        grown = 2 + (part - begin) / max(0.6 * (1 - begin), 1e-6) * (self.options.frames - 2)
        most = min(int(grown + 0.5), self.options.frames)
        return int(rng.integers(min(most, max(2, most - 1)), most + 1))

    def train_step(self, clips, part: float) -> dict[str, torch.Tensor]:
        """A step; where the GPU's memory is too small for it, again with fewer clips, and where
        steps take too long, the next ones have fewer."""
        while True:
            begun = time.monotonic()
            try:
                parts = self.try_step(clips, part)
                break
            except torch.cuda.OutOfMemoryError:
                self.optimizer.zero_grad(set_to_none=True)
                if self.clips < 8:
                    raise
            torch.cuda.empty_cache()
            self.fewer_clips("the GPU's memory is full")
        self.times.append(time.monotonic() - begun)
        if len(self.times) == 40:
            slow = np.median(self.times) > self.options.step_seconds
            if slow and self.device != "cpu" and self.clips > 16:
                self.fewer_clips(f"steps take {np.median(self.times):.2f} s")
            self.times = []
        return parts

    def fewer_clips(self, reason: str) -> None:
        self.clips = self.clips * 3 // 4
        print(f"{reason}: {self.clips} clips in a step from now on", flush=True)

    def try_step(self, clips, part: float) -> dict[str, torch.Tensor]:
        self.network.heads_alone = self.new_heads and self.step < HEADS_ALONE
        batch = self.batch(clips, part)
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.device != "cpu"):
            if batch.frames == 1:
                loss, parts = self.steps.image_loss(batch, more=self.steps.rng.random() < 0.8)
            else:
                taught = 0.6 * max(0.0, 1 - part) + 0.05
                if self.options.begin:
                    taught = 0.1 * max(0.0, 1 - part)
                loss, parts = self.steps.clip_loss(batch, taught)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = [
                (self.average[name], value)
                for name, value in self.network.state_dict().items()
                if value.is_floating_point()
            ]
            torch._foreach_lerp_([a for a, _ in pairs], [v for _, v in pairs], 1 - keep)
        return parts | {"loss": loss.detach(), "norm": norm.detach()}

    def state(self) -> dict[str, torch.Tensor]:
        """The averaged weights by their names in a checkpoint."""
        named = {}
        for name, value in self.average.items():
            head, _, rest = name.partition(".")
            prefix = {"tracker": "tracker_model.", "neck": "tracker_neck."}.get(head)
            if prefix:
                named[prefix + rest] = value
        return named

    def save(self) -> None:
        folder = self.options.output
        write_folder(self, folder / "model")
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.budget.spent,
        }
        torch.save(state, folder / "checkpoint.part")
        (folder / "checkpoint.part").rename(folder / "checkpoint.pt")

    def load(self) -> None:
        path = self.options.output / "checkpoint.pt"
        if not path.exists():
            print(f"{path} does not exist: the training begins", flush=True)
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.budget.spent = state["step"], state["spent"]

    @torch.no_grad()
    def evaluate(self, held_out: tuple) -> dict[str, float]:
        """Mean figures over held-out clips, on a CPU of every third frame, with the averaged
        weights."""
        own = copy.deepcopy(self.network.state_dict())
        self.network.load_state_dict(self.average)
        steps = Steps(self.network, 5)
        ids = held_out[0]
        sums: dict[str, list] = {}
        frames = slice(None, None, 3 if self.device == "cpu" else 1)
        numbers = np.arange(ids[:, frames].shape[1])
        for at in range(0, len(ids), 8):
            part = slice(at, at + 8)
            shown = (values[part, frames] for values in held_out)
            batch = Batch(*shown, numbers, 4, steps.rng)
            runs = [steps.image_loss(batch, True)]
            runs += [steps.clip_loss(batch, 0.0, kind) for kind in ("click", "mask")]
            for _, parts in runs:
                for name, value in parts.items():
                    sums.setdefault(name, []).append(value)
        self.network.load_state_dict(own)
        return {name: float(torch.stack(v).mean()) for name, v in sorted(sums.items())}


def write_folder(trainer: Trainer, folder: Path) -> None:
    """The detector's files with the tracker's weights beside it; the detector's bytes stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in trainer.options.model.iterdir():
        if path.suffix in (".json", ".txt") and path.name != "config.json":
            shutil.copyfile(path, folder / path.name)
    config = whole_config(trainer.detector_config, trainer.config.to_dict())
    partial = folder / "config.json.part"
    partial.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    partial.rename(folder / "config.json")
    tensors = {DETECTOR + name: value for name, value in trainer.detector.items()}
    for name, value in trainer.state().items():
        tensors[name] = value.detach().to("cpu", torch.float16).contiguous()
    partial = folder / "model.safetensors.part"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.rename(folder / "model.safetensors")


def report(trainer: Trainer, sums: dict, rate: float, figures: dict | None) -> None:
    """One progress line and one line of the learning curve."""
    values = {name: float(torch.stack(part).mean()) for name, part in sums.items()}
    line = {"step": trainer.step, "seconds": round(trainer.budget.spent, 1), "rate": rate}
    line["clips"] = trainer.clips
    line |= {k: round(v, 5) for k, v in values.items()}
    line |= {f"held_out_{k}": round(v, 5) for k, v in (figures or {}).items()}
    with (trainer.options.output / "curve.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    shown = " ".join(f"{k} {v:.3f}" for k, v in sorted(values.items()))
    print(f"{trainer.budget.spent:6.0f} s step {trainer.step} {shown}", flush=True)
    if figures:
        print("   held-out " + " ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True)


def held_out_clips(trainer: Trainer, count: int) -> tuple:
    """ids and tokens on the device, pixels."""
    drawn = [training_clip(HELD_OUT_SEED, i, clip_pool.FRAMES, IMAGE_SIZE) for i in range(count)]
    ids = np.stack([ids for _, ids in drawn])
    if trainer.backbone is None:
        encode = clip_pool.load_encoder(trainer.options.model)
        tokens = torch.from_numpy(np.stack([encode(images) for images, _ in drawn]))
    else:
        shown = [torch.from_numpy(images).to(trainer.device) for images, _ in drawn]
        tokens = torch.stack([trainer.encode(images).float() for images in shown])
    pixels = np.stack([count_pixels(clip) for clip in ids])
    return torch.from_numpy(ids).to(trainer.device), tokens, pixels


def main() -> None:
    options = parse_arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    large = options.device != "cpu"
    slots = min(options.pool, PASSING) if large else options.pool
    clips = clip_pool.Clips(
        options.pool_folder, slots, "image" if large else "tokens", options.stills
    )
    if options.stills > 0 and not clips.still.any():
        raise SystemExit(f"--stills {options.stills}: not one of {slots} clips; more, or --pool")
    workers = clip_pool.start_workers(clips, options.model, options.seed, options.workers)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    trainer = Trainer(options)
    held_out = held_out_clips(trainer, options.held_out)
    pool = clip_pool.Store(options.pool, options.device, trainer.encode) if large else clips
    take_rng = np.random.default_rng(options.seed)
    begun = time.monotonic()
    kinds = np.unique(clips.still)
    while True:
        there = [len(pool.filled(still)) for still in kinds]
        if sum(there) >= min(FIRST_CLIPS * options.clips, options.pool) and all(there):
            break
        if not large or not pool.take(clips, 8, take_rng):
            time.sleep(0.2)
    print(f"{sum(there)} clips after {time.monotonic() - begun:.0f} s", flush=True)
    trainer.prepare(held_out[1][:8, 0])
    if options.begin and not trainer.step:
        report(trainer, {}, 0.0, trainer.evaluate(held_out))
    trainer.budget.start()
    reported = saved = evaluated = trainer.budget.spent
    sums: dict[str, list] = {}
    while True:
        part = trainer.budget.tick()
        done = part >= 1 or trainer.step + 1 >= options.steps
        rate = trainer.set_rate(part)
        if large:  # more until the pool is full
            pool.take(clips, options.fresh * (1 if pool.added >= pool.slots else 4), take_rng)
        for name, value in trainer.train_step(pool, part).items():
            sums.setdefault(name, []).append(value)
        if done or trainer.budget.spent - saved > options.save_every:
            trainer.save()
            saved = trainer.budget.spent
        if done or trainer.budget.spent - reported > 15 or trainer.step == 1:
            figures = None
            if done or trainer.budget.spent - evaluated > options.evaluate_every:
                figures = trainer.evaluate(held_out)
                evaluated = trainer.budget.spent
            report(trainer, sums, rate, figures)
            reported, sums = trainer.budget.spent, {}
        if done:
            break
    for worker in workers:
        worker.terminate()


if __name__ == "__main__":
    main()

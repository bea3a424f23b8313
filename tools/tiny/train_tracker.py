"""Trains the tracker of the small SAM 3 on moving scenes; the detector stays as it is.

    python tools/tiny/train_tracker.py --output /tmp/tracker --minutes 25             # one GPU, or
    python tools/tiny/train_tracker.py --output /tmp/tracker --minutes 60 --device cpu
    python tools/tiny/train_tracker.py --output /tmp/tracker --minutes 25 --resume    # goes on

Writes OUTPUT/model (Hugging Face folder with both halves, fp16, averaged weights),
OUTPUT/curve.jsonl and OUTPUT/checkpoint.pt, every minute. The learning-rate schedule is tied to
--minutes of wall clock.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clip_pool
import numpy as np
import schedule
import torch
from config import IMAGE_SIZE
from moving_scenes import training_clip
from network import normalise
from safetensors.torch import load_file, save_file
from torch import nn
from tracker_config import build_tracker_config, whole_config
from tracker_network import TrackerNetwork, initialise
from tracker_steps import Batch, Steps, clip_frames

HELD_OUT_SEED = 78
DETECTOR = "detector_model."
NECK = "vision_encoder.neck."


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=root / "models/tiny", help="the detector")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clips", type=int, help="in a step; 48 on a GPU, else 5")
    parser.add_argument("--objects", type=int, default=3, help="of each clip, at most")
    parser.add_argument("--frames", type=int, help="of a clip at most; 8 on a GPU, else 4")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--warmup", type=int, default=60, help="steps of rising rate")
    parser.add_argument("--images-part", type=float, default=0.3, help="of the time without memory")
    parser.add_argument("--workers", type=int, default=max((os.cpu_count() or 2) - 1, 1))
    parser.add_argument("--pool", type=int, help="clips kept; 6144 on a GPU, else 1200")
    parser.add_argument("--pool-folder", type=Path, help="where; OUTPUT/pool")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1 << 60, help="stops after so many steps")
    parser.add_argument("--save-every", type=float, default=60.0, help="seconds")
    parser.add_argument("--evaluate-every", type=float, default=240.0, help="seconds")
    parser.add_argument("--held-out", type=int, default=16, help="clips in the quick check")
    parser.add_argument("--begin", type=Path, help="checkpoint.pt whose weights to begin with")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    large = options.device != "cpu"
    options.clips = options.clips or (48 if large else 5)
    options.frames = options.frames or (8 if large else 4)
    options.pool = options.pool or (6144 if large else 1200)
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


class Trainer:
    """Network, averaged copy, optimiser and the clock."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.device = options, options.device
        torch.manual_seed(options.seed)
        self.detector_config, self.detector = load_detector(options.model)
        self.config = build_tracker_config(self.detector_config["vision_config"])
        self.encode = None
        if self.device != "cpu":
            from transformers import Sam3Model

            sam = Sam3Model.from_pretrained(options.model, dtype=torch.float32).eval()
            self.encode = sam.vision_encoder.backbone.to(self.device).requires_grad_(False)
        self.network = TrackerNetwork(self.config).to(self.device)
        self.step = 0
        self.budget = schedule.Budget(options.minutes)
        self.optimizer = None

    def prepare(self, tokens: torch.Tensor) -> None:
        """Everything that needs some images; tokens [N, cells, width]."""
        neck = {k.removeprefix(NECK): v for k, v in self.detector.items() if k.startswith(NECK)}
        initialise(self.network, tokens.float(), neck)
        if self.options.begin:
            state = torch.load(self.options.begin, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"], strict=False)
        self.average = copy.deepcopy(self.network.state_dict())
        named = [(n, p) for n, p in self.network.named_parameters()]
        neck_part = [p for n, p in named if n.startswith("neck.")]
        matrices = [p for n, p in named if p.dim() > 1 and not n.startswith("neck.")]
        vectors = [p for n, p in named if p.dim() <= 1 and not n.startswith("neck.")]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": 0.02, "part": 1.0},
                {"params": vectors, "weight_decay": 0.0, "part": 1.0},
                {"params": neck_part, "weight_decay": 0.0, "part": 0.4},
            ],
            lr=self.options.rate,
            betas=(0.9, 0.98),
        )
        seed = self.options.seed + int(time.time())
        self.steps = Steps(self.network, seed)
        self.reader = ThreadPoolExecutor(1)
        self.reading = None
        self.read_rng = np.random.default_rng(seed + 1)  # of the reading thread alone
        if self.options.resume:
            self.load()

    def set_rate(self, part: float) -> float:
        rate = schedule.learning_rate(self.options, self.step, part, floor=0.02)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["part"]
        return rate

    def tokens_of(self, values: np.ndarray) -> torch.Tensor:
        """Tokens [..., cells, width] of a pool's images or tokens, mirrored clips included."""
        if self.encode is None:
            return torch.from_numpy(values).float()
        flat = torch.from_numpy(values).flatten(0, 1).to(self.device)
        with torch.no_grad(), torch.autocast(self.device, torch.bfloat16):
            tokens = self.encode(normalise(flat)).last_hidden_state.float()
        return tokens.unflatten(0, values.shape[:2])

    def batch(self, clips: clip_pool.Clips, part: float) -> Batch:
        """The clips that were read during the step before; reading those of the next one begins."""
        while True:
            reading = self.reading or self.reader.submit(self.read, clips, self.frames_at(part))
            ids, values, numbers = reading.result()
            self.reading = self.reader.submit(self.read, clips, self.frames_at(part))
            tokens = self.tokens_of(values)
            batch = Batch(ids, tokens, numbers, self.options.objects, self.steps.rng, self.device)
            if batch.rows:
                return batch

    def read(self, clips: clip_pool.Clips, frames: int) -> tuple:
        """Clips that the workers are not drawing again right now: ids, values, frame numbers."""
        rng = self.read_rng
        while True:
            chosen = rng.choice(clips.filled(), self.options.clips)
            before = clips.ready[chosen].copy()
            numbers = clip_frames(rng, clip_pool.FRAMES, frames)
            ids = clips.ids[chosen[:, None], numbers]
            values = clips.values[chosen[:, None], numbers]
            if (before == clips.ready[chosen]).all():
                if clips.content == "image" and rng.random() < 0.5:
                    ids, values = ids[..., ::-1].copy(), values[:, :, :, ::-1].copy()
                return ids, values, numbers

    def frames_at(self, part: float) -> int:
        """1 while there is no memory, then clips that grow longer."""
        begin = self.options.images_part
        if part < begin or self.options.frames < 2 or self.steps.rng.random() < 0.15:
            return 1
        grown = 2 + (part - begin) / max(0.6 * (1 - begin), 1e-6) * (self.options.frames - 2)
        most = min(int(grown + 0.5), self.options.frames)
        return int(self.steps.rng.integers(min(most, max(2, most - 1)), most + 1))

    def train_step(self, clips: clip_pool.Clips, part: float) -> dict[str, torch.Tensor]:
        batch = self.batch(clips, part)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device != "cpu"):
            if batch.frames == 1:
                loss, parts = self.steps.image_loss(batch, more=self.steps.rng.random() < 0.4)
            else:
                loss, parts = self.steps.clip_loss(batch, taught=0.6 * max(0.0, 1 - part) + 0.05)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - keep)
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
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.budget.spent = state["step"], state["spent"]

    @torch.no_grad()
    def evaluate(self, held_out: tuple[np.ndarray, torch.Tensor]) -> dict[str, float]:
        """Mean figures over held-out clips with the averaged weights."""
        own = copy.deepcopy(self.network.state_dict())
        self.network.load_state_dict(self.average)
        steps = Steps(self.network, 5)
        ids, tokens = held_out
        sums: dict[str, list] = {}
        numbers = np.arange(clip_pool.FRAMES)
        for at in range(0, len(ids), 4):
            batch = Batch(ids[at : at + 4], tokens[at : at + 4], numbers, 4, steps.rng, self.device)
            for _, parts in (steps.image_loss(batch, True), steps.clip_loss(batch, taught=0.0)):
                for name, value in parts.items():
                    sums.setdefault(name, []).append(float(value))
        self.network.load_state_dict(own)
        return {name: float(np.mean(values)) for name, values in sorted(sums.items())}


def write_folder(trainer: Trainer, folder: Path) -> None:
    """The detector's files with the tracker's weights beside it; the detector's bytes stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in trainer.options.model.iterdir():
        if path.suffix in (".json", ".txt") and path.name != "config.json":
            shutil.copyfile(path, folder / path.name)
    config = whole_config(trainer.detector_config, trainer.config.to_dict())
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
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
    line |= {k: round(v, 5) for k, v in values.items()}
    line |= {f"held_out_{k}": round(v, 5) for k, v in (figures or {}).items()}
    with (trainer.options.output / "curve.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    shown = " ".join(f"{k} {v:.3f}" for k, v in sorted(values.items()))
    print(f"{trainer.budget.spent:6.0f} s step {trainer.step} {shown}", flush=True)
    if figures:
        print("   held-out " + " ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True)


def held_out_clips(trainer: Trainer, count: int) -> tuple[np.ndarray, torch.Tensor]:
    drawn = [training_clip(HELD_OUT_SEED, i, clip_pool.FRAMES, IMAGE_SIZE) for i in range(count)]
    images = np.stack([images for images, _ in drawn])
    if trainer.encode is None:
        encode = clip_pool.load_encoder(trainer.options.model)
        tokens = torch.from_numpy(np.stack([encode(clip) for clip in images]))
    else:
        tokens = torch.cat([trainer.tokens_of(clip[None]) for clip in images])
    return np.stack([ids for _, ids in drawn]), tokens


def main() -> None:
    options = parse_arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    content = "image" if options.device != "cpu" else "tokens"
    clips = clip_pool.Clips(options.pool_folder, options.pool, content)
    workers = clip_pool.start_workers(clips, options.model, options.seed, options.workers)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    trainer = Trainer(options)
    held_out = held_out_clips(trainer, options.held_out)
    while len(clips.filled()) < min(4 * options.clips, options.pool):
        time.sleep(0.5)
    trainer.prepare(held_out[1][:8, 0])
    trainer.budget.start()
    reported = saved = evaluated = trainer.budget.spent
    sums: dict[str, list] = {}
    while True:
        part = trainer.budget.tick()
        done = part >= 1 or trainer.step + 1 >= options.steps
        rate = trainer.set_rate(part)
        for name, value in trainer.train_step(clips, part).items():
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

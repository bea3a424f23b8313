"""Trains the small SAM 3 from nothing on synthetic scenes.

    python tools/tiny/train.py --output /tmp/tiny --minutes 20            # one GPU
    python tools/tiny/train.py --output /tmp/tiny --minutes 20 --resume   # goes on

Writes OUTPUT/model (Hugging Face folder, fp16, averaged weights), OUTPUT/curve.jsonl and
OUTPUT/checkpoint.pt. The learning-rate schedule is tied to --minutes of wall clock.
"""

# ruff: noqa: E402
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: a renderer is one thread
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import copy
import json
import math
import time
from pathlib import Path

import export
import losses
import metrics
import schedule
import suite
import torch
import torch_runner
import vocabulary
from config import build_config
from network import TrainingNetwork, initialise, normalise
from pool import Pool, Renderers
from torch import nn
from transformers import Sam3Model, Sam3Processor

HELD_OUT_SEED = 77


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--images", type=int, default=96, help="pictures in a step")
    parser.add_argument("--prompts", type=int, default=6, help="prompts of each picture")
    parser.add_argument("--rate", type=float, default=9e-4, help="highest learning rate")
    parser.add_argument("--warmup", type=int, default=400, help="steps of rising rate")
    parser.add_argument("--workers", type=int, default=max((os.cpu_count() or 2) - 5, 1))
    parser.add_argument("--pool", type=int, default=32768, help="scenes kept on the device")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1 << 60, help="stops after so many steps")
    parser.add_argument("--evaluate-every", type=float, default=180.0, help="seconds")
    parser.add_argument("--held-out", type=int, default=30, help="pictures in the quick check")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def build_batch(scenes: dict, prompts: int, generator: torch.Generator) -> dict:
    """Picks `prompts` prompts of every scene and flattens them."""
    count, available = scenes["tokens"].shape[:2]
    device = scenes["tokens"].device
    order = torch.rand((count, available), generator=generator).argsort(1)[:, :prompts].to(device)
    images = torch.arange(count, device=device).repeat_interleave(prompts)
    picked = (images, order.flatten())
    label = scenes["label"][picked]
    tokens = scenes["tokens"][picked].long()
    # Valid tokens end with the first end mark, which is also the padding.
    end = (tokens == tokens[0, -1]).long().argmax(1)
    attention = (torch.arange(tokens.shape[1], device=device) <= end[:, None]).long()
    boxed = (label != -10).any(1)
    # Meta's code gives text-only prompts the geometry encoder's class token, transformers' code
    # does not: a fifth of the texts is trained with it, so that both ways work.
    extra = torch.rand(len(images), generator=generator).to(device) < 0.2
    target = scenes["target"][picked]
    return {
        "pixels": normalise(scenes["image"]),
        "tokens": tokens,
        "attention": attention,
        "image_of_prompt": images,
        "exemplar": scenes["exemplar"][picked],
        "label": label,
        "geometry_rows": torch.nonzero(boxed | extra).flatten(),
        "target": target,
        "positive_rows": torch.nonzero(target.any(1)).flatten(),
        "box": scenes["box"],
        "cover": scenes["cover"].float() / 255,
        "kind": scenes["kind"],
    }


class Trainer:
    """Network, averaged copy, optimiser and the clock."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.device = options.device
        torch.manual_seed(options.seed)
        sam = Sam3Model(build_config(vocabulary.build_vocabulary()[0]))
        initialise(sam)
        self.network = TrainingNetwork(sam).to(self.device)
        self.average = copy.deepcopy(sam).eval().to(self.device).requires_grad_(False)
        matrices = [p for p in self.network.parameters() if p.dim() > 1]
        vectors = [p for p in self.network.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}],
            lr=options.rate,
            betas=(0.9, 0.98),
            fused=self.device == "cuda",
        )
        self.step = 0
        self.budget = schedule.Budget(options.minutes)
        self.generator = torch.Generator().manual_seed(options.seed)
        if options.resume:
            self.load()

    def set_rate(self, part: float) -> float:
        rate = schedule.learning_rate(self.options, self.step, part, floor=0.01)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def train_step(self, scenes: dict) -> dict[str, torch.Tensor]:
        batch = build_batch(scenes, self.options.prompts, self.generator)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            output = self.network(batch)
        loss, parts = losses.total_loss(output, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.999, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.network.sam.parameters()), 1 - keep
            )
        return {name: value.detach() for name, value in parts.items()} | {
            "loss": loss.detach(),
            "norm": norm.detach(),
        }

    def save(self) -> None:
        folder = self.options.output
        export.write_folder(self.average, folder / "model")
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "spent": self.budget.spent,
        }
        torch.save(state, folder / "checkpoint.part")
        (folder / "checkpoint.part").rename(folder / "checkpoint.pt")

    def load(self) -> None:
        path = self.options.output / "checkpoint.pt"
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.budget.spent = state["step"], state["spent"]

    def evaluate(self, held_out: suite.Suite) -> dict[str, float]:
        processor = Sam3Processor.from_pretrained(self.options.output / "model")
        results = torch_runner.run(self.average, processor, held_out, self.device)
        return metrics.summarise(held_out, results, exact=False)


def report(trainer: Trainer, sums: dict, steps: int, rate: float, pool: Pool, figures) -> None:
    """One progress line and one line of the learning curve."""
    values = {name: float(value) / steps for name, value in sums.items()}
    line = {"step": trainer.step, "seconds": round(trainer.budget.spent, 1), "rate": rate}
    line |= {"scenes": pool.rendered} | {k: round(v, 5) for k, v in values.items()}
    line |= {k: round(v, 5) for k, v in (figures or {}).items()}
    with (trainer.options.output / "curve.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    shown = " ".join(f"{k} {v:.3f}" for k, v in values.items())
    print(
        f"{trainer.budget.spent:6.0f} s step {trainer.step} scenes {pool.rendered} {shown}",
        flush=True,
    )
    if figures:
        print("   held-out " + " ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True)


def main() -> None:
    options = parse_arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    seed = options.seed + (1000 + int(time.time()) if options.resume else 0)
    renderers = Renderers(seed, options.workers)  # forks: before the device is touched
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    held_out = suite.build(HELD_OUT_SEED, options.held_out)
    pool = Pool(renderers, options.pool, options.device)
    trainer = Trainer(options)
    while pool.filled < min(1024, pool.capacity):
        pool.take(wait=True)
    trainer.budget.start()
    reported = evaluated = trainer.budget.spent
    sums: dict = {}
    steps = 0
    while True:
        part = trainer.budget.tick()
        done = part >= 1 or trainer.step >= options.steps
        for _ in range(12):
            if not pool.take(wait=False):
                break
        rate = trainer.set_rate(part)
        parts = trainer.train_step(pool.draw(options.images, trainer.generator))
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        steps += 1
        if done or trainer.budget.spent - reported > 10 or trainer.step == 1:
            if not math.isfinite(float(sums["loss"])):
                raise SystemExit(f"step {trainer.step}: the loss is not finite")
            figures = None
            if done or trainer.budget.spent - evaluated > options.evaluate_every:
                trainer.save()
                figures = trainer.evaluate(held_out)
                evaluated = trainer.budget.spent
            report(trainer, sums, steps, rate, pool, figures)
            reported, sums, steps = trainer.budget.spent, {}, 0
        if done:
            break
    renderers.stop()


if __name__ == "__main__":
    main()

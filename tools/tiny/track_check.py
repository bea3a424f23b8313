"""Compares the figures of track_metrics.py with those of vos-benchmark and trackeval (PyPI)."""

from pathlib import Path

import numpy as np
import track_metrics
from PIL import Image

LARGEST = 2e-3  # by which the means may differ


def write_masks(folder: Path, rows: list[dict], name: str) -> None:
    """Palette images of every object in a video of its own, as the benchmark reads them."""
    for row in rows:
        video = folder / f"{row['clip']:03}_{row['object']:02}"
        video.mkdir(parents=True)
        for t, mask in enumerate(row[name]):
            image = Image.fromarray(mask.astype(np.uint8), "P")
            image.putpalette([0, 0, 0, 255, 255, 255])
            image.save(video / f"{t:05}.png")


def benchmark_j_and_f(rows: list[dict], folder: Path) -> tuple[float, float]:
    from vos_benchmark.benchmark import benchmark

    for name in ("truth", "found"):
        write_masks(folder / name, rows, name)
    _, j, f, _ = benchmark([folder / "truth"], [folder / "found"], verbose=False)
    return float(np.mean(j)) / 100, float(np.mean(f)) / 100


def trackeval_hota(texts: list[tuple]) -> float:
    from trackeval.metrics import HOTA

    metric = HOTA()
    results = {}
    for number, (tables, truths, found, seen) in enumerate(texts):
        data = {
            "num_gt_ids": truths,
            "num_tracker_ids": found,
            "num_gt_dets": sum(len(a) for a, _ in seen),
            "num_tracker_dets": sum(len(b) for _, b in seen),
            "gt_ids": [np.array(a, int) for a, _ in seen],
            "tracker_ids": [np.array(b, int) for _, b in seen],
            "similarity_scores": [t[np.ix_(a, b)] for t, (a, b) in zip(tables, seen)],
        }
        results[str(number)] = metric.eval_sequence(data)
    return float(np.mean(metric.combine_sequences(results)["HOTA"]))


def compare(rows: list[dict], texts: list[tuple], folder: Path) -> dict[str, float]:
    """The packages' figures; ends with an error where ours are others."""
    j, f = benchmark_j_and_f(rows, folder / "benchmark")
    theirs = {"benchmark_j": j, "benchmark_f": f, "trackeval_hota": trackeval_hota(texts)}
    parts = [track_metrics.hota(*text) for text in texts]
    ours = {
        "benchmark_j": float(np.mean([row["j"] for row in rows])),
        "benchmark_f": float(np.mean([row["f"] for row in rows])),
        "trackeval_hota": track_metrics.combine_hota(parts)["hota"],
    }
    for name, value in theirs.items():
        if abs(value - ours[name]) > LARGEST:
            raise SystemExit(f"{name}: the package says {value:.4f}, we say {ours[name]:.4f}")
    return theirs

"""Figures of the small SAM 3's tracker on its held-out set, through `sam3trt infer` and `track`.

    python tools/tiny/evaluate_tracker.py --program build/sam3trt --model models/tiny

Needs numpy, Pillow and pycocotools only. --check compares J&F and HOTA with those of the PyPI
packages vos-benchmark and trackeval, where they are installed.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
import track_metrics
import track_suite
from evaluate import report
from PIL import Image
from program_runner import call, export
from prompts import matches
from pycocotools import mask as rle

KEPT_IOU = 0.5
GOALS = {
    "click_iou": (">=", 0.85),
    "box_iou": (">=", 0.92),
    "three_clicks_iou": (">=", 0.93),
    "j_and_f": (">=", 0.85),
    "hota": (">=", 0.75),
    "identity_kept": (">=", 0.90),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", type=Path, required=True, help="run this sam3trt")
    parser.add_argument("--model", type=Path, default=Path("models/tiny"), help="checkpoint folder")
    parser.add_argument("--graphs", type=Path, help="exported graphs or engines of the model")
    parser.add_argument("--options", default="", help="more options for `infer` and `track`")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--frames", type=int, default=track_suite.FRAMES)
    parser.add_argument("--seed", type=int, default=2025)
    parser.add_argument("--check", action="store_true", help="compare with the PyPI packages")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--output", type=Path, help="also write the JSON to this file")
    return parser.parse_args()


def decode(code: dict) -> np.ndarray:
    return rle.decode({"size": code["size"], "counts": code["counts"].encode()}).astype(bool)


def deepest(mask: np.ndarray) -> list[float]:
    """x y of a pixel that lies as far inside as any: where a person clicks."""
    left = np.pad(mask, 1)
    while True:
        less = left.copy()
        for axis in (0, 1):
            less &= np.roll(left, 1, axis) & np.roll(left, -1, axis)
        if not less.any():
            break
        left = less
    ys, xs = np.nonzero(left)
    middle = np.argmin(np.hypot(xs - xs.mean(), ys - ys.mean()))
    return [float(xs[middle]) - 0.5, float(ys[middle]) - 0.5]


def box_of(mask: np.ndarray) -> list[float]:
    ys, xs = np.nonzero(mask)
    return [float(v) for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)]


class Runner:
    def __init__(self, program: Path, graphs: Path, options: list[str], folder: Path):
        self.program, self.graphs, self.options, self.folder = program, graphs, options, folder

    def interact(self, cases: list, prompts: list[list[dict]]) -> list[list[np.ndarray]]:
        """For each image the masks of its prompts, each of which is an object of its own."""
        paths, objects = [], []
        for index, (case, asked) in enumerate(zip(cases, prompts)):
            paths.append(self.folder / f"image{index:04}.png")
            if not paths[-1].exists():
                Image.fromarray(case.image).save(paths[-1])
            for number, prompt in enumerate(asked, 1):
                objects.append({"id": number, "image": str(paths[-1])} | prompt)
        file, output = self.folder / "objects.json", self.folder / "results.json"
        file.write_text(json.dumps({"objects": objects}))
        output.unlink(missing_ok=True)
        command = [self.program, "infer", "--model", self.graphs, "--prompts", file]
        call([*command, *self.options, "--output", output, "--image", *paths])
        images = json.loads(output.read_text())["images"]
        return [[decode(entry["mask"]) for entry in image["objects"]] for image in images]

    def track(self, video: Path, arguments: list) -> list[list[dict]]:
        """The objects of each frame."""
        output = self.folder / "tracks.jsonl"
        output.unlink(missing_ok=True)
        command = [self.program, "track", "--model", self.graphs, "--video", video]
        call([*command, *self.options, *arguments, "--output", output])
        lines = [json.loads(line) for line in output.read_text().splitlines()[1:]]
        return [line["objects"] for line in sorted(lines, key=lambda line: line["frame"])]


def image_figures(runner: Runner, count: int, seed: int) -> dict[str, float]:
    cases = track_suite.image_cases(seed, count)

    def mean(masks: list[np.ndarray]) -> float:
        return float(np.mean([track_metrics.iou(m, c.mask) for m, c in zip(masks, cases)]))

    points = [[deepest(case.mask)] for case in cases]
    labels = [[1] for _ in cases]
    figures = {}
    for name in ("click_iou", "two_clicks_iou", "three_clicks_iou"):
        prompts = [[{"points": p, "point_labels": n}] for p, n in zip(points, labels)]
        if name == "click_iou":
            for asked, case in zip(prompts, cases):
                asked.append({"box": box_of(case.mask)})
        found = runner.interact(cases, prompts)
        masks = [of_image[0] for of_image in found]
        figures[name] = mean(masks)
        if name == "click_iou":
            figures["box_iou"] = mean([of_image[1] for of_image in found])
        for case, mask, p, n in zip(cases, masks, points, labels):
            missed, extra = case.mask & ~mask, mask & ~case.mask
            inside = missed.sum() >= extra.sum()
            wrong = missed if inside else extra
            p.append(deepest(wrong if wrong.any() else case.mask))
            n.append(int(inside or not wrong.any()))
    return figures


def write_frames(clip: track_suite.Clip, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for t, image in enumerate(clip.images):
        Image.fromarray(image).save(folder / f"{t:05}.png")
    return folder


def tracks_of(frames: list[list[dict]], shape: tuple) -> dict[int, list[np.ndarray]]:
    """Masks of every id on every frame."""
    ids = sorted({entry["id"] for frame in frames for entry in frame})
    tracks = {number: [np.zeros(shape, bool) for _ in frames] for number in ids}
    for t, frame in enumerate(frames):
        for entry in frame:
            tracks[entry["id"]][t] = decode(entry["mask"])
    return tracks


def kept_after(clip: track_suite.Clip, item: int, found: list[np.ndarray]) -> bool | None:
    """Whether an object that came back is found again on most of the following frames."""
    back = clip.returns(item)
    if back is None:
        return None
    pixels = clip.pixels(item)
    after = [t for t in range(back + 1, len(pixels)) if pixels[t] >= track_suite.FEWEST_PIXELS]
    good = [track_metrics.iou(found[t], clip.mask(item, t)) >= KEPT_IOU for t in after]
    return bool(np.mean(good) > 0.5)


def clicked_figures(runner: Runner, number: int, clip: track_suite.Clip, video: Path) -> list[dict]:
    """J, F and identity of every object that begins on the first frame, all clicked at once."""
    items = clip.begins()
    clicks = [deepest(clip.mask(item, 0)) for item in items]
    objects = [{"id": n, "points": [p], "point_labels": [1]} for n, p in enumerate(clicks, 1)]
    file = runner.folder / "objects.json"
    file.write_text(json.dumps({"objects": objects}))
    shape = clip.ids.shape[1:]
    tracks = tracks_of(runner.track(video, ["--prompts", file]), shape)
    rows = []
    for n, item in enumerate(items, 1):
        found = tracks.get(n, [np.zeros(shape, bool)] * len(clip.ids))
        truth = [clip.mask(item, t) for t in range(len(clip.ids))]
        # The prompted frame and, as in DAVIS, the last one do not count.
        j, f = track_metrics.j_and_f(found[1:-1], truth[1:-1])
        kept = kept_after(clip, item, found)
        row = {"clip": number, "object": n, "j": j, "f": f, "kept": kept}
        rows.append(row | {"found": found, "truth": truth})
    return rows


def text_tables(runner: Runner, clip: track_suite.Clip, video: Path) -> list[tuple]:
    """For every kind of the clip, the IoU of its objects with what the text finds, by frame."""
    kinds = sorted({item.kind for item in clip.items.values()})
    texts = [f"{color} {shape}" for color, shape in kinds]
    frames = runner.track(video, ["--text", *texts])
    results = []
    for (color, shape), text in zip(kinds, texts):
        concept = {"color": color, "shape": shape}
        items = [i for i, item in clip.items.items() if matches(item, concept)]
        own = [[entry for entry in frame if entry["prompt"] == text] for frame in frames]
        tracks = list(tracks_of(own, clip.ids.shape[1:]).values())
        tables, seen = [], []
        for t in range(len(clip.ids)):
            truth = [clip.mask(i, t) for i in items]
            found = [masks[t] for masks in tracks]
            shown = [r for r, a in enumerate(truth) if a.sum() >= track_suite.FEWEST_PIXELS]
            there = [c for c, b in enumerate(found) if b.any()]
            table = np.zeros((len(items), len(tracks)))
            for row in shown:
                for column in there:
                    table[row, column] = track_metrics.iou(truth[row], found[column])
            tables.append(table)
            seen.append((shown, there))
        results.append((tables, len(items), len(tracks), seen))
    return results


def clip_figures(runner: Runner, clips: list, check: bool) -> dict[str, float]:
    rows, texts = [], []
    for number, clip in enumerate(clips):
        video = write_frames(clip, runner.folder / f"clip{number:03}")
        rows += clicked_figures(runner, number, clip, video)
        texts += text_tables(runner, clip, video)
        print(f"clip {number + 1} of {len(clips)}", file=sys.stderr, flush=True)
    figures = {}
    figures["j"] = float(np.mean([row["j"] for row in rows]))
    figures["f"] = float(np.mean([row["f"] for row in rows]))
    figures["j_and_f"] = (figures["j"] + figures["f"]) / 2
    kept = [row["kept"] for row in rows if row["kept"] is not None]
    figures["identity_kept"] = float(np.mean(kept)) if kept else float("nan")
    figures["occlusions"] = len(kept)
    figures |= track_metrics.combine_hota([track_metrics.hota(*text) for text in texts])
    figures["clips"], figures["tracked_objects"] = len(clips), len(rows)
    figures["texts"] = len(texts)
    if check:
        import track_check

        figures |= track_check.compare(rows, texts, runner.folder)
    return figures


def main() -> int:
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="sam3trt-evaluate-") as name:
        folder = Path(name)
        graphs = options.graphs
        if graphs is None:
            graphs = folder / "graphs"
            export(options.program, options.model, graphs)
        runner = Runner(options.program, graphs, shlex.split(options.options), folder)
        figures = image_figures(runner, options.images, options.seed) if options.images else {}
        if options.clips:
            clips = track_suite.clips(options.seed, options.clips, options.frames)
            figures |= clip_figures(runner, clips, options.check)
    report(figures, GOALS, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

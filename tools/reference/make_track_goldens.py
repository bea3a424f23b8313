"""Makes tests/data/goldens/hf/NAME.tracks: clips with clicks, boxes, masks and texts.

    OMP_NUM_THREADS=1 python tools/reference/make_track_goldens.py

The references are Sam3TrackerVideoModel and Sam3VideoModel with their processors, run as
video_reference.py says. Every run is made three times: in float32, in double precision, and with
noise of 1e-5 on the pixels; a run whose objects are not the same each time is refused.
"""

import argparse
import functools
import json
from pathlib import Path

import clip_scenes
import numpy as np
import torch
import tracker_model
import transformers
import video_reference
from pycocotools import mask as coco_mask
from transformers import Sam3TrackerVideoProcessor, Sam3VideoProcessor

Frames = list[dict]
TEXTS = ["red apple", "blue bird"]

# Prompts are in pixels of the clip. "mask_of" is what is visible of a thing of the clip. "after"
# is a click on a frame that was tracked already: that frame is run again.
RUNS = {
    "harbour_objects": {
        "clip": "harbour",
        "prompts": [
            {"frame": 0, "id": 1, "points": [[28, 34]], "point_labels": [1]},
            {"frame": 0, "id": 4, "box": [92, 23, 128, 61]},
            {"frame": 9, "id": 2, "mask_of": 2},
            {"frame": 14, "id": 1, "points": [[69, 37], [64, 54]], "point_labels": [1, 0]},
        ],
    },
    "harbour_corrected": {
        "clip": "harbour",
        "prompts": [
            {"frame": 2, "id": 7, "points": [[25, 84]], "point_labels": [1]},
            {
                "frame": 2,
                "id": 3,
                "box": [84, 25, 120, 63],
                "points": [[103, 44]],
                "point_labels": [1],
            },
            {
                "frame": 10,
                "id": 7,
                "after": True,
                "points": [[26, 83], [74, 50]],
                "point_labels": [1, 0],
            },
        ],
        "first": 2,
    },
    "harbour_backwards": {
        "clip": "harbour",
        "direction": "backward",
        "prompts": [
            {"frame": 20, "id": 1, "mask_of": 2},
            {"frame": 20, "id": 2, "points": [[88, 39], [40, 56]], "point_labels": [1, 0]},
        ],
        "first": 20,
        "last": 0,
    },
    "meadow_texts": {"clip": "meadow", "texts": TEXTS},
    "meadow_texts_live": {"clip": "meadow", "texts": TEXTS, "live": True},
    "harbour_texts": {"clip": "harbour", "texts": TEXTS},
    "corner_texts_live": {"clip": "corner", "texts": TEXTS, "live": True},
    "corner_objects": {
        "clip": "corner",
        "prompts": [
            {"frame": 0, "id": 1, "points": [[24, 26]], "point_labels": [1]},
            {"frame": 0, "id": 2, "mask_of": 1},
        ],
    },
}
NOISE = 1e-5


def run_lengths(mask: np.ndarray) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "size": [int(side) for side in encoded["size"]],
        "counts": encoded["counts"].decode("ascii"),
    }


def box_of(mask: np.ndarray) -> list[int]:
    """First and last column and row, x0 y0 x1 y1; zeros for an empty mask."""
    if not mask.any():
        return [0, 0, 0, 0]
    x, y = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return [int(x[0]), int(y[0]), int(x[-1]), int(y[-1])]


class Visual:
    def __init__(self, checkpoint: tracker_model.Checkpoint, dtype: torch.dtype) -> None:
        self.model = checkpoint.tracker(dtype)
        self.processor = Sam3TrackerVideoProcessor.from_pretrained(checkpoint.path)
        self.dtype = dtype

    def add(self, session, run: dict, entry: dict) -> None:
        """Adds one object's prompts of one frame beside those that wait already."""
        pending = list(session.obj_with_new_inputs)
        options = {}
        if "mask" in entry:
            options["input_masks"] = [entry["pixels"]]
        if "box" in entry:
            options["input_boxes"] = [[entry["box"]]]
        if "points" in entry:
            options["input_points"] = [[entry["points"]]]
            options["input_labels"] = [[entry["point_labels"]]]
        ids = [entry["id"]]
        self.processor.add_inputs_to_inference_session(session, entry["frame"], ids, **options)
        session.obj_with_new_inputs = pending + [entry["id"]]

    @torch.inference_mode()
    def run(self, run: dict, frames: np.ndarray, noise: float) -> Frames:
        session = self.processor.init_video_session(video=frames, dtype=self.dtype)
        add_noise(session, noise)
        backward = run["direction"] == "backward"
        order = range(run["first"], run["last"] + (-1 if backward else 1), -1 if backward else 1)
        results = []
        for frame in order:
            now = [entry for entry in run["prompts"] if entry["frame"] == frame]
            for entry in now:
                if not entry.get("after"):
                    self.add(session, run, entry)
            out = self.model(session, frame_idx=frame, reverse=backward)
            late = [entry for entry in now if entry.get("after")]
            for entry in late:
                self.add(session, run, entry)
            if late:
                out = self.model(session, frame_idx=frame, reverse=backward)
            logits = self.processor.post_process_masks(
                [out.pred_masks], [list(frames.shape[1:3])], binarize=False
            )[0]
            objects = []
            for index in np.argsort(out.object_ids):
                mask = (logits[index, 0] > 0).numpy()
                objects.append(
                    {
                        "id": out.object_ids[index],
                        "object_score_logit": float(out.object_score_logits.reshape(-1)[index]),
                        "box": box_of(mask),
                        "pixels": mask,
                    }
                )
            results.append({"frame": frame, "objects": objects})
        return results


class Text:
    def __init__(self, checkpoint: tracker_model.Checkpoint, dtype: torch.dtype) -> None:
        self.model = checkpoint.video(dtype)
        video_reference.keep_own_ids(self.model)
        self.processor = Sam3VideoProcessor.from_pretrained(checkpoint.path)
        self.dtype = dtype
        self.events: Frames = []
        plan = self.model.run_tracker_update_planning_phase

        def planning(inference_session, frame_idx, **options):
            result = plan(inference_session, frame_idx=frame_idx, **options)
            self.events.append(self.event(frame_idx, options["det_out"], result[0]))
            return result

        self.model.run_tracker_update_planning_phase = planning

    @staticmethod
    def event(frame: int, detections: dict, plan: dict) -> dict:
        return {
            "frame": frame,
            "detections": [round(float(score), 5) for score in detections["scores"]],
            "new": list(map(int, plan["new_det_obj_ids"])),
            "unmatched": sorted(map(int, plan["unmatched_trk_obj_ids"])),
            "removed": sorted(map(int, plan["obj_ids_newly_removed"])),
            "reconditioned": sorted(map(int, plan["reconditioned_obj_ids"])),
        }

    @torch.inference_mode()
    def run(self, run: dict, frames: np.ndarray, noise: float) -> Frames:
        self.events = []
        live, results = run["live"], []
        video = None if live else frames
        session = self.processor.init_video_session(video=video, dtype=self.dtype)
        self.processor.add_text_prompt(session, run["texts"])
        if live:
            for index, frame in enumerate(frames):
                inputs = self.processor(images=frame, return_tensors="pt")
                values = inputs.pixel_values[0] + noise * noise_like(inputs.pixel_values[0], index)
                out = self.model(session, frame=values)
                results.append(self.result(session, out, inputs.original_sizes))
        else:
            add_noise(session, noise)
            for out in self.model.propagate_in_video_iterator(session):
                results.append(self.result(session, out, None))
        return results

    def result(self, session, out, sizes) -> dict:
        found = self.processor.postprocess_outputs(session, out, original_sizes=sizes)
        texts = {i: text for text, ids in found["prompt_to_obj_ids"].items() for i in ids}
        objects = [
            {
                "id": obj_id,
                "prompt": texts[obj_id],
                "score": float(found["scores"][index]),
                "object_score": float(out.obj_id_to_tracker_score.get(obj_id, 0.0)),
                "box": [int(side) for side in found["boxes"][index].tolist()],
                "pixels": found["masks"][index].numpy(),
            }
            for index, obj_id in enumerate(found["object_ids"].tolist())
        ]
        return {"frame": out.frame_idx, "objects": objects}


def noise_like(values: torch.Tensor, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed).standard_normal(tuple(values.shape))
    return torch.from_numpy(random).to(values.dtype)


def add_noise(session, noise: float) -> None:
    for index, values in session.processed_frames.items():
        session.processed_frames[index] = values + noise * noise_like(values, index)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1)) if (a | b).any() else 1.0


def same_ids(a: Frames, b: Frames) -> bool:
    return [(f["frame"], [o["id"] for o in f["objects"]]) for f in a] == [
        (f["frame"], [o["id"] for o in f["objects"]]) for f in b
    ]


def margins(a: Frames, b: Frames) -> dict:
    """How far two runs with the same objects are apart."""
    pairs = [(x, y) for f, g in zip(a, b) for x, y in zip(f["objects"], g["objects"])]
    overlaps = np.array([iou(x["pixels"], y["pixels"]) for x, y in pairs] or [1.0])
    key = "object_score_logit" if "object_score_logit" in pairs[0][0] else "object_score"
    return {
        "lowest_iou": round(float(overlaps.min()), 5),
        "masks_below_0.99": int((overlaps < 0.99).sum()),
        "masks_that_differ": int((overlaps < 1).sum()),
        "largest_score_difference": float(f"{max(abs(x[key] - y[key]) for x, y in pairs):.3g}"),
    }


def decisions(found: Frames) -> dict:
    """How near the decisions of a visual run come to 0."""
    scores = [abs(o["object_score_logit"]) for f in found for o in f["objects"]]
    return {"nearest_object_score_logit": round(min(scores), 5)}


def stored(found: Frames) -> Frames:
    """Rounded, with run lengths in the place of pixels."""
    result = []
    for frame in found:
        objects = []
        for entry in frame["objects"]:
            kept = {k: round(v, 6) if isinstance(v, float) else v for k, v in entry.items()}
            pixels = kept.pop("pixels")
            objects.append(kept | {"area": int(pixels.sum()), "mask": run_lengths(pixels)})
        result.append({"frame": frame["frame"], "objects": objects})
    return result


def complete(run: dict, clip: dict) -> dict:
    """The run with its defaults and its masks."""
    done = {"direction": "forward", "first": 0, "last": clip["frames"] - 1, **run}
    if "texts" in run:
        return done | {"live": run.get("live", False)}
    prompts = []
    for entry in run["prompts"]:
        entry = dict(entry)
        if "mask_of" in entry:
            entry["pixels"] = clip_scenes.draw(clip, entry["frame"])[1][entry.pop("mask_of")]
            entry["mask"] = run_lengths(entry["pixels"])
        prompts.append(entry)
    return done | {"prompts": prompts}


def describe(name: str, found: Frames, truth: list) -> None:
    for frame in found:
        line = [
            f"{o['id']}:{o.get('object_score', o.get('object_score_logit', 0)):.2f}/"
            + str(int(o["pixels"].sum()))
            + "/"
            + "".join(
                f"{'abcdefg'[i]}{iou(o['pixels'], m):.1f}"
                for i, m in enumerate(truth[frame["frame"]])
                if iou(o["pixels"], m) > 0.2
            )
            for o in frame["objects"]
        ]
        print("  ", name, frame["frame"], " ".join(line))


def make(name: str, chosen: list[str], output: Path | None, verbose: bool, quick: bool) -> None:
    checkpoint = tracker_model.Checkpoint(name)
    spec_runs = checkpoint.spec["runs"] if not chosen else chosen
    lines = []
    model = functools.cache(lambda kind, dtype: kind(checkpoint, dtype))
    for run_name in spec_runs:
        clip = clip_scenes.load(RUNS[run_name]["clip"])
        run, frames = complete(RUNS[run_name], clip), clip_scenes.frames(clip)
        kind = Text if "texts" in run else Visual
        found = model(kind, torch.float32).run(run, frames, 0)
        document = {"name": run_name, "width": clip["width"], "height": clip["height"], **run}
        events = list(model(kind, torch.float32).events) if kind is Text else None
        if verbose:
            describe(run_name, found, [clip_scenes.draw(clip, t)[1] for t in range(clip["frames"])])
            for event in events or []:
                print("  ", event)
        if quick:
            continue
        others = {
            "double": model(kind, torch.float64).run(run, frames, 0),
            "noise": model(kind, torch.float32).run(run, frames, NOISE),
        }
        document["margins"] = {}
        for other, result in others.items():
            if not same_ids(found, result):
                print(f"{name}/{run_name}: other objects with {other}")
                document["margins"][other] = "other objects"
                continue
            document["margins"][other] = margins(found, result)
        if kind is Visual:
            document["margins"] |= decisions(found)
            apart = max(document["margins"][o]["largest_score_difference"] for o in others)
            nearest = document["margins"]["nearest_object_score_logit"]
            if nearest < 20 * apart:
                raise SystemExit(f"{name}/{run_name}: an object score of {nearest} is nearly 0")
            for entry in document["prompts"]:
                entry.pop("pixels", None)
        else:
            document["events"] = events
        print(name, run_name, document["margins"], flush=True)
        document["frames"] = stored(found)
        lines.append(document)
    if output is not None and lines:
        if any("other objects" in run["margins"].values() for run in lines):
            raise SystemExit(f"{name}: a run hangs on rounding")
        write(output / f"{name}.tracks.json", name, lines)


def write(path: Path, name: str, runs: list[dict]) -> None:
    made_by = {
        "reference": "Hugging Face transformers, Sam3TrackerVideoModel and Sam3VideoModel with "
        "their processors, NMS and hole filling as the CUDA kernels, masks under their own ids",
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
        "device": "cpu",
        "dtype": "float32",
        "attention": "eager",
        "checkpoint": f"tests/data/configs/{name}.json",
        "command": "python tools/reference/make_track_goldens.py",
        "margins": f"what changes in double precision and with noise of {NOISE} on the pixels",
    }
    write_document(path, made_by, runs)


def write_document(path: Path, made_by: dict, runs: list[dict]) -> None:
    """JSON with a line for each frame."""
    parts = []
    for run in runs:
        head = {key: value for key, value in run.items() if key not in ("frames", "events")}
        text = json.dumps(head)[:-1]
        for key in ("events", "frames"):
            if key in run:
                rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in run[key])
                text += f', "{key}": [\n{rows}]'
        parts.append(text + "}")
    text = '{"made_by": ' + json.dumps(made_by) + ',\n"runs": [\n' + ",\n".join(parts) + "]}\n"
    json.loads(text)
    path.write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="only this one, for example video_a")
    parser.add_argument("--run", action="append", default=[], help="only this one; stores nothing")
    parser.add_argument("--output", type=Path, default=tracker_model.ROOT / "tests/data/goldens/hf")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--quick", action="store_true", help="with --run: float32 alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    video_reference.use_kernels()
    for name in arguments.config or tracker_model.CONFIGS:
        output = None if arguments.run else arguments.output
        make(name, arguments.run, output, arguments.verbose, arguments.quick)


if __name__ == "__main__":
    main()

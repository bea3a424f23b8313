"""Makes tests/data/goldens/meta/NAME.tracks: clips with clicks, boxes, masks and a text.

    OMP_NUM_THREADS=1 python tools/reference/make_meta_track_goldens.py

The references are classes of Meta's package. Objects that are pointed at: `Sam3TrackerPredictor`, a
state for each object, as Meta's video predictor gives each clicked object one, and the prompts of a
frame applied when it is reached. Texts: `Sam3VideoInference`, add_prompt on the first frame, then
propagate_in_video. Frames are resized as the image processor does it, in float32; the package's
video loaders use other filters and 16 bits. A run is made a second time with noise of 1e-5 on the
pixels, and refused where its objects are not the same then.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import clip_scenes
import make_track_goldens as tracks
import meta_tracker
import numpy as np
import torch
import tracker_model

RUNS = {
    "video_a": [
        "harbour_objects",
        "harbour_corrected",
        "harbour_backwards",
        "meadow_reds",
        "meadow_blues",
        "harbour_blues",
    ],
    "video_b": ["harbour_objects", "harbour_corrected", "harbour_backwards"],
}
TEXT_RUNS = {
    "meadow_reds": {"clip": "meadow", "texts": ["red apple"]},
    "meadow_blues": {"clip": "meadow", "texts": ["blue bird"]},
    "harbour_reds": {"clip": "harbour", "texts": ["red apple"]},
    "harbour_blues": {"clip": "harbour", "texts": ["blue bird"]},
}


def pixels(frames: np.ndarray, side: int, noise: float) -> list[torch.Tensor]:
    found = []
    for index, frame in enumerate(frames):
        values = tracker_model.pixels(frame, side)
        found.append(values + noise * tracks.noise_like(values, index))
    return found


class Visual:
    def __init__(self, checkpoint: meta_tracker.Checkpoint) -> None:
        self.side = checkpoint.side
        self.tracker = checkpoint.tracker()
        self.backbone = checkpoint.image().backbone

    def features(self, image: torch.Tensor) -> tuple:
        self.tracker.backbone = self.backbone
        out = self.tracker.forward_image(image)
        self.tracker.backbone = None
        return image, out

    def add(self, state: dict, run: dict, entry: dict) -> None:
        size = torch.tensor([run["width"], run["height"]], dtype=torch.float32)
        if "mask" in entry:
            mask = torch.from_numpy(entry["pixels"].copy())
            self.tracker.add_new_mask(state, entry["frame"], entry["id"], mask)
        else:
            points = {"box": torch.tensor(entry["box"]).view(2, 2) / size} if "box" in entry else {}
            if "points" in entry:
                points["points"] = torch.tensor(entry["points"], dtype=torch.float32) / size
                points["labels"] = torch.tensor(entry["point_labels"], dtype=torch.int32)
            self.tracker.add_new_points_or_box(state, entry["frame"], entry["id"], **points)
        self.tracker.propagate_in_video_preflight(state, run_mem_encoder=True)

    @torch.inference_mode()
    def run(self, run: dict, frames: np.ndarray, noise: float) -> list[dict]:
        images = pixels(frames, self.side, noise)
        features = [self.features(image) for image in images]
        states: dict[int, dict] = {}
        results = []
        reverse = run["direction"] == "backward"
        order = range(run["first"], run["last"] + (-1 if reverse else 1), -1 if reverse else 1)
        for frame in order:
            cached = {frame: features[frame]}
            found: dict[int, dict] = {}
            for late in (False, True):
                entries = [
                    entry
                    for entry in run["prompts"]
                    if entry["frame"] == frame and entry.get("after", False) == late
                ]
                if late and not entries:
                    continue
                for entry in entries:
                    if entry["id"] not in states:
                        states[entry["id"]] = self.tracker.init_state(
                            video_height=run["height"],
                            video_width=run["width"],
                            num_frames=len(frames),
                            offload_state_to_cpu=True,
                        )
                    states[entry["id"]]["cached_features"] = cached
                    self.add(states[entry["id"]], run, entry)
                asked = {entry["id"] for entry in entries} if late else set(states)
                for obj_id in sorted(asked):
                    states[obj_id]["cached_features"] = cached
                    found[obj_id] = self.follow(states[obj_id], obj_id, frame, reverse)
            results.append({"frame": frame, "objects": [found[i] for i in sorted(found)]})
        return results

    def follow(self, state: dict, obj_id: int, frame: int, reverse: bool) -> dict:
        (out,) = self.tracker.propagate_in_video(
            state, frame, max_frame_num_to_track=0, reverse=reverse, tqdm_disable=True
        )
        _, _, _, masks, scores = out
        mask = masks[0, 0].numpy() > 0
        return {
            "id": obj_id,
            "object_score_logit": float(scores[0, 0]),
            "box": tracks.box_of(mask),
            "pixels": mask,
        }


class Text:
    """One text a session: that is what the class takes."""

    def __init__(self, checkpoint: meta_tracker.Checkpoint) -> None:
        self.side = checkpoint.side
        self.model = checkpoint.video()
        self.events: list[dict] = []
        plan = self.model.run_tracker_update_planning_phase

        def planning(**options):
            result = plan(**options)
            event = tracks.Text.event(options["frame_idx"], options["det_out"], result[0])
            high = result[0]["trk_id_to_max_iou_high_conf_det"]
            self.events.append(event | {"confirmed": sorted(map(int, high))})
            return result

        self.model.run_tracker_update_planning_phase = planning

    @torch.inference_mode()
    def run(self, run: dict, frames: np.ndarray, noise: float) -> list[dict]:
        from sam3.model import sam3_video_inference

        images = torch.cat(pixels(frames, self.side, noise))
        sam3_video_inference.load_resource_as_video_frames = lambda **_: (
            images,
            run["height"],
            run["width"],
        )
        (text,) = run["texts"]
        state = self.model.init_state(resource_path="clip")
        self.model.add_prompt(state, run["first"], text_str=text)
        self.events = []
        found = []
        for frame, out in self.model.propagate_in_video(state, start_frame_idx=run["first"]):
            scores = state["tracker_metadata"]["obj_id_to_tracker_score_frame_wise"][frame]
            objects = []
            for index, obj_id in enumerate(out["out_obj_ids"].tolist()):
                x, y, w, h = out["out_boxes_xywh"][index] * ([run["width"], run["height"]] * 2)
                objects.append(
                    {
                        "id": obj_id,
                        "prompt": text,
                        "score": float(out["out_probs"][index]),
                        "object_score": float(scores.get(obj_id, 0.0)),
                        "box": [round(float(v)) for v in (x, y, x + w, y + h)],
                        "pixels": out["out_binary_masks"][index],
                    }
                )
            found.append({"frame": frame, "objects": objects})
        return found


def make(name: str, chosen: list[str], output: Path | None, verbose: bool) -> None:
    checkpoint = meta_tracker.Checkpoint(name)
    documents = []
    for run_name in chosen or RUNS[name]:
        spec = TEXT_RUNS.get(run_name) or tracks.RUNS[run_name]
        clip = clip_scenes.load(spec["clip"])
        run = tracks.complete(spec, clip) | {"width": clip["width"], "height": clip["height"]}
        frames = clip_scenes.frames(clip)
        kind = Text if "texts" in run else Visual
        reference = kind(checkpoint)
        found = reference.run(run, frames, 0)
        document = {"name": run_name, **run}
        if verbose:
            truth = [clip_scenes.draw(clip, t)[1] for t in range(clip["frames"])]
            tracks.describe(run_name, found, truth)
        if kind is Text:
            document["events"] = list(reference.events)
            if verbose:
                for event in document["events"]:
                    print("  ", event)
        other = reference.run(run, frames, tracks.NOISE)
        if not tracks.same_ids(found, other):
            raise SystemExit(f"{name}/{run_name}: other objects with noise")
        document["margins"] = {"noise": tracks.margins(found, other)}
        if kind is Visual:
            document["margins"] |= tracks.decisions(found)
        print(name, run_name, document["margins"])
        document["frames"] = tracks.stored(found)
        if "prompts" in document:
            document["prompts"] = [
                {k: v for k, v in entry.items() if k != "pixels"} for entry in run["prompts"]
            ]
        documents.append(document)
    if output is None:
        return
    made_by = {
        "reference": "Meta's sam3 package: Sam3TrackerPredictor, Sam3VideoInference",
        "versions": {"sam3": version("sam3"), "torch": torch.__version__},
        "device": "cpu",
        "dtype": "float32",
        "checkpoint": f"tests/data/configs/{name}.json",
        "command": "python tools/reference/make_meta_track_goldens.py",
        "margins": f"what changes with noise of {tracks.NOISE} on the pixels",
    }
    tracks.write_document(output / f"{name}.tracks.json", made_by, documents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="only this one, for example video_a")
    parser.add_argument("--run", action="append", default=[], help="only this one; stores nothing")
    default = tracker_model.ROOT / "tests/data/goldens/meta"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with meta_tracker.OnCpu():
        for name in arguments.config or RUNS:
            output = None if arguments.run else arguments.output
            make(name, arguments.run, output, arguments.verbose)


if __name__ == "__main__":
    main()

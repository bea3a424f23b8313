"""Makes tests/data/goldens/hf/NAME.objects: single images with every kind of prompt.

    OMP_NUM_THREADS=1 python tools/reference/make_object_goldens.py

The reference is Sam3TrackerModel with its processor, no_memory_embedding added to level 2. A case
in which rounding could choose another mask is refused.
"""

import argparse
from pathlib import Path

import clip_scenes
import golden_store
import numpy as np
import torch
import tracker_model
import transformers
from PIL import Image
from pycocotools import mask as coco_mask
from transformers import Sam3TrackerProcessor

# Coordinates are shares of the image; a case's scene is a clip and a frame of it.
CASES = [
    {"name": "one_click", "multimask": True, "points": [[[0.48, 0.36]]], "labels": [[1]]},
    {"name": "one_click_one_mask", "multimask": False, "points": [[[0.48, 0.36]]], "labels": [[1]]},
    {
        "name": "clicks_with_negatives",
        "multimask": False,
        "points": [[[0.55, 0.48], [0.42, 0.36], [0.6, 0.52]]],
        "labels": [[1, 0, 1]],
    },
    {
        "name": "clicks_with_negatives_three_masks",
        "multimask": True,
        "points": [[[0.55, 0.48], [0.42, 0.36], [0.6, 0.52]]],
        "labels": [[1, 0, 1]],
    },
    {"name": "box", "multimask": False, "boxes": [[0.27, 0.19, 0.59, 0.53]]},
    {
        "name": "box_and_points",
        "multimask": False,
        "boxes": [[0.4, 0.3, 0.7, 0.68]],
        "points": [[[0.57, 0.5], [0.36, 0.3]]],
        "labels": [[1, 0]],
    },
    {
        "name": "two_boxes",
        "multimask": True,
        "boxes": [[0.27, 0.19, 0.59, 0.53], [0.4, 0.62, 0.74, 0.98]],
    },
    {
        "name": "three_objects",
        "multimask": False,
        "points": [
            [[0.4, 0.36], [0.35, 0.42], [0.58, 0.5]],
            [[0.57, 0.87]],
            [[0.58, 0.5], [0.4, 0.35]],
        ],
        "labels": [[1, 1, 0], [1], [1, 0]],
    },
    {"name": "background", "multimask": True, "points": [[[0.93, 0.1]]], "labels": [[1]]},
    {"name": "mask", "multimask": False, "mask_of": 2},
    {
        "name": "mask_and_click",
        "multimask": True,
        "mask_of": 0,
        "points": [[[0.42, 0.36]]],
        "labels": [[1]],
    },
    {
        "name": "refined",
        "multimask": False,
        "previous": "one_click",
        "points": [[[0.48, 0.36], [0.63, 0.6]]],
        "labels": [[1, 0]],
    },
]
SCENE = ("harbour", 11)
NEAR = 1e-3


def run_lengths(mask: np.ndarray) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "size": [int(side) for side in encoded["size"]],
        "counts": encoded["counts"].decode("ascii"),
    }


class Objects:
    def __init__(self, name: str) -> None:
        checkpoint = tracker_model.Checkpoint(name)
        self.name = name
        self.model = checkpoint.image()
        self.processor = Sam3TrackerProcessor.from_pretrained(checkpoint.path)
        self.decoder = self.model.mask_decoder
        self.all_masks: tuple | None = None
        original = self.decoder._dynamic_multimask_via_stability

        def keep(masks, scores):
            self.all_masks = (masks, scores)
            return original(masks, scores)

        self.decoder._dynamic_multimask_via_stability = keep
        self.image, self.things = clip_scenes.draw(clip_scenes.load(SCENE[0]), SCENE[1])
        self.size = (self.image.shape[1], self.image.shape[0])
        self.results: dict[str, torch.Tensor] = {}

    def scaled(self, value: list | float, axis: int = 0) -> list | float:
        """Shares of the image as pixels, x and y in turn, rounded to quarters."""
        if isinstance(value, list):
            return [self.scaled(v, i % 2) for i, v in enumerate(value)]
        return round(value * self.size[axis] * 4) / 4

    @torch.inference_mode()
    def run(self, case: dict) -> dict:
        document = {
            "name": case["name"],
            "image": {
                "clip": SCENE[0],
                "frame": SCENE[1],
                "width": self.size[0],
                "height": self.size[1],
            },
            "multimask": case["multimask"],
        }
        prompts, options = self.prompts(case, document)
        inputs = self.processor(images=Image.fromarray(self.image), return_tensors="pt", **prompts)
        sizes = inputs.pop("original_sizes")
        self.all_masks = None
        out = self.model(**inputs, **options, multimask_output=case["multimask"])
        logits = self.at_image_size(out.pred_masks[0], sizes)
        kept = self.processor.post_process_masks(out.pred_masks, sizes)[0].numpy()
        if not np.array_equal(kept, logits > 0):
            raise SystemExit(f"{case['name']}: post_process_masks is not a resize above 0")
        expected = []
        for index in range(len(kept)):
            scores = out.iou_scores[0, index].numpy()
            entry = {
                "object_score_logit": round(float(out.object_score_logits[0, index, 0]), 6),
                "best": int(scores.argmax()),
                "masks": [
                    {
                        "score": round(float(score), 7),
                        "area": int(mask.sum()),
                        "mask": run_lengths(mask),
                        "near_zero": int((np.abs(values) < NEAR).sum()),
                    }
                    for score, mask, values in zip(scores, kept[index], logits[index])
                ],
            }
            entry |= self.margins(case, index, scores)
            expected.append(entry)
        best = expected[0]["best"]
        self.results[case["name"]] = out.pred_masks[:, 0, best : best + 1]
        document["expected"] = expected
        return document

    def prompts(self, case: dict, document: dict) -> tuple[dict, dict]:
        prompts: dict = {}
        options: dict = {}
        count = len(case.get("points", case.get("boxes", [None])))
        objects = [{"id": i + 1} for i in range(count)]
        if "points" in case:
            points = self.scaled([p for p in case["points"]])
            points = [[self.scaled(p) for p in o] for o in case["points"]]
            prompts |= {"input_points": [points], "input_labels": [case["labels"]]}
            for entry, given, labels in zip(objects, points, case["labels"]):
                entry |= {"points": given, "point_labels": labels}
        if "boxes" in case:
            boxes = [self.scaled(box) for box in case["boxes"]]
            prompts["input_boxes"] = [boxes]
            for entry, box in zip(objects, boxes):
                entry["box"] = box
        if "mask_of" in case:
            mask = self.things[case["mask_of"]]
            objects[0]["mask"] = run_lengths(mask)
            options["input_masks"] = torch.from_numpy(mask[None, None].astype(np.float32))
        if "previous" in case:
            document["previous"] = case["previous"]
            options["input_masks"] = self.results[case["previous"]]
        document["objects"] = objects
        return prompts, options

    def at_image_size(self, masks: torch.Tensor, sizes: torch.Tensor) -> np.ndarray:
        size = tuple(int(side) for side in sizes[0])
        return torch.nn.functional.interpolate(masks, size, mode="bilinear").numpy()

    def margins(self, case: dict, index: int, scores: np.ndarray) -> dict:
        """Refuses what hangs on rounding; returns what decided about a single mask."""
        where = f"{self.name}/{case['name']}/{index}"
        if case["multimask"]:
            first, second = np.sort(scores)[::-1][:2]
            if first - second < 1e-3:
                raise SystemExit(f"{where}: two masks have nearly the same score {scores}")
            return {"score_margin": round(float(first - second), 6)}
        masks, every = self.all_masks
        single = masks[0, index, 0]
        delta = self.decoder.dynamic_multimask_stability_delta
        limit = self.decoder.dynamic_multimask_stability_thresh

        def ratio(inner: float, outer: float) -> float:
            return float((single > inner).sum() / (single > outer).sum().clamp(min=1))

        stability = ratio(delta, -delta)
        low, high = ratio(delta + NEAR, -delta - NEAR), ratio(delta - NEAR, -delta + NEAR)
        if (low >= limit) != (high >= limit):
            raise SystemExit(f"{where}: stability {low} to {high} with {NEAR} on the logits")
        ranked = np.sort(every[0, index, 1:].numpy())[::-1]
        if stability < limit and ranked[0] - ranked[1] < 1e-3:
            raise SystemExit(f"{where}: two masks have nearly the same score {ranked}")
        return {
            "stability": round(stability, 6),
            "score_margin": round(float(ranked[0] - ranked[1]), 6),
        }

    def low_res_logits(self, case: str) -> np.ndarray:
        """Of the case's first object, for refinement."""
        return self.results[case][0, 0].numpy()


def write_goldens(golden: golden_store.GoldenFile, objects, output: Path) -> None:
    """Runs all cases with `objects` and writes what they gave to NAME.objects."""
    documents = []
    for case in CASES:
        document = objects.run(case)
        documents.append(document)
        print(
            objects.name,
            case["name"],
            [
                (
                    e["object_score_logit"],
                    e.get("stability"),
                    [(m["score"], m["area"], m["near_zero"]) for m in e["masks"]],
                )
                for e in document["expected"]
            ],
        )
        if case["name"] in ("one_click", "refined"):
            key = f"{case['name']}/low_res_logits"
            golden.add(key, objects.low_res_logits(case["name"]), whole=True)
            document["low_res_logits"] = key
    golden.write(output, f"{objects.name}.objects", documents)


def make(name: str, output: Path) -> None:
    golden = golden_store.GoldenFile(
        {
            "reference": "Hugging Face transformers, Sam3TrackerModel and Sam3TrackerProcessor, "
            "no_memory_embedding added to level 2",
            "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
            "device": "cpu",
            "dtype": "float32",
            "attention": "eager",
            "checkpoint": f"tests/data/configs/{name}.json",
            "command": "python tools/reference/make_object_goldens.py",
            "near_zero": f"pixels of a mask whose logit lies within {NEAR} of 0",
        }
    )
    write_goldens(golden, Objects(name), output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="only this one, for example video_a")
    parser.add_argument("--output", type=Path, default=tracker_model.ROOT / "tests/data/goldens/hf")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.config or tracker_model.CONFIGS:
        make(name, arguments.output)


if __name__ == "__main__":
    main()

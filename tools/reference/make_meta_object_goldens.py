"""Makes tests/data/goldens/meta/NAME.objects: single images with every kind of prompt.

    OMP_NUM_THREADS=1 python tools/reference/make_meta_object_goldens.py

The reference is Meta's `Sam3Image.predict_inst` (SAM3InteractiveImagePredictor) on what its
`Sam3Processor` makes of the image. The cases are those of make_object_goldens.py; objects that do
not have equally many clicks are asked for one by one. A mask is fed as logits of -10 and 10,
resized with antialias to 4 times the grid: the predictor itself takes only logits.
A mask alone comes with the point that Meta's tracker puts beside masks, (0, 0) of label -1;
without, the predictor gives it no token at all.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import clip_scenes
import golden_store
import make_object_goldens
import meta_tracker
import numpy as np
import torch
import tracker_model
from make_object_goldens import NEAR, SCENE, run_lengths, write_goldens
from PIL import Image

CONFIGS = ("video_a", "video_b")


class Objects(make_object_goldens.Objects):
    def __init__(self, name: str) -> None:
        from sam3.model.sam3_image_processor import Sam3Processor

        checkpoint = meta_tracker.Checkpoint(name)
        self.name = name
        self.model = checkpoint.interactive()
        self.side = 4 * checkpoint.grid
        self.decoder = self.model.inst_interactive_predictor.model.sam_mask_decoder
        self.image, self.things = clip_scenes.draw(clip_scenes.load(SCENE[0]), SCENE[1])
        self.size = (self.image.shape[1], self.image.shape[0])
        self.results: dict[str, np.ndarray] = {}
        self.all_masks: tuple | None = None
        self.object_scores: torch.Tensor | None = None
        processor = Sam3Processor(self.model, resolution=checkpoint.side, device="cpu")
        self.state = processor.set_image(Image.fromarray(self.image))
        stability = self.decoder._dynamic_multimask_via_stability

        def keep(masks, scores):
            self.all_masks = (masks[None], scores[None])
            return stability(masks, scores)

        self.decoder._dynamic_multimask_via_stability = keep
        self.decoder.register_forward_hook(self._keep_object_scores)

    def _keep_object_scores(self, _module, _inputs, output) -> None:
        self.object_scores = output[3]

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
        self.prompts(case, document)
        document["expected"] = [self.expect(case, entry) for entry in document["objects"]]
        return document

    def mask_input(self, case: dict) -> np.ndarray | None:
        if "previous" in case:
            return self.results[case["previous"]]
        if "mask_of" not in case:
            return None
        mask = torch.from_numpy(self.things[case["mask_of"]][None, None].astype(np.float32))
        resized = torch.nn.functional.interpolate(
            mask * 20 - 10, (self.side, self.side), mode="bilinear", antialias=True
        )
        return resized[0].numpy()

    def expect(self, case: dict, entry: dict) -> dict:
        prompts = {
            "point_coords": np.array(entry["points"]) if "points" in entry else None,
            "point_labels": np.array(entry["point_labels"]) if "points" in entry else None,
            "box": np.array(entry["box"]) if "box" in entry else None,
            "mask_input": self.mask_input(case),
            "multimask_output": case["multimask"],
        }
        if all(prompts[kind] is None for kind in ("point_coords", "box")):
            prompts |= {"point_coords": np.zeros((1, 2)), "point_labels": np.array([-1])}
        self.all_masks = None
        logits, scores, low = self.model.predict_inst(self.state, **prompts, return_logits=True)
        kept, _, _ = self.model.predict_inst(self.state, **prompts)
        if not np.array_equal(kept, logits > 0):
            raise SystemExit(f"{case['name']}: a mask is not where its logits are above 0")
        best = int(scores.argmax())
        self.results.setdefault(case["name"], low[best : best + 1])
        if np.abs(low).max() >= 32:
            raise SystemExit(f"{case['name']}: logits are cut at 32")
        return {
            "object_score_logit": round(float(self.object_scores[0, 0]), 6),
            "best": best,
            "masks": [
                {
                    "score": round(float(score), 7),
                    "area": int(mask.sum()),
                    "mask": run_lengths(mask),
                    "near_zero": int((np.abs(values) < NEAR).sum()),
                }
                for score, mask, values in zip(scores, kept, logits)
            ],
        } | self.margins(case, 0, scores)

    def low_res_logits(self, case: str) -> np.ndarray:
        return self.results[case][0]


def make(name: str, output: Path) -> None:
    golden = golden_store.GoldenFile(
        {
            "reference": "Meta's sam3 package, Sam3Image.predict_inst on Sam3Processor's image",
            "versions": {"sam3": version("sam3"), "torch": torch.__version__},
            "device": "cpu",
            "dtype": "float32",
            "checkpoint": f"tests/data/configs/{name}.json",
            "command": "python tools/reference/make_meta_object_goldens.py",
            "near_zero": f"pixels of a mask whose logit lies within {NEAR} of 0",
        }
    )
    write_goldens(golden, Objects(name), output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="only this one, for example video_a")
    default = tracker_model.ROOT / "tests/data/goldens/meta"
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with meta_tracker.OnCpu():
        for name in arguments.config or CONFIGS:
            make(name, arguments.output)


if __name__ == "__main__":
    main()

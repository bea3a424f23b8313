"""Makes the goldens of Hugging Face's SAM 3 on the tiny checkpoints (torch and transformers, CPU).

    python tools/reference/make_goldens.py
    python tools/reference/make_goldens.py --config tiny_a --report

Cases come from tests/data/goldens/cases.json, photographs from test_images/. `--report` prints how
the outputs are spread and stores nothing.
"""

import argparse
import json
import tempfile
from pathlib import Path

import golden_store
import make_checkpoint
import numpy as np
import sam3_tensors
import torch
import transformers
from PIL import Image
from transformers import Sam3Model, Sam3Processor

ROOT = Path(__file__).resolve().parents[2]
THRESHOLD = 0.5
MASK_THRESHOLD = 0.5


class Reference:
    """One checkpoint in Hugging Face's code, with the outputs of every stage captured."""

    def __init__(self, spec: dict, folder: Path) -> None:
        # Plain matrix products instead of fused attention: the reference is the formula.
        self.model = Sam3Model.from_pretrained(
            str(folder), dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.processor = Sam3Processor.from_pretrained(str(folder))
        self.context = spec["config"]["text_config"]["max_position_embeddings"]
        self.stages: dict[str, object] = {}
        for name in ("vision_encoder", "geometry_encoder", "detr_encoder", "detr_decoder"):
            module = getattr(self.model, name)
            module.register_forward_hook(
                lambda _module, _inputs, output, name=name: self.stages.update({name: output})
            )
        found = {name: tuple(t.shape) for name, t in self.model.state_dict().items()}
        if found != sam3_tensors.image_model_shapes(spec["config"]):
            raise SystemExit("sam3_tensors.py and Sam3Model disagree about the tensors")

    def tokens(self, text: str) -> dict[str, torch.Tensor]:
        return self.processor.tokenizer(
            text,
            return_tensors="pt",
            padding="max_length",
            max_length=self.context,
            truncation=True,
        )

    @torch.inference_mode()
    def run(self, image: Image.Image, prompt: dict) -> tuple[dict[str, np.ndarray], dict]:
        """Stage tensors without their batch axis, and the result for the prompt."""
        boxes = {}
        if "boxes" in prompt:
            boxes = {
                "input_boxes": [prompt["boxes"]],
                "input_boxes_labels": [prompt["box_labels"]],
            }
        text = prompt["text"]
        # The processor would pad to 32 tokens; other contexts are tokenised by hand.
        tokens = self.tokens("visual" if text is None else text)
        inputs = self.processor(images=image, text=None, return_tensors="pt", **boxes)
        inputs.update(tokens)
        self.stages.clear()
        outputs = self.model(**inputs)
        text_features = self.model.get_text_features(**tokens).pooler_output
        result = self.processor.image_processor.post_process_instance_segmentation(
            outputs,
            threshold=THRESHOLD,
            mask_threshold=MASK_THRESHOLD,
            target_sizes=[(image.height, image.width)],
        )[0]
        valid = tokens["attention_mask"][0].bool()
        tensors = {
            "pixel_values": inputs["pixel_values"][0],
            "input_ids": tokens["input_ids"][0],
            "text_features": text_features[0][valid],
            "pred_boxes": outputs.pred_boxes[0],
            "pred_logits": outputs.pred_logits[0],
            "presence_logits": outputs.presence_logits[0],
            "query_features": self.stages["detr_decoder"].intermediate_hidden_states[-1, 0],
            "encoder_hidden_states": self.stages["detr_encoder"].last_hidden_state[0],
            "pred_masks": outputs.pred_masks[0],
            "semantic_seg": outputs.semantic_seg[0],
        }
        for level in range(3):
            tensors[f"fpn_feat_{level}"] = self.stages["vision_encoder"].fpn_hidden_states[level][0]
        if boxes:
            tensors["geometry_features"] = self.stages["geometry_encoder"].last_hidden_state[0]
        return {name: value.numpy() for name, value in tensors.items()}, {
            name: result[name].numpy() for name in ("scores", "boxes", "masks")
        }

    def pixel_u8(self, pixel_values: np.ndarray) -> np.ndarray:
        """The resized image before normalisation, [height, width, 3], exactly."""
        processor = self.processor.image_processor
        mean = np.array(processor.image_mean).reshape(3, 1, 1)
        std = np.array(processor.image_std).reshape(3, 1, 1)
        levels = (pixel_values * std + mean) * 255
        rounded = np.rint(levels)
        if np.abs(levels - rounded).max() > 1e-3:
            raise SystemExit("pixel_values do not come from whole grey levels")
        return rounded.astype(np.uint8).transpose(1, 2, 0)


IMAGE_TENSORS = ("pixel_values", "fpn_feat_0", "fpn_feat_1", "fpn_feat_2")


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def report(where: str, tensors: dict[str, np.ndarray], result: dict) -> None:
    logits, boxes, masks = tensors["pred_logits"], tensors["pred_boxes"], tensors["pred_masks"]
    scores = np.sort(sigmoid(logits) * sigmoid(tensors["presence_logits"]))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    positive = (masks > 0).mean(axis=(1, 2))
    flips = ((masks[:, :, 1:] > 0) != (masks[:, :, :-1] > 0)).mean()
    print(
        f"{where}: presence {tensors['presence_logits'][0]:.2f}, logits {logits.mean():.2f} "
        f"+- {logits.std():.2f}, kept {len(result['scores'])}/{len(logits)}, nearest "
        f"{np.abs(scores - THRESHOLD).min():.4f}, centres std {centres.std(axis=0).round(2)}, "
        f"sides {(boxes[:, 2:] - boxes[:, :2]).mean(axis=0).round(2)}, mask logits std "
        f"{masks.std():.2f}, positive {positive.min():.2f}..{positive.max():.2f}, flips {flips:.3f}"
    )


def golden_cases(reference: Reference, cases: list[dict], store) -> list[dict]:
    """Runs all cases; `store(image, case, prompt_index, tensors, result)` gets what they give."""
    documents = []
    for case in cases:
        image = Image.open(ROOT / "test_images" / case["image"]).convert("RGB")
        prompts = []
        for index, prompt in enumerate(case["prompts"]):
            tensors, result = reference.run(image, prompt)
            store(case, index, tensors, result)
            prompts.append(
                {
                    "text": prompt["text"],
                    "boxes": prompt.get("boxes", []),
                    "box_labels": prompt.get("box_labels", []),
                    "presence": round(float(sigmoid(tensors["presence_logits"])[0]), 7),
                    "instances": golden_store.instances(**result),
                }
            )
        documents.append(
            {
                "name": case["name"],
                "threshold": THRESHOLD,
                "mask_threshold": MASK_THRESHOLD,
                "image": {
                    "path": case["image"],
                    "width": image.width,
                    "height": image.height,
                    "prompts": prompts,
                },
            }
        )
    return documents


def make(name: str, output: Path | None) -> None:
    spec = json.loads((ROOT / f"tests/data/configs/{name}.json").read_text(encoding="utf-8"))
    all_cases = json.loads((ROOT / "tests/data/goldens/cases.json").read_text(encoding="utf-8"))
    golden = golden_store.GoldenFile(
        {
            "reference": "Hugging Face transformers, Sam3Model and Sam3Processor",
            "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
            "device": "cpu",
            "dtype": "float32",
            "attention": "eager",
            "checkpoint": f"tests/data/configs/{name}.json",
            "command": "python tools/reference/make_goldens.py",
        }
    )

    def store(case: dict, index: int, tensors: dict, result: dict) -> None:
        if output is None:
            report(f"{name}/{case['name']}/{index}", tensors, result)
            return
        where = f"{case['name']}/{index}"
        scores = sigmoid(tensors["pred_logits"]) * sigmoid(tensors["presence_logits"])
        golden_store.check_margin(f"{name}/{where}", scores, THRESHOLD)
        for tensor, values in tensors.items():
            if tensor not in IMAGE_TENSORS:
                golden.add(f"{where}/{tensor}", values)
            elif f"{case['image']}/{tensor}" not in golden.tensors:
                golden.add(f"{case['image']}/{tensor}", values)
        if f"{case['image']}/pixel_u8" not in golden.tensors:
            golden.add(f"{case['image']}/pixel_u8", reference.pixel_u8(tensors["pixel_values"]))

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_checkpoint.write_hugging_face(spec, folder)
        reference = Reference(spec, folder)
        documents = golden_cases(reference, all_cases[name], store)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        golden.write(output, name, documents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="only this one, for example tiny_a")
    parser.add_argument("--output", type=Path, default=ROOT / "tests/data/goldens/hf")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--whole", action="store_true", help="store every tensor unsampled")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if arguments.whole:
        golden_store.MAX_VALUES = 1 << 40
    for name in arguments.config or ["tiny_a", "tiny_b", "tiny_c"]:
        make(name, None if arguments.report else arguments.output)


if __name__ == "__main__":
    main()

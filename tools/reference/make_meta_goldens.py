"""Makes the goldens of Meta's own SAM 3 code (PyPI `sam3` 0.1.4) on the tiny checkpoints.

    python tools/reference/make_meta_goldens.py

The weights are those of make_checkpoint.py, converted to Meta's naming by checkpoint_files.py and
loaded strictly. Cases come from tests/data/goldens/cases.json; tiny_c uses activations and a region
size that Meta's model does not have.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import checkpoint_files
import golden_store
import make_checkpoint
import make_goldens
import meta_model
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

ROOT = make_goldens.ROOT


def normalised(box: list[float], image: Image.Image) -> list[float]:
    """Corners in pixels to centre and size in 0..1."""
    x0, y0, x1, y1 = box
    return [
        (x0 + x1) / 2 / image.width,
        (y0 + y1) / 2 / image.height,
        (x1 - x0) / image.width,
        (y1 - y0) / image.height,
    ]


class MetaReference:
    """One checkpoint in Meta's code, driven by Meta's own `Sam3Processor`."""

    def __init__(self, spec: dict, weights: dict[str, np.ndarray]) -> None:
        from sam3.model.sam3_image_processor import Sam3Processor

        self.model = meta_model.build(spec["config"], spec["tokenizer_merges"])
        converted = {
            name.removeprefix("detector."): torch.from_numpy(np.array(values))
            for name, values in checkpoint_files.hf_to_meta(weights, spec["config"]).items()
        }
        own = self.model.state_dict()
        for name in [name for name in converted if name.endswith(".freqs_cis")]:
            if not torch.allclose(converted[name], own[name], rtol=0, atol=1e-5):
                raise SystemExit(
                    f"{name}: Meta's code computes another table than the checkpoint's"
                )
        self.model.load_state_dict(converted, strict=True)
        side = spec["config"]["vision_config"]["backbone_config"]["image_size"]
        self.processor = Sam3Processor(self.model, resolution=side, device="cpu")
        self.outputs: dict = {}
        self.geometry = None
        forward = self.model.forward_grounding

        def keep_outputs(**arguments):
            self.outputs = forward(**arguments)
            return self.outputs

        self.model.forward_grounding = keep_outputs
        self.model.geometry_encoder.register_forward_hook(self._keep_geometry)

    def _keep_geometry(self, _module, _inputs, output) -> None:
        self.geometry = output[0]

    @torch.inference_mode()
    def run(self, image: Image.Image, prompt: dict) -> tuple[dict[str, np.ndarray], dict]:
        """Stage tensors without their batch axis, and the result for the prompt."""
        state = self.processor.set_image(image)
        if prompt["text"] is not None:
            self.processor.set_text_prompt(prompt["text"], state)
        for box, label in zip(prompt.get("boxes", []), prompt.get("box_labels", [])):
            self.processor.add_geometric_prompt(normalised(box, image), label == 1, state)
        backbone, outputs = state["backbone_out"], self.outputs
        ids = self.model.backbone.language_backbone.tokenizer(
            ["visual" if prompt["text"] is None else prompt["text"]],
            context_length=self.model.backbone.language_backbone.context_length,
        )[0]
        valid = ~backbone["language_mask"][0]
        tensors = {
            "pixel_values": self.processor.transform(v2.functional.to_image(image)),
            "input_ids": ids,
            "text_features": backbone["language_features"][:, 0][valid],
            "geometry_features": self.geometry[:, 0],
            "pred_boxes": outputs["pred_boxes_xyxy"][0],
            "pred_logits": outputs["pred_logits"][0, :, 0],
            "presence_logits": outputs["presence_logit_dec"][0],
            "query_features": outputs["queries"][0],
            "encoder_hidden_states": outputs["encoder_hidden_states"][:, 0],
            "pred_masks": outputs["pred_masks"][0],
            "semantic_seg": outputs["semantic_seg"][0],
        }
        for level in range(3):
            tensors[f"fpn_feat_{level}"] = backbone["backbone_fpn"][level][0]
        result = {
            "scores": state["scores"].numpy(),
            "boxes": state["boxes"].numpy(),
            "masks": state["masks"][:, 0].numpy(),
        }
        return {name: value.numpy() for name, value in tensors.items()}, result


def make(name: str, output: Path | None) -> None:
    spec = json.loads((ROOT / f"tests/data/configs/{name}.json").read_text(encoding="utf-8"))
    all_cases = json.loads((ROOT / "tests/data/goldens/cases.json").read_text(encoding="utf-8"))
    golden = golden_store.GoldenFile(
        {
            "reference": "Meta's sam3 package, Sam3Image and Sam3Processor",
            "versions": {"sam3": version("sam3"), "torch": torch.__version__},
            "device": "cpu",
            "dtype": "float32",
            "checkpoint": f"tests/data/configs/{name}.json",
            "command": "python tools/reference/make_meta_goldens.py",
        }
    )

    def store(case: dict, index: int, tensors: dict, result: dict) -> None:
        where = f"{case['name']}/{index}"
        if output is None:
            make_goldens.report(f"{name}/{where}", tensors, result)
            return
        scores = make_goldens.sigmoid(tensors["pred_logits"])
        scores = scores * make_goldens.sigmoid(tensors["presence_logits"])
        golden_store.check_margin(f"{name}/{where}", scores, make_goldens.THRESHOLD)
        for tensor, values in tensors.items():
            if tensor not in make_goldens.IMAGE_TENSORS:
                golden.add(f"{where}/{tensor}", values)
            elif f"{case['image']}/{tensor}" not in golden.tensors:
                golden.add(f"{case['image']}/{tensor}", values)

    reference = MetaReference(spec, make_checkpoint.make_weights(spec))
    documents = make_goldens.golden_cases(reference, all_cases[name], store)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        golden.write(output, name, documents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="only this one, for example tiny_a")
    parser.add_argument("--output", type=Path, default=ROOT / "tests/data/goldens/meta")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--whole", action="store_true", help="store every tensor unsampled")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.whole:
        golden_store.MAX_VALUES = 1 << 40
    with meta_model.OnCpu():
        for name in arguments.config or ["tiny_a", "tiny_b"]:
            make(name, None if arguments.report else arguments.output)


if __name__ == "__main__":
    main()

"""How far half precision takes transformers' Sam3Model from its own float32, on a GPU.

    python bench/rounding_sensitivity.py CHECKPOINT [--device cuda] [--prompts 3]

A checkpoint that PyTorch itself cannot run in half precision without large differences cannot be
judged by them. Stage by stage, each with the float32 inputs of its stage; the measure is that of
docs/verification.md. Prints one JSON object per precision.
"""

import argparse
import copy
import json

import torch
from transformers import Sam3Model


def deviation(reference: torch.Tensor, actual: torch.Tensor) -> float:
    """Largest over the batch of |a - r|^2 / (2 mean |r|^2)."""
    reference, actual = reference.double().flatten(1), actual.double().flatten(1)
    scale = reference.square().sum(1).mean().clamp_min(1e-30)
    return float(((actual - reference).square().sum(1) / (2 * scale)).max())


class Detector:
    """The model behind the vision encoder, with what lies between its stages."""

    def __init__(self, model: Sam3Model) -> None:
        self.model = model
        self.seen: dict[str, torch.Tensor] = {}
        model.detr_encoder.register_forward_hook(self._keep_encoder)
        model.detr_decoder.register_forward_hook(self._keep_decoder)

    def _keep_encoder(self, _module, _inputs, output) -> None:
        self.seen["encoder_hidden_states"] = output.last_hidden_state

    def _keep_decoder(self, _module, _inputs, output) -> None:
        self.seen["query_features"] = output.intermediate_hidden_states[-1]

    def run(self, vision, text, mask) -> dict[str, torch.Tensor]:
        output = self.model(vision_embeds=vision, text_embeds=text, attention_mask=mask)
        for name in ("pred_logits", "pred_boxes", "presence_logits", "pred_masks"):
            self.seen[name] = getattr(output, name)
        return {name: tensor.float() for name, tensor in self.seen.items()}


def cast(value, dtype: torch.dtype):
    """A copy of a model output with all its float tensors in `dtype`."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, (tuple, list)):
        return type(value)(cast(item, dtype) for item in value)
    if value is None:
        return None
    result = copy.copy(value)
    for name, item in value.items():
        result[name] = cast(item, dtype)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="folder in Hugging Face's format")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--prompts", type=int, default=3)
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = options.device
    model = Sam3Model.from_pretrained(options.checkpoint, dtype=torch.float32).to(device).eval()
    config = model.config
    size = config.vision_config.backbone_config.image_size
    torch.manual_seed(0)
    noise = torch.rand(1, 3, size // 6, size // 6, device=device) * 2 - 1
    pixels = torch.nn.functional.interpolate(noise, size=(size, size), mode="bilinear")
    text = config.text_config
    ids = torch.full((options.prompts, text.max_position_embeddings), text.eos_token_id)
    ids[:, 1:4] = torch.randint(1, 400, (options.prompts, 3))
    ids[:, 0] = text.bos_token_id
    mask = torch.zeros_like(ids)
    mask[:, :5] = 1
    ids, mask = ids.to(device), mask.to(device)
    with torch.inference_mode():
        vision = model.get_vision_features(pixels)
        texts = model.get_text_features(input_ids=ids, attention_mask=mask, return_dict=True)
        reference = []
        detector = Detector(model)
        for i in range(options.prompts):
            row = copy.copy(texts)
            row["pooler_output"] = texts.pooler_output[i : i + 1]
            reference.append((row, detector.run(vision, row, mask[i : i + 1])))
        features = {f"fpn_feat_{i}": vision.fpn_hidden_states[i] for i in range(3)}
        for name in ("fp16", "fp16 autocast", "bf16", "tf32"):
            dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(name, torch.float32)
            torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
            torch.backends.cudnn.allow_tf32 = name == "tf32"
            other = copy.deepcopy(model)
            for module in (other.detr_encoder, other.detr_decoder):
                module._forward_hooks.clear()
            other = other.to(dtype)
            run = Detector(other)
            autocast = torch.autocast(device, torch.float16, enabled=name == "fp16 autocast")
            worst: dict[str, float] = {}
            with autocast:
                output = other.get_vision_features(pixels.to(dtype))
                for i in range(3):
                    worst[f"fpn_feat_{i}"] = deviation(
                        features[f"fpn_feat_{i}"], output.fpn_hidden_states[i].float()
                    )
                for i, (row, expected) in enumerate(reference):
                    actual = run.run(cast(vision, dtype), cast(row, dtype), mask[i : i + 1])
                    for key, tensor in expected.items():
                        worst[key] = max(worst.get(key, 0.0), deviation(tensor, actual[key]))
            del other, run
            result = {
                "precision": name,
                "deviation": {k: float(f"{v:.3g}") for k, v in worst.items()},
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

"""The vision encoder of transformers' Sam3Model as torch traces it to ONNX, for comparison.

    python bench/trace_vision_encoder.py CHECKPOINT OUTPUT.onnx

What most projects build their engines from: float32, one picture, fixed shapes.
"""

import argparse
from pathlib import Path

import torch
from transformers import Sam3Model


class Features(torch.nn.Module):
    """The three feature maps that the detector takes."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.encoder(pixel_values).fpn_hidden_states[:3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="folder in Hugging Face's format")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Sam3Model.from_pretrained(options.checkpoint, dtype=torch.float32).to(device).eval()
    size = model.config.vision_config.backbone_config.image_size
    pixels = torch.zeros(1, 3, size, size, device=device)
    names = ["fpn_feat_0", "fpn_feat_1", "fpn_feat_2"]
    with torch.inference_mode():
        torch.onnx.export(
            Features(model.vision_encoder),
            (pixels,),
            str(options.output),
            input_names=["pixel_values"],
            output_names=names,
            opset_version=17,
            dynamo=False,
        )


if __name__ == "__main__":
    main()

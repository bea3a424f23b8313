"""A random checkpoint of the published model's size, for benchmarks.

    python bench/full_size.py --output DIR

Writes a Hugging Face folder of 848 million float32 parameters (3.4 GB): the sizes of facebook/sam3
(config.json of revision 3c879f39), random values of standard deviation 1/sqrt(fan-in), a small
tokenizer. Needs only numpy and about 10 seconds.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools" / "reference"))
import make_checkpoint  # noqa: E402
import sam3_tensors  # noqa: E402
import tiny_tokenizer  # noqa: E402


def full_size_spec() -> dict:
    """The published sizes, in the form of tests/data/configs/*.json."""
    detr = {"hidden_size": 256, "num_attention_heads": 8, "intermediate_size": 2048}
    grid = 1008 // 14
    return {
        "name": "full_size",
        "seed": 1,
        "adjust": [],
        "config": {
            "model_type": "sam3",
            "vision_config": {
                "model_type": "sam3_vision_model",
                "backbone_config": {
                    "model_type": "sam3_vit_model",
                    "hidden_size": 1024,
                    "intermediate_size": 4736,
                    "num_hidden_layers": 32,
                    "num_attention_heads": 16,
                    "num_channels": 3,
                    "image_size": 1008,
                    "patch_size": 14,
                    "hidden_act": "gelu",
                    "layer_norm_eps": 1e-6,
                    "window_size": 24,
                    "global_attn_indexes": [7, 15, 23, 31],
                    "layer_scale_init_value": None,
                    "pretrain_image_size": 336,
                    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "axial"},
                },
                "fpn_hidden_size": 256,
                "backbone_feature_sizes": [[grid * n, grid * n] for n in (4, 2, 1)],
                "scale_factors": [4.0, 2.0, 1.0, 0.5],
            },
            "text_config": {
                "model_type": "clip_text_model",
                "vocab_size": 49408,
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "projection_dim": 512,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "max_position_embeddings": 32,
                "hidden_act": "gelu",
                "layer_norm_eps": 1e-5,
            },
            "geometry_encoder_config": {**detr, "num_layers": 3, "roi_size": 7},
            "detr_encoder_config": {**detr, "num_layers": 6},
            "detr_decoder_config": {**detr, "num_layers": 6, "num_queries": 200},
            "mask_decoder_config": {
                "hidden_size": 256,
                "num_attention_heads": 8,
                "num_upsampling_stages": 3,
            },
        },
    }


def random_values(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Values that keep activations of order one, as section by section of the model needs them."""
    values = generator.standard_normal(shape, dtype=np.float32)
    if len(shape) == 1:
        is_gain = "norm" in name and name.endswith(".weight")
        return 1.0 + 0.1 * values if is_gain else 0.1 * values
    if "embed" in name and len(shape) == 2:
        return 0.5 * values
    scale = 1.0 / math.sqrt(math.prod(shape[1:]))
    return values * np.float32(2 * scale if "q_proj" in name or "k_proj" in name else scale)


def write_checkpoint(folder: Path) -> None:
    spec = full_size_spec()
    folder.mkdir(parents=True, exist_ok=True)
    shapes = sam3_tensors.image_model_shapes(spec["config"])
    header, offset = {}, 0
    for name, shape in shapes.items():
        end = offset + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    generator = np.random.default_rng(spec["seed"])
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name, shape in shapes.items():
            file.write(random_values(name, shape, generator).tobytes())
    text = spec["config"]["text_config"]
    vocabulary = tiny_tokenizer.write(folder, 200, text["max_position_embeddings"])
    text["bos_token_id"] = vocabulary[tiny_tokenizer.BOS]
    text["eos_token_id"] = vocabulary[tiny_tokenizer.EOS]
    config = json.dumps(spec["config"], indent=1) + "\n"
    (folder / "config.json").write_text(config, encoding="utf-8")
    make_checkpoint.write_preprocessor(spec, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    write_checkpoint(parser.parse_args().output)


if __name__ == "__main__":
    main()

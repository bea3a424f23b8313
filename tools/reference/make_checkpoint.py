"""Writes a small random SAM 3 checkpoint whose outputs are spread over their whole range.

    python tools/reference/make_checkpoint.py tests/data/configs/tiny_a.json --output DIR

Writes a Hugging Face folder, or with `--format meta` a `sam3.pt` in Meta's naming beside the same
tokenizer. Needs only numpy; weights come from an integer hash of tensor name and position, so they
are bit-identical on every machine.
"""

import argparse
import fnmatch
import json
import math
from pathlib import Path

import numpy as np
import sam3_tensors
import tiny_tokenizer

CONFIGS = Path(__file__).resolve().parents[2] / "tests/data/configs"
# One matrix that Hugging Face's tracker stores twice.
COPIES = ("shared_image_embedding", "prompt_encoder.shared_embedding")


def _hash_name(text: str) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def normal(name: str, seed: int, count: int) -> np.ndarray:
    """`count` values of mean 0 and variance 1, nearly normal: the sum of four 16-bit uniforms.

    The source is splitmix64 (Steele, Lea, Flood 2014) started at a hash of name and seed.
    """
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64)
        bits = np.uint64(_hash_name(f"{seed}/{name}")) + steps * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    total = sum((bits >> np.uint64(16 * part)) & np.uint64(0xFFFF) for part in range(4))
    return (total.astype(np.float64) - 2 * 0xFFFF) * (math.sqrt(3.0) / 65536.0)


EMBEDDING_SCALES = {
    "position_embeddings": 0.5,
    "token_embedding.weight": 1.0,
    "position_embedding.weight": 0.5,
    "label_embed.weight": 1.0,
    "cls_embed.weight": 1.0,
    "query_embed.weight": 1.0,
    "reference_points.weight": 1.0,
    "presence_token.weight": 1.0,
    # The tracker's; all are added to something or used as a token.
    ".positional_embedding": 1.0,
    "no_memory_embedding": 0.5,
    "no_memory_positional_encoding": 0.5,
    "memory_temporal_positional_encoding": 0.5,
    "no_object_pointer": 1.0,
    "occlusion_spatial_embedding_parameter": 1.0,
    "no_mask_embed.weight": 0.5,
    "point_embed.weight": 1.0,
    "iou_token.weight": 1.0,
    "mask_tokens.weight": 1.0,
    "obj_score_token.weight": 1.0,
}


def _base_values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    values = normal(name, seed, math.prod(shape)).reshape(shape)
    for suffix, scale in EMBEDDING_SCALES.items():
        if name.endswith(suffix):
            return values * scale
    if len(shape) == 1:
        if "norm" in name and name.endswith(".weight"):
            return 1.0 + 0.2 * values
        return 0.1 * values
    if len(shape) != 4:
        return values / math.sqrt(math.prod(shape[1:]))
    # Kernels are a smooth part plus noise: pure noise would make masks of single pixels. A
    # transposed convolution of kernel = stride sums over its input channels only.
    is_transposed = ".scale_layers." in name or ".upscale_conv" in name
    fan_in, taps = (shape[0], 1) if is_transposed else (shape[1], shape[2] * shape[3])
    smooth = normal(f"{name}/smooth", seed, shape[0] * shape[1]).reshape(*shape[:2], 1, 1)
    return (smooth / taps + 0.5 * values / math.sqrt(taps)) / math.sqrt(fan_in)


# Layers fed by a rectifier, whose outputs have a mean: without a counterweight that mean is the
# same for every query and pixel and drowns what tells them apart.
FED_BY_RECTIFIER = (
    "*.mlp.fc2",
    "*.layer[23]",
    "*.mask_embedder.layers.[12]",
    "*.instance_projection",
    "*.semantic_projection",
    "tracker_model.*.proj_out",
    "tracker_model.*.layers.0",
    "tracker_model.*.linear2",
)


def _centre(weights: dict[str, np.ndarray]) -> None:
    """Subtracts the response to 0.4 (mean of a rectified normal value) from their biases."""
    for name in [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in FED_BY_RECTIFIER):
            rows = weights[f"{name}.weight"].reshape(len(weights[f"{name}.bias"]), -1)
            # fsum rounds once, so the sum does not depend on the order a machine adds in.
            sums = np.array([math.fsum(row.tolist()) for row in rows])
            weights[f"{name}.bias"] = weights[f"{name}.bias"] - 0.4 * sums


def read_fitted(path: Path) -> dict[str, np.ndarray]:
    """What fit_tracker.py wrote: bytes around 128, and for each row, or vector, a scale."""
    import checkpoint_files  # only whole checkpoints need its reader

    stored = checkpoint_files.read_safetensors(path)
    values = {}
    for name, codes in stored.items():
        if name.endswith("/scale"):
            continue
        scale = stored[f"{name}/scale"].astype(np.float32)
        rows = (codes.astype(np.float32) - 128).reshape(len(scale), -1)
        values[name] = (rows * scale[:, None]).reshape(codes.shape)
    return values


def make_weights(spec: dict) -> dict[str, np.ndarray]:
    """All tensors in Hugging Face's image-model naming, float32; `tracker_*` where there is one.

    `spec["adjust"]` is a list of [name pattern, scale, offset], applied in order. `spec["fitted"]`
    names a file beside the configuration whose tensors, as far as `spec["fit"]` (patterns) has
    them, take the place of random ones.
    """
    shapes = sam3_tensors.image_model_shapes(spec["config"])
    if "tracker_config" in spec:
        vision = spec["config"]["vision_config"]
        shapes |= sam3_tensors.tracker_shapes(spec["tracker_config"], vision)
    weights = {name: _base_values(name, shape, spec["seed"]) for name, shape in shapes.items()}
    _centre(weights)
    for pattern, scale, offset in spec["adjust"]:
        for name in fnmatch.filter(weights, pattern):
            weights[name] = weights[name] * scale + offset
    if "fitted" in spec:
        for name, values in read_fitted(CONFIGS / spec["fitted"]).items():
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in spec["fit"]):
                continue
            if weights[name].shape != values.shape:
                raise SystemExit(f"{spec['fitted']}: {name} has shape {values.shape}")
            weights[name] = values
    image, prompts = (f"tracker_model.{part}.positional_embedding" for part in COPIES)
    if image in weights:
        weights[prompts] = weights[image]
    return {name: values.astype(np.float32) for name, values in weights.items()}


def write_safetensors(
    path: Path, tensors: dict[str, np.ndarray], dtypes: dict[str, str] | None = None
) -> None:
    """Writes little-endian tensors in the order given; `dtypes` names those that are not F32."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, values in tensors.items():
        end = offset + values.nbytes
        header[name] = {
            "dtype": (dtypes or {}).get(name, "F32"),
            "shape": list(values.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for values in tensors.values():
            file.write(values.astype(values.dtype.newbyteorder("<")).tobytes())


def _write_shards(folder: Path, tensors: dict[str, np.ndarray], count: int) -> None:
    if count == 1:
        write_safetensors(folder / "model.safetensors", tensors)
        return
    names = list(tensors)
    per_shard = math.ceil(len(names) / count)
    index = {}
    for shard in range(count):
        part = names[shard * per_shard : (shard + 1) * per_shard]
        file_name = f"model-{shard + 1:05d}-of-{count:05d}.safetensors"
        write_safetensors(folder / file_name, {name: tensors[name] for name in part})
        index.update({name: file_name for name in part})
    total = sum(values.nbytes for values in tensors.values())
    _write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": index},
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8", newline="\n")


def _video_names(spec: dict, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights as a `sam3_video` checkpoint names them: prefixed, with the tracker or its neck."""
    named = {
        name if name.startswith("tracker_") else f"detector_model.{name}": values
        for name, values in weights.items()
    }
    if "tracker_config" in spec:
        return named
    shapes: sam3_tensors.Shapes = {}
    sam3_tensors.neck(shapes, "tracker_neck", spec["config"]["vision_config"])
    for name, shape in shapes.items():
        named[name] = _base_values(name, shape, spec["seed"]).astype(np.float32)
    return named


def write_hugging_face(spec: dict, folder: Path) -> None:
    """Writes config.json, the weights, the preprocessor and the tokenizer into `folder`."""
    config, weights = spec["config"], make_weights(spec)
    if spec.get("layout", "image") == "video":
        weights = _video_names(spec, weights)
        config = {
            "architectures": ["Sam3VideoModel"],
            "model_type": "sam3_video",
            "detector_config": config,
        }
        if "tracker_config" in spec:
            tracker = spec["tracker_config"] | {"vision_config": spec["config"]["vision_config"]}
            config |= {"tracker_config": tracker, **spec["video_config"]}
    else:
        config = {"architectures": ["Sam3Model"], **config}
    _write_json(folder / "config.json", config)
    _write_shards(folder, weights, spec.get("shards", 1))
    write_preprocessor(spec, folder)
    write_tokenizer(spec, folder)


def write_preprocessor(spec: dict, folder: Path) -> None:
    side = spec["config"]["vision_config"]["backbone_config"]["image_size"]
    processor = {
        "image_processor_type": "Sam3ImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "resample": 2,
        "rescale_factor": 1 / 255,
        "image_mean": spec.get("image_mean", [0.5, 0.5, 0.5]),
        "image_std": spec.get("image_std", [0.5, 0.5, 0.5]),
        "size": {"height": side, "width": side},
    }
    _write_json(folder / "preprocessor_config.json", processor)
    whole = {
        "image_processor": processor,
        "point_pad_value": -10,
        "processor_class": "Sam3Processor",
        "target_size": side,
    }
    if "tracker_config" in spec:
        frames = processor | {"video_processor_type": "Sam2VideoVideoProcessor"}
        frames.pop("image_processor_type")
        whole |= {"processor_class": "Sam3VideoProcessor", "video_processor": frames}
    _write_json(folder / "processor_config.json", whole)


def write_tokenizer(spec: dict, folder: Path) -> None:
    text = spec["config"]["text_config"]
    vocab = tiny_tokenizer.write(folder, spec["tokenizer_merges"], text["max_position_embeddings"])
    expected = {
        "vocab_size": len(vocab),
        "bos_token_id": vocab[tiny_tokenizer.BOS],
        "eos_token_id": vocab[tiny_tokenizer.EOS],
        "pad_token_id": vocab[tiny_tokenizer.EOS],
    }
    found = {key: text[key] for key in expected}
    if found != expected:
        raise SystemExit(f"text_config must hold {expected}, found {found}")


def write_meta(spec: dict, folder: Path) -> None:
    """Writes the same weights as Meta's sam3.pt, and the tokenizer beside it."""
    import checkpoint_files  # only this format needs the conversion tables

    state = checkpoint_files.hf_to_meta(make_weights(spec), spec["config"])
    checkpoint_files.write_torch_zip(folder / "sam3.pt", state)
    write_tokenizer(spec, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="a file of tests/data/configs/")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--format", choices=["hf", "meta"], default="hf")
    arguments = parser.parse_args()
    spec = json.loads(arguments.config.read_text(encoding="utf-8"))
    arguments.output.mkdir(parents=True, exist_ok=True)
    (write_hugging_face if arguments.format == "hf" else write_meta)(spec, arguments.output)


if __name__ == "__main__":
    main()

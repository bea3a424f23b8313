"""What the interfaces share: tensors of either library, pixels of any image, model folders."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def converter(kind: str) -> Callable[[np.ndarray], Any]:
    """What makes a numpy array the tensor that is asked for.

    `kind` is "torch", "numpy", or "auto": torch where it is installed.
    """
    if kind not in ("torch", "numpy", "auto"):
        raise ValueError(f"tensors: expected 'torch', 'numpy' or 'auto', found {kind!r}")
    if kind == "numpy":
        return np.asarray
    try:
        import torch
    except ImportError as error:
        if kind == "auto":
            return np.asarray
        raise ImportError(
            "torch tensors need the package torch; or ask for numpy arrays"
        ) from error
    return lambda array: torch.from_numpy(np.array(array))


def pixels_of(image: Any) -> Any:
    """An array for a Segmenter: files are turned as their EXIF says, PIL images are taken as they
    are, both on white where they are transparent; arrays are handed on.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        image = io.BytesIO(image)
    if isinstance(image, (str, os.PathLike, io.BytesIO)):
        from PIL import Image, ImageOps

        with Image.open(image) as file:
            return _on_white(ImageOps.exif_transpose(file))
    return _on_white(image) if hasattr(image, "getbands") else image


def _on_white(image: Any) -> np.ndarray:
    from PIL import Image

    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def size_of(pixels: Any) -> tuple[int, int]:
    """Height and width of what `pixels_of` gives: (H, W), (H, W, C) or (C, H, W)."""
    shape = tuple(int(side) for side in pixels.shape)
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        return shape[1], shape[2]
    return shape[0], shape[1]


def open_model(model: Any, device: str | None) -> Any:
    """A Segmenter: `model` itself, or that of the folder it names."""
    if not isinstance(model, (str, os.PathLike)):
        return model
    if not Path(model).is_dir():
        raise FileNotFoundError(
            f"{os.fspath(model)!r} is not a folder. Expected one with TensorRT engines or ONNX "
            "graphs: sam3trt.export and sam3trt.build make them from a checkpoint"
        )
    from ..segmenter import Segmenter

    return Segmenter(model, device=device or "auto")


def check_device(segmenter: Any, device: Any) -> None:
    """Raises ValueError when the model runs on another kind of device than the one asked for."""
    asked = str(device).split(":")[0]
    if asked in ("cpu", "cuda") and asked != segmenter.device.split(":")[0]:
        raise ValueError(
            f"the model runs on {segmenter.device}, not on {device}: ONNX graphs run on the CPU, "
            "TensorRT engines on a GPU; name the other folder"
        )


def resize(masks: Any, size: tuple[int, int]) -> Any:
    """Bilinear, without antialias: (..., h, w) to (..., *size), float32; a tensor stays one."""
    if hasattr(masks, "detach"):
        from torch.nn.functional import interpolate

        flat = masks.detach().float().reshape(1, -1, *masks.shape[-2:])
        resized = interpolate(flat, tuple(size), mode="bilinear", align_corners=False)
        return resized.reshape(*masks.shape[:-2], *size)
    masks = np.asarray(masks, dtype=np.float32)
    rows, columns = _weights(masks.shape[-2], size[0]), _weights(masks.shape[-1], size[1])
    first, second, part = rows
    masks = masks[..., first, :] * (1 - part[:, None]) + masks[..., second, :] * part[:, None]
    first, second, part = columns
    return masks[..., first] * (1 - part) + masks[..., second] * part


def _weights(before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two neighbours of each new place, and the part of the second: pixels are areas."""
    scale = np.float32(before) / np.float32(after)
    places = np.maximum((np.arange(after, dtype=np.float32) + 0.5) * scale - 0.5, 0)
    first = np.minimum(places.astype(np.int64), before - 1)
    return first, np.minimum(first + 1, before - 1), (places - first).astype(np.float32)


def logits_of(probability: Any) -> np.ndarray:
    """float32 logits of probabilities, finite also for 0 and 1."""
    least = 2.0**-53
    inside = np.clip(np.asarray(probability, dtype=np.float64), least, 1 - least)
    return np.log(inside / (1 - inside)).astype(np.float32)

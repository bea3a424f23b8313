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

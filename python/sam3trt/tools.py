"""Export, build and verify, as the command ``sam3trt`` does them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import _core
from .arguments import check_range
from .errors import BadInputError
from .segmenter import _parse_device

PathLike = str | os.PathLike[str]
#: Called in the calling thread with what is being done and how much of it is done, 0 to 1.
Progress = Callable[[str, float], Any]


def export(
    checkpoint: PathLike,
    output: PathLike,
    component: str = "all",
    tokenizer: PathLike | None = None,
    semantics: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Turns a checkpoint into ONNX graphs.

    Args:
        checkpoint: A folder of Hugging Face's format, or Meta's ``sam3.pt``.
        output: A folder for ``"all"``, else a file whose name ends in ``.onnx``.
        component: ``"all"``, or one of the components (docs/graphs.md).
        tokenizer: File or folder, where the checkpoint brings none.
        semantics: ``"hf"`` or ``"meta"``; None: what the checkpoint's format says.
        progress: Called with a file's name and how much of its weights is written.

    Returns:
        The files written. All appear together at the end; Ctrl-C leaves everything as it was.
    """
    _check_choice("semantics", semantics, (None, "hf", "meta"))
    files = _core.export(
        os.fspath(checkpoint),
        os.fspath(output),
        component,
        _optional(tokenizer),
        semantics,
        progress,
    )
    return [Path(file) for file in files]


def build(
    onnx: PathLike,
    output: PathLike,
    precision: str = "fp16",
    *,
    target: str = "tensorrt",
    compute_capability: str | None = None,
    max_batch: int = 1,
    max_prompts: int = 16,
    tune_batch: int = 0,
    tune_prompts: int = 0,
    max_boxes: int = 8,
    max_masks: int = 0,
    workspace: int = 0,
    optimization_level: int = 3,
    verify: bool = True,
    force: bool = False,
    images: Sequence[PathLike] = (),
    texts: Sequence[str] = (),
    recipes: PathLike | None = None,
    gate: PathLike | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Makes verified TensorRT engines of ONNX graphs, on a machine with the GPU they are for.

    Args:
        onnx: A graph, or the folder that :func:`export` filled.
        output: ``FILE.engine``, or a folder for a folder.
        precision: ``"fp32"``, ``"fp16"``, ``"bf16"`` or ``"fp8"``.
        target: Whose engine: ``"tensorrt"``, or ``"rtx"``.
        compute_capability: With ``target="rtx"``: of the GPU it is for, such as ``"8.9"``.
        max_batch, max_prompts, max_boxes, max_masks: The largest sizes of one call.
        tune_batch, tune_prompts: Sizes that engines for several are tuned for; 0: the largest.
        workspace: MiB of GPU memory for the build; 0: TensorRT's choice.
        optimization_level: 0 (fast build) to 5.
        verify: False leaves the engines unverified; a Segmenter then refuses them.
        force: Builds and checks again what is up to date, with all recipes in their order.
        images, texts: For calibration and verification, besides built-in ones.
        recipes, gate: Files in place of the built-in ones (docs/precision.md and verification.md).
        progress: Called with an engine's name, or "reference", and how far it is.

    Returns:
        The report of ``sam3trt build --json``.

    Raises:
        UnavailableError: There is no GPU, driver or TensorRT here.
        VerificationError: No recipe gave an engine that passed; nothing of it is kept.
    """
    _check_choice("target", target, ("tensorrt", "rtx"))
    sizes = {
        "max_batch": (max_batch, 1),
        "max_prompts": (max_prompts, 1),
        "tune_batch": (tune_batch, 0),
        "tune_prompts": (tune_prompts, 0),
        "max_boxes": (max_boxes, 1),
        "max_masks": (max_masks, 0),
    }
    for name, (value, low) in sizes.items():
        check_range(name, value, low, 4096)
    check_range("workspace", workspace, 0, 1 << 20)
    check_range("optimization_level", optimization_level, 0, 5)
    limits = _core.EngineLimits()
    limits.images, limits.prompts = max_batch, max_prompts
    limits.tuned_images, limits.tuned_prompts = tune_batch, tune_prompts
    limits.boxes, limits.masks = max_boxes, max_masks
    arguments = _core.BuildArguments()
    arguments.onnx, arguments.output = os.fspath(onnx), os.fspath(output)
    arguments.precision, arguments.target = precision, target
    arguments.compute_capability = _parse_capability(compute_capability)
    arguments.recipes, arguments.gate = _optional(recipes), _optional(gate)
    arguments.images, arguments.texts = _paths("images", images), _texts(texts)
    arguments.limits = limits
    arguments.workspace_megabytes = workspace
    arguments.optimization_level = optimization_level
    arguments.verify = verify
    arguments.force = force
    return json.loads(_core.build(arguments, progress))


def verify(
    model: PathLike,
    images: Sequence[PathLike] = (),
    progress: Progress | None = None,
    *,
    reference: PathLike | None = None,
    texts: Sequence[str] = (),
    device: str | int = "auto",
    threads: int = 0,
    recipes: PathLike | None = None,
    gate: PathLike | None = None,
) -> dict[str, Any]:
    """Holds engines against the float32 graphs on the CPU, stage by stage and end to end.

    Args:
        model: Folder of engines.
        images: Images, besides three drawn ones; none: three photographs inside the package.
        progress: Called with "reference" and how far it is.
        reference: Folder of the exported graphs; None: that of ``model``.
        texts: What to look for in the images.
        device: The GPU, as for :class:`Segmenter`.
        threads: Processor threads of the reference; 0 is OpenVINO's choice.
        recipes, gate: Files in place of the built-in ones.

    Returns:
        The report of ``sam3trt verify --json``; ``["passed"]`` is the verdict.
    """
    check_range("threads", threads, 0, 4096)
    report = _core.verify(
        os.fspath(model),
        _optional(reference),
        _paths("images", images),
        _texts(texts),
        _parse_device(device)[1],
        threads,
        _optional(recipes),
        _optional(gate),
        progress,
    )
    return json.loads(report)


def _optional(path: PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


def _paths(name: str, paths: Sequence[PathLike]) -> list[str]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"{name}: expected a list of paths, found one: {paths!r}")
    return [os.fspath(path) for path in paths]


def _texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        return [texts]
    return list(texts)


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise BadInputError(f"{name}: expected one of {known}, found {value!r}")


def _parse_capability(text: str | None) -> int:
    if text is None:
        return 0
    match = re.fullmatch(r"(\d{1,2})\.(\d)", text) if isinstance(text, str) else None
    if match is None:
        raise BadInputError(f"compute_capability: expected something like '8.9', found {text!r}")
    return int(match[1]) * 10 + int(match[2])

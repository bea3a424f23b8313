"""Results as plain data: the program's JSON and COCO's."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import rle

if TYPE_CHECKING:
    from .result import PromptFound, Result


def rounded(value: float, digits: int) -> float:
    """As the program rounds: halves away from zero, without a negative zero."""
    scaled = abs(float(value)) * 10.0**digits
    return math.copysign(math.floor(scaled + 0.5), value) / 10.0**digits + 0.0


def _prompt_entry(prompt: PromptFound, size: tuple[int, int]) -> dict[str, Any]:
    instances = [
        {
            "score": rounded(score, 6),
            "box": [rounded(value, 3) for value in box],
            "area": int(area),
            "mask": {"size": list(size), "counts": rle.to_string(counts)},
        }
        for score, box, area, counts in zip(
            prompt.scores.tolist(), prompt.boxes_xyxy.tolist(), prompt.areas, prompt.counts
        )
    ]
    return {
        "text": prompt.text,
        "boxes": [[float(value) for value in box] for box in prompt.boxes],
        "box_labels": [int(label) for label in prompt.box_labels],
        "presence": rounded(prompt.presence, 6),
        "instances": instances,
    }


def entry_of(result: Result) -> dict[str, Any]:
    """One entry of `images`, as the program writes it."""
    path = None if result.path is None else os.fspath(result.path)
    if result.error is not None and not result.prompts:
        return {"path": path, "error": result.error}
    height, width = result.size
    entry = {
        "path": path,
        "width": width,
        "height": height,
        "prompts": [_prompt_entry(prompt, result.size) for prompt in result.prompts],
        "timings_ms": {name: rounded(value, 3) for name, value in result.timings_ms.items()},
    }
    if result.error is not None:
        entry["error"] = result.error
    return entry


def _counts_of(mask: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    if list(mask["size"]) != list(size):
        raise ValueError(f"a mask has the size {mask['size']}, the image {list(size)}")
    counts = mask["counts"]
    if isinstance(counts, (str, bytes)):
        counts = rle.from_string(counts)
    counts = np.asarray(counts, dtype=np.uint32)
    rle.check(counts, size)
    return counts


def _prompt_of(entry: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    instances = entry["instances"]
    return {
        "text": entry["text"],
        "boxes": entry["boxes"],
        "box_labels": entry["box_labels"],
        "presence": entry["presence"],
        "scores": np.array([found["score"] for found in instances], dtype=np.float32),
        "boxes_xyxy": np.array([found["box"] for found in instances], np.float32).reshape(-1, 4),
        "areas": np.array([found["area"] for found in instances], dtype=np.int64),
        "counts": [_counts_of(found["mask"], size) for found in instances],
    }


def result_fields(entry: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Result` that one entry of `images` gives; ValueError for anything else."""
    from .result import PromptFound

    if isinstance(entry, (str, bytes)):
        entry = json.loads(entry)
    if not isinstance(entry, Mapping) or not ("prompts" in entry or "error" in entry):
        found = sorted(entry) if isinstance(entry, Mapping) else type(entry).__name__
        raise ValueError(
            'expected one entry of "images" (an object with "path" and "prompts" or "error"), '
            f"found {found}"
        )
    fields = {"path": entry.get("path"), "error": entry.get("error")}
    if "prompts" not in entry:
        return fields
    try:
        size = (int(entry["height"]), int(entry["width"]))
        if min(size) < 1:
            raise ValueError(f"the image's height and width are {size}")
        prompts = [PromptFound(**_prompt_of(prompt, size)) for prompt in entry["prompts"]]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"the entry of {entry.get('path')!r} is malformed: {what}") from error
    return fields | {
        "size": size,
        "prompts": prompts,
        "timings_ms": dict(entry.get("timings_ms", {})),
    }


def coco_of(
    result: Result,
    image_id: int,
    first_id: int,
    categories: Mapping[str, int] | None,
    polygons: bool,
) -> dict[str, list[dict[str, Any]]]:
    """See `Result.to_coco`."""
    names = list(dict.fromkeys(result.names.values()))
    if categories is None:
        categories = {name: index for index, name in enumerate(names, start=1)}
    missing = [name for name in names if name not in categories]
    if missing:
        raise ValueError(f"categories has no id for {missing}; it has {sorted(categories)}")
    height, width = result.size
    annotations = []
    for instance in result:
        x0, y0, x1, y1 = (float(value) for value in instance.box)
        annotations.append(
            {
                "id": first_id + len(annotations),
                "image_id": image_id,
                "category_id": categories[instance.name],
                "segmentation": _coco_polygons(instance) if polygons else instance.rle,
                "area": instance.area,
                "bbox": [rounded(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)],
                "iscrowd": 0,
                "score": rounded(instance.score, 6),
            }
        )
    image: dict[str, Any] = {"id": image_id, "width": width, "height": height}
    if result.path is not None:
        image["file_name"] = os.fspath(result.path)
    return {
        "images": [image],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }


def _coco_polygons(instance: Any) -> list[list[float]]:
    """Outer rings as flat lists x0 y0 x1 y1 ..., without the repeated last point."""
    return [[float(value) for value in part[0][:-1].ravel()] for part in instance.polygons]

"""`sam3trt infer` gives the instances that the reference found on the same photographs."""

import json
import subprocess

import goldens
import numpy as np
import pytest
from conftest import REFERENCES

LIMITS = json.loads((goldens.ROOT / "tests/parity/thresholds.json").read_text(encoding="utf-8"))


def decode(mask: dict) -> np.ndarray:
    """COCO's compressed run lengths (pycocotools, maskApi.c, rleFrString) to flat booleans."""
    runs, value, shift = [], 0, 0
    for character in mask["counts"].encode("ascii"):
        part = character - 48
        value |= (part & 0x1F) << shift
        shift += 5
        if not part & 0x20:
            if part & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


def difference(found: dict, expected: dict) -> list[str]:
    limits = LIMITS["result"]
    a, b = decode(found["mask"]), decode(expected["mask"])
    overlap = np.logical_and(a, b).sum() / max(np.logical_or(a, b).sum(), 1)
    box = np.abs(np.subtract(found["box"], expected["box"])).max()
    score = abs(found["score"] - expected["score"])
    problems = []
    if found["area"] != a.sum() or found["mask"]["size"] != expected["mask"]["size"]:
        problems.append(f"area {found['area']}, mask {a.sum()} pixels of {found['mask']['size']}")
    if overlap < limits["mask_iou"] and max(a.sum(), b.sum()) > 0:
        problems.append(f"mask IoU {overlap:.4f}")
    if box > limits["box_error_pixels"] or score > limits["score_error"]:
        problems.append(f"box off by {box:.3f} pixels, score by {score:.5f}")
    return problems


@pytest.mark.parametrize("semantics, name", REFERENCES)
def test_infer_finds_the_references_instances(program, exported, semantics, name):
    data = goldens.Goldens(semantics, name)
    folder = exported(semantics, name)
    single = [case for case in data.document["cases"] if len(case["image"]["prompts"]) == 1]
    for case in single:
        image, expected = case["image"], case["image"]["prompts"][0]
        command = [program, "infer", "--model", folder, "--backend", "openvino", "--json"]
        command += ["--image", goldens.ROOT / "test_images" / image["path"]]
        if expected["text"] is not None:
            command += ["--text", expected["text"]]
        for box, label in zip(expected["boxes"], expected["box_labels"], strict=True):
            option = "--box" if label == 1 else "--negative-box"
            command += [option, ",".join(str(side) for side in box)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        result = json.loads(run.stdout)
        assert result["semantics"] == semantics
        found = result["images"][0]["prompts"][0]
        assert found["text"] == expected["text"]
        assert len(found["instances"]) == len(expected["instances"]), case["name"]
        for rank, pair in enumerate(zip(found["instances"], expected["instances"], strict=True)):
            problems = difference(*pair)
            assert not problems, f"{case['name']}, instance {rank}: {'; '.join(problems)}"

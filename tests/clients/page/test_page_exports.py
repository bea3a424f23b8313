"""What is downloaded and copied, read by the tools that people use."""

import io
import json
import subprocess

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO


@pytest.fixture
def found(visit, shapes, drawn):
    """The page with two images and two texts, all found."""
    handle = visit(shapes, permissions=["clipboard-read", "clipboard-write"])
    handle.open(*drawn)
    handle.text(1, "red circle")
    handle.text(2, "striped ring")
    handle.wait(3)
    count = handle.page.locator("#strip .count").nth(1)
    expect(count).not_to_have_text("", timeout=30_000)
    handle.quiet()
    handle.page.wait_for_timeout(1000)
    return handle


def expected(handle, file, texts) -> list[np.ndarray]:
    """The masks that the server gives at the page's threshold."""
    request = json.dumps({"prompts": [{"text": text} for text in texts], "threshold": 0.5})
    command = [
        "curl",
        "-s",
        f"{handle.server.url}v1/infer",
        "-F",
        f"image=@{file}",
        "-F",
        f"request={request}",
    ]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        coco_mask.decode(one["mask"]).astype(bool)
        for prompt in answer["images"][0]["prompts"]
        for one in prompt["instances"]
    ]


def test_coco_json_is_read_by_pycocotools(found, drawn, tmp_path):
    name, content = found.download("COCO JSON")
    assert name == "annotations.json"
    path = tmp_path / name
    path.write_bytes(content)
    coco = COCO(path)
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == [
        "red circle",
        "striped ring",
    ]
    assert [one["file_name"] for one in coco.loadImgs(coco.getImgIds())] == [p.name for p in drawn]
    for number, file in enumerate(drawn, 1):
        masks = [coco.annToMask(one).astype(bool) for one in coco.loadAnns(coco.getAnnIds(number))]
        wanted = expected(found, file, ["red circle", "striped ring"])
        assert len(masks) == len(wanted)
        for mask, other in zip(masks, wanted, strict=True):
            np.testing.assert_array_equal(mask, other)
    for one in coco.loadAnns(coco.getAnnIds()):
        assert one["area"] == coco.annToMask(one).sum()


def test_yolo_polygons_fill_to_the_masks(found, drawn):
    files = found.unzip("YOLO segmentation")
    assert '0: "red circle"' in files["data.yaml"].decode()
    for file in drawn:
        wanted = expected(found, file, ["red circle", "striped ring"])
        lines = files[f"labels/{file.stem}.txt"].decode().splitlines()
        assert len(lines) == len(wanted)
        for line, mask in zip(lines, wanted, strict=True):
            category, *values = line.split()
            assert category in "01"
            height, width = mask.shape
            points = np.array(values, float).reshape(-1, 2) * [width, height] - 0.5
            filled = np.zeros(mask.shape, np.uint8)
            cv2.fillPoly(filled, [np.round(points * 16).astype(np.int32)], 1, shift=4)
            both = (filled.astype(bool) & mask).sum()
            assert both / (filled.astype(bool) | mask).sum() > 0.93


def test_masks_are_black_and_white_images(found, drawn):
    files = found.unzip("Masks (PNG, zip)")
    wanted = expected(found, drawn[0], ["red circle", "striped ring"])
    names = [
        f"shapes/{i:03d}_{name}.png"
        for i, name in enumerate(["red_circle"] * 2 + ["striped_ring"], 1)
    ]
    assert [name for name in files if name.startswith("shapes/")] == names
    for name, mask in zip(names, wanted, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(files[name])).convert("L"))
        np.testing.assert_array_equal(pixels, mask * 255)


def test_the_overlay_is_the_image_with_its_masks(found, drawn):
    name, content = found.download("Image with masks")
    assert name == "shapes_masks.png"
    image = np.asarray(Image.open(drawn[0]).convert("RGB")).astype(int)
    overlay = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    changed = np.abs(overlay - image).sum(axis=2) > 0
    inside = np.any(expected(found, drawn[0], ["red circle", "striped ring"]), axis=0)
    np.testing.assert_array_equal(changed, inside)


def test_what_is_removed_is_not_downloaded(found):
    found.page.keyboard.press("Escape")
    found.rows().nth(0).hover()
    found.rows().nth(0).get_by_role("button", name="Remove from the results").click()
    _, content = found.download("COCO JSON")
    annotations = json.loads(content)["annotations"]
    assert len([one for one in annotations if one["image_id"] == 1]) == 2


def test_the_copied_command_gives_what_the_page_shows(found, drawn, picture):
    page = found.page
    page.get_by_role("button", name="Copy as curl").click()
    picture(found, "curl")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator("#command-done")).to_have_text("Copied.")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == page.locator("#command-text").input_value()
    done = subprocess.run(command, shell=True, cwd=drawn[0].parent, capture_output=True, check=True)
    prompts = json.loads(done.stdout)["images"][0]["prompts"]
    assert [prompt["text"] for prompt in prompts] == ["red circle", "striped ring"]
    assert [len(prompt["instances"]) for prompt in prompts] == [2, 1]


def test_nothing_to_download_is_said(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    handle.page.locator("#downloads summary").click()
    handle.page.locator("#download-coco").click()
    expect(handle.message()).to_have_text(
        "There is nothing to download yet: say what to look for first."
    )

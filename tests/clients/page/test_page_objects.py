"""Clicks on objects, and videos."""

import io
import json
import re
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import expect
from pycocotools import mask as coco

SIZE = (480, 360)
# What the small tracker was fitted to is followed best: the blue box.
BOX = (110, 250)


def frame(meadow, folder) -> Path:
    """The first frame as an image."""
    path = folder / "frame.png"
    command = ["ffmpeg", "-v", "error", "-i", meadow, "-frames:v", "1", path]
    subprocess.run(command, check=True)
    return path


def test_clicks_find_an_object_and_refine_it(visit, clips, meadow, tmp_path, picture):
    handle = visit(clips, color_scheme="dark")
    handle.open(frame(meadow, tmp_path), size=SIZE)
    handle.tool("Object")
    handle.click(*BOX)
    handle.wait(1)
    (first,) = handle.requests("v1/objects")
    (one,) = first["objects"]
    assert one["point_labels"] == [1]
    assert np.abs(np.subtract(one["points"][0], BOX)).max() < 2
    expect(handle.page.locator("#objects .name")).to_have_text("Object 1: 1 click")

    handle.click(120, 290)
    handle.click(40, 300, button="right")
    handle.click(180, 210, key="Alt")
    expect(handle.page.locator("#objects .name")).to_have_text("Object 1: 4 clicks")
    labels = [1, 1, 0, 0]  # earlier requests have fewer
    handle.wait_until_asked("v1/objects", lambda body: body["objects"][0]["point_labels"] == labels)
    (one,) = handle.requests("v1/objects")[-1]["objects"]
    assert one["point_labels"] == labels

    handle.page.get_by_role("button", name="Next object").click()
    handle.click(90, 100)
    handle.wait(2)
    assert len(handle.requests("v1/objects")[-1]["objects"]) == 2

    # A click on a click takes it away.
    handle.click(90, 100)
    handle.wait(1)
    handle.text(1, "red apple")
    handle.wait(3)
    handle.page.mouse.move(5, 500)
    picture(handle, "objects", kept=True)
    handle.page.keyboard.press("Escape")
    handle.page.keyboard.press("Control+z")
    handle.page.keyboard.press("Control+z")
    handle.wait(2)


def test_not_this_needs_an_object(visit, clips, meadow, tmp_path):
    handle = visit(clips)
    handle.open(frame(meadow, tmp_path), size=SIZE)
    handle.tool("Object")
    handle.click(*BOX, button="right")
    expect(handle.message()).to_have_text(re.compile("Click on the object first"))
    assert handle.requests("v1/objects") == []


def test_a_box_describes_an_object(visit, clips, meadow, tmp_path):
    handle = visit(clips)
    handle.open(frame(meadow, tmp_path), size=SIZE)
    handle.tool("Object")
    handle.drag((25, 40), (155, 165))
    handle.wait(1)
    (one,) = handle.requests("v1/objects")[0]["objects"]
    assert "points" not in one
    assert len(one["box"]) == 4


def test_a_model_without_clicks_and_video_says_so(visit, serve, meadow):
    handle = visit(serve("images"))
    expect(handle.page.locator("#model")).to_have_text(re.compile("openvino"))
    expect(handle.page.locator("#tool-object")).to_be_disabled()
    handle.open(meadow, size=SIZE)
    handle.text(1, "red circle")
    track = handle.page.get_by_role("button", name="Track")
    expect(track).to_be_disabled()
    expect(track).to_have_attribute("title", "This model has no tracker")


def test_a_video_is_tracked_on_a_time_line(visit, clips, meadow):
    handle = visit(clips)
    page = handle.page
    handle.open(meadow, size=SIZE)
    expect(page.locator("#timeline")).to_be_visible()
    track = page.get_by_role("button", name="Track", exact=True)
    expect(track).to_be_disabled()
    handle.text(1, "red apple")
    page.keyboard.press("Escape")
    handle.tool("Object")
    handle.click(110, 250)
    track.click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.locator("#progress-text")).to_have_text(re.compile("tracked|Sending"))
    expect(page.get_by_role("button", name="Track again")).to_be_visible(timeout=120_000)
    expect(page.locator("#where")).to_have_text(re.compile("32 / 32"))
    lanes = page.locator("#lanes li")
    expect(lanes.first).to_be_visible()
    assert lanes.filter(has_text="object").count() == 1

    # Step, jump and play.
    page.get_by_role("button", name="One frame back").click()
    expect(page.locator("#where")).to_have_text(re.compile("31 / 32"))
    page.keyboard.press(".")
    expect(page.locator("#where")).to_have_text(re.compile("32 / 32"))
    lane = lanes.first.locator(".lane")
    box = lane.bounding_box()
    lane.click(position={"x": box["width"] * 0.265, "y": box["height"] / 2})
    expect(page.locator("#where")).to_have_text(re.compile("9 / 32 · 0.80 s"))
    page.locator("#frame").fill("0")
    expect(page.locator("#where")).to_have_text(re.compile("1 / 32"))
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=15_000)
    expect(page.locator("#where")).to_have_text(re.compile("32 / 32"))

    # The lines are those of the server.
    name, content = handle.download("Tracks (JSON Lines)")
    assert name == "meadow.jsonl"
    head, *frames = [json.loads(line) for line in content.decode().splitlines()]
    assert head["video"]["frames"] == 32
    assert [one["frame"] for one in frames] == list(range(32))
    masks = [coco.decode(found["mask"]) for found in frames[0]["objects"]]
    assert all(mask.shape == (360, 480) for mask in masks)


def test_frames_and_masks_go_together(visit, clips, meadow, picture):
    """The frame that is shown is the one whose masks are drawn: the disc is where its line says."""
    handle = visit(clips)
    page = handle.page
    handle.open(meadow, size=SIZE)
    handle.text(1, "red apple")
    page.get_by_role("button", name="Track", exact=True).click()
    expect(page.get_by_role("button", name="Track again")).to_be_visible(timeout=120_000)
    for position in (0, 7, 20, 31):
        page.locator("#frame").fill(str(position))
        page.wait_for_timeout(400)
        _, content = handle.download("Frame with masks")
        image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        # Where nothing covers it the disc's colour is kept under the tint: red above green.
        reddish = image[..., 0] - image[..., 1] > 60
        columns = np.nonzero(reddish[:200].any(axis=0))[0]
        centre = (18 + (84 - 18) * position / 31) * 5
        assert abs(columns.mean() - centre) < 60, position
    page.locator("#frame").fill("7")
    page.mouse.move(5, 500)
    page.wait_for_timeout(400)
    picture(handle, "video", kept=True)


def test_tracking_can_be_stopped(visit, clips, meadow):
    handle = visit(clips)
    page = handle.page
    handle.open(meadow, size=SIZE)
    handle.text(1, "blue bird")
    page.get_by_role("button", name="Track", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name=re.compile("^Track"))).to_be_visible()
    expect(page.locator("#message")).to_be_hidden()

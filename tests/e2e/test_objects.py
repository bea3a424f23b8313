"""Clicks, boxes and masks of objects on images, against Sam3TrackerModel of transformers."""

import json
import sys

import goldens
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

sys.path.insert(0, str(goldens.ROOT / "tools/reference"))
import clip_scenes  # noqa: E402

NAMES = sorted(
    path.name.split(".")[0] for path in (goldens.DATA / "goldens/hf").glob("*.objects.json")
)


def cases_of(name: str) -> list[dict]:
    path = goldens.DATA / f"goldens/hf/{name}.objects.json"
    return json.loads(path.read_text(encoding="utf-8"))["cases"]


def draw(folder, case: dict):
    """The case's image as a PNG file."""
    scene = case["image"]
    pixels, _ = clip_scenes.draw(clip_scenes.load(scene["clip"]), scene["frame"])
    path = folder / f"{scene['clip']}_{scene['frame']}.png"
    Image.fromarray(pixels).save(path)
    return path


def decode(mask: dict) -> np.ndarray:
    return coco_mask.decode(mask).astype(bool)


def box_of(mask: np.ndarray) -> list[int]:
    """First and last column and row, as torchvision's masks_to_boxes."""
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max(), rows.max()] if len(rows) else [0, 0, 0, 0]


def check_object(found: dict, expected: dict, multimask: bool) -> None:
    score = 1 / (1 + np.exp(-expected["object_score_logit"]))
    assert found["object_score"] == pytest.approx(score, abs=1e-5)
    best = expected["masks"][expected["best"]]
    assert found["score"] == pytest.approx(best["score"], abs=1e-5)
    masks = found["candidates"] if multimask else [found]
    assert len(masks) == len(expected["masks"])
    for one, other in zip(masks, expected["masks"], strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        inside = decode(one["mask"])
        assert inside.sum() == one["area"]
        # only pixels whose logit is within rounding of 0 may differ; none did on two processors
        assert (inside != decode(other["mask"])).sum() <= other["near_zero"]
    mask = decode(found["mask"])
    assert found["area"] == mask.sum()
    assert found["box"] == box_of(mask)


@pytest.fixture
def infer(run, exported, tmp_path):
    """infer(name, image, prompts, ...): the results of the images."""

    def call(name, images, prompts, *arguments, code=0):
        path = tmp_path / "prompts.json"
        path.write_text(json.dumps(prompts), encoding="utf-8")
        command = ["infer", "--model", exported("hf", name), "--prompts", path, *arguments]
        result = run(*command, "--image", *images)
        assert result.code == code, result.stderr
        return json.loads(result.stdout)["images"] if code == 0 else result.stderr

    return call


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_segmented_as_the_reference_does(infer, tmp_path, name):
    ran = 0
    for case in cases_of(name):
        if "previous" in case:
            continue  # logits of an earlier result are not a matter of the command line
        extra = ["--multimask"] if case["multimask"] else []
        (image,) = infer(name, [draw(tmp_path, case)], {"objects": case["objects"]}, *extra)
        assert image["prompts"] == []
        assert [o["id"] for o in image["objects"]] == [o["id"] for o in case["objects"]]
        for found, expected in zip(image["objects"], case["expected"], strict=True):
            check_object(found, expected, case["multimask"])
        ran += 1
    assert ran >= 10


def test_options_describe_one_object(run, exported, tmp_path):
    cases = {case["name"]: case for case in cases_of("video_a")}
    case = cases["box_and_points"]
    (entry,) = case["objects"]
    arguments = ["--object-box", ",".join(map(str, entry["box"]))]
    for point, label in zip(entry["points"], entry["point_labels"], strict=True):
        arguments += ["--point" if label else "--negative-point", ",".join(map(str, point))]
    image = draw(tmp_path, case)
    result = run("infer", "--model", exported("hf", "video_a"), "--image", image, *arguments)
    assert result.code == 0, result.stderr
    (found,) = json.loads(result.stdout)["images"][0]["objects"]
    check_object(found, case["expected"][0], False)

    case = cases["mask"]
    mask = tmp_path / "mask.png"
    Image.fromarray(decode(case["objects"][0]["mask"]).astype(np.uint8) * 255).save(mask)
    result = run(
        "infer", "--model", exported("hf", "video_a"), "--image", image, "--object-mask", mask
    )
    (found,) = json.loads(result.stdout)["images"][0]["objects"]
    check_object(found, case["expected"][0], False)


def test_texts_and_clicks_are_answered_together(run, exported, infer, tmp_path):
    case = cases_of("video_a")[0]
    image = draw(tmp_path, case)
    both = infer("video_a", [image], {"objects": case["objects"]}, "--text", "dog", "--multimask")
    texts = run("infer", "--model", exported("hf", "video_a"), "--image", image, "--text", "dog")
    assert both[0]["prompts"] == json.loads(texts.stdout)["images"][0]["prompts"]
    check_object(both[0]["objects"][0], case["expected"][0], True)


def test_a_file_of_prompts_places_objects_on_images(infer, tmp_path):
    case = next(case for case in cases_of("video_a") if case["name"] == "three_objects")
    first = draw(tmp_path, case)
    second = tmp_path / "second.png"
    second.write_bytes(first.read_bytes())
    objects = [dict(entry, image="second.png") for entry in case["objects"]]
    concepts = [{"text": "dog"}, {"text": "cat", "image": first.name}]
    images = infer("video_a", [first, second], {"objects": objects, "concepts": concepts})
    assert "objects" not in images[0]
    assert [p["text"] for p in images[0]["prompts"]] == ["dog", "cat"]
    assert [p["text"] for p in images[1]["prompts"]] == ["dog"]
    for found, expected in zip(images[1]["objects"], case["expected"], strict=True):
        check_object(found, expected, False)


def test_objects_are_annotations_of_a_coco_data_set(infer, run, exported, tmp_path):
    case = next(case for case in cases_of("video_a") if case["name"] == "two_boxes")
    image, output = draw(tmp_path, case), tmp_path / "coco.json"
    prompts = tmp_path / "p.json"
    prompts.write_text(json.dumps({"objects": case["objects"]}), encoding="utf-8")
    command = ["infer", "--model", exported("hf", "video_a"), "--image", image]
    result = run(*command, "--prompts", prompts, "--format", "coco", "--output", output)
    assert result.code == 0, result.stderr
    document = json.loads(output.read_text(encoding="utf-8"))
    assert [c["name"] for c in document["categories"]] == ["object"]
    for annotation in document["annotations"]:
        x, y, width, height = annotation["bbox"]
        mask = decode(annotation["segmentation"])
        assert mask[int(y) : int(y + height), int(x) : int(x + width)].sum() == mask.sum()
    assert len(document["annotations"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--point", "500,20"], "outside the image"),
        (["--point", "5"], "--point"),
        (["--point", "nan,4"], "--point"),
        (["--object-box", "10,10,5,20"], "--object-box"),
        (["--object-box", "300,300,400,400"], "does not touch"),
        (["--text", "dog", "--multimask"], "--multimask"),
        (["--prompts", "missing.json"], "missing.json"),
    ],
)
def test_objects_that_cannot_be_are_refused(run, exported, tmp_path, arguments, message):
    image = draw(tmp_path, cases_of("video_a")[0])
    result = run(
        "infer", "--model", exported("hf", "video_a"), "--image", image, *arguments, cwd=tmp_path
    )
    assert result.code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([{"id": 1, "points": [[3, 4]], "image": "other.png"}], "not among"),
        ([{"id": 1, "points": [[3, 4]], "frame": 3}], "track"),
        ([{"id": 1}], "points at nothing"),
        ([{"id": 1, "mask": {"size": [3, 4], "counts": [0, 12]}}], "mask"),
    ],
)
def test_objects_of_a_file_that_cannot_be_are_refused(infer, tmp_path, objects, message):
    image = draw(tmp_path, cases_of("video_a")[0])
    assert message in infer("video_a", [image], {"objects": objects}, code=2)


def test_a_mask_of_another_size_is_refused(run, exported, tmp_path):
    image, mask = draw(tmp_path, cases_of("video_a")[0]), tmp_path / "mask.png"
    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(mask)
    result = run(
        "infer", "--model", exported("hf", "video_a"), "--image", image, "--object-mask", mask
    )
    assert result.code == 2
    assert "30x20" in result.stderr


def test_a_model_that_only_detects_says_so(run, exported, tmp_path):
    image = draw(tmp_path, cases_of("video_a")[0])
    result = run("infer", "--model", exported("hf", "tiny_a"), "--image", image, "--point", "9,9")
    assert result.code == 2
    assert "export" in result.stderr


def iou_of(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return both / (sum(areas) - both) if sum(areas) > both else 0


def test_masks_of_everything_are_the_best_of_a_grid_of_clicks(infer, run, exported, tmp_path):
    image = draw(tmp_path, cases_of("video_a")[0])
    width, height = Image.open(image).size
    centres = [(i + 0.5) / 4 for i in range(4)]
    grid = [
        {"id": i, "points": [[x * width, y * height]]}
        for i, (y, x) in enumerate((y, x) for y in centres for x in centres)
    ]
    clicked = infer("video_a", [image], {"objects": grid}, "--multimask")[0]["objects"]
    candidates = {
        (candidate["score"], candidate["mask"]["counts"])
        for one in clicked
        for candidate in one["candidates"]
    }
    command = ["infer", "--model", exported("hf", "video_a"), "--image", image, "--everything"]
    limits = ["--points-per-side", 4, "--min-iou", 0, "--min-stability", 0, "--box-nms", 0.6]
    result = run(*command, *limits)
    assert result.code == 0, result.stderr
    found = json.loads(result.stdout)["images"][0]["objects"]
    assert found
    assert [one["id"] for one in found] == list(range(1, len(found) + 1))
    assert all((one["score"], one["mask"]["counts"]) in candidates for one in found)
    assert all(one["score"] > 0 for one in found)
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    for i, one in enumerate(found):
        assert all(iou_of(one["box"], other["box"]) <= 0.6 for other in found[:i])
    # whatever is missing overlaps what was kept, or is too weak
    for score, counts in candidates:
        box = box_of(decode({"size": [height, width], "counts": counts}))
        assert any(
            score <= one["score"] and (iou_of(box, one["box"]) > 0.6 or box == one["box"])
            for one in found
        )

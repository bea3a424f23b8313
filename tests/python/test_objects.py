"""Clicks, boxes and masks on images: Segmenter.interact against Sam3TrackerModel."""

import json
import subprocess

import numpy as np
import pytest
import sam3trt
from clips import GOLDENS, decode, draw
from PIL import Image

NAMES = sorted(path.name.split(".")[0] for path in GOLDENS.glob("*.objects.json"))


def cases_of(name: str) -> dict[str, dict]:
    document = json.loads((GOLDENS / f"{name}.objects.json").read_text(encoding="utf-8"))
    return {case["name"]: case for case in document["cases"]}


def image_of(case: dict) -> np.ndarray:
    return draw(case["image"]["clip"], case["image"]["frame"])


def arguments_of(case: dict) -> dict:
    """What interact() is called with; one object is described without a list around it."""
    objects = case["objects"]
    columns = {
        "points": [entry.get("points") for entry in objects],
        "labels": [entry.get("point_labels") for entry in objects],
        "box": [entry.get("box") for entry in objects],
        "mask": [decode(entry["mask"]) if "mask" in entry else None for entry in objects],
    }
    columns = {
        name: items for name, items in columns.items() if not all(item is None for item in items)
    }
    if len(objects) == 1:
        columns = {name: items[0] for name, items in columns.items()}
    return columns | {"multimask": case["multimask"]}


def check(found: sam3trt.ObjectResult, expected: dict, multimask: bool) -> None:
    score = 1 / (1 + np.exp(-expected["object_score_logit"]))
    assert found.object_score == pytest.approx(score, abs=1e-5)
    assert found.score == pytest.approx(expected["masks"][expected["best"]]["score"], abs=1e-5)
    masks = found.candidates if multimask else [found]
    for one, other in zip(masks, expected["masks"], strict=True):
        assert one.score == pytest.approx(other["score"], abs=1e-5)
        # only pixels whose logit is within rounding of 0 may differ
        assert (one.mask != decode(other["mask"])).sum() <= other["near_zero"]
        assert one.area == one.mask.sum()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return image_of(cases_of("video_a")["one_click"])


@pytest.fixture(scope="module")
def features(tracker, image):
    return tracker.encode(image)


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_segmented_as_the_reference_does(segmenters, name):
    segmenter, cases = segmenters(name), cases_of(name)
    features = segmenter.encode(image_of(next(iter(cases.values()))))
    for case in cases.values():
        previous = {}
        if "previous" in case:
            before = cases[case["previous"]]
            logits = segmenter.interact(features, **arguments_of(before)).logits
            previous["previous"] = logits if len(case["objects"]) > 1 else logits[0]
        found = segmenter.interact(features, **arguments_of(case), **previous)
        assert found.size == (case["image"]["height"], case["image"]["width"])
        assert found.ids.tolist() == [entry["id"] for entry in case["objects"]]
        for one, expected in zip(found, case["expected"], strict=True):
            check(one, expected, case["multimask"])
    assert {"refined", "three_objects", "mask_and_click"} <= set(cases)


def test_logits_of_a_result_refine_a_later_one(tracker, features):
    cases = cases_of("video_a")
    first = tracker.interact(features, **arguments_of(cases["one_click"]))
    assert first.logits.shape == (1, *first[0].logits.shape)
    assert first[0].logits.dtype == np.float32
    assert first[0].logits.shape[0] == first[0].logits.shape[1]
    arguments = arguments_of(cases["refined"])
    for previous in (first[0].logits, first.logits, [first[0].logits]):
        refined = tracker.interact(features, **arguments, previous=previous)
        check(refined[0], cases["refined"]["expected"][0], False)
    plain = tracker.interact(features, **arguments)
    assert not np.allclose(plain.logits, refined.logits)
    without = tracker.interact(features, **arguments, logits=False)
    assert without[0].logits is None and np.array_equal(without.masks, plain.masks)
    with pytest.raises(ValueError, match="logits=False"):
        _ = without.logits


def test_an_image_is_encoded_where_it_is_given(tracker, features, image, tmp_path):
    arguments = arguments_of(cases_of("video_a")["box_and_points"])
    expected = tracker.interact(features, **arguments)
    path = tmp_path / "scene.png"
    Image.fromarray(image).save(path)
    for given in (image, Image.fromarray(image), path):
        found = tracker.interact(given, **arguments)
        assert np.array_equal(found.masks, expected.masks)
        assert np.array_equal(found.scores, expected.scores)
    assert found.path == str(path)
    several = tracker.interact([image, path], **arguments)
    assert tracker.interact([], **arguments) == []
    assert [one.path for one in several] == [None, str(path)]
    assert all(np.array_equal(one.masks, expected.masks) for one in several)


def test_the_forms_of_clicks_and_boxes_mean_the_same(tracker, features):
    def same(*calls):
        masks = [tracker.interact(features, **call).masks for call in calls]
        assert all(np.array_equal(masks[0], one) for one in masks)

    point, other, box = [65.25, 37.5], [77.5, 90.5], [36.75, 19.75, 80.25, 55.0]
    same(
        {"points": point},
        {"points": [point]},
        {"points": [[point]]},
        {"points": np.array(point), "labels": 1},
        {"points": np.array([point]), "labels": np.array([1])},
        {"points": np.array([[point]], np.float32), "labels": [[True]]},
    )
    same(
        {"points": [point, other], "labels": [1, 0]},
        {"points": [(*point,), (*other,)], "labels": (True, False)},
    )
    same({"box": box}, {"box": [box]}, {"box": np.array(box)})
    same(
        {"points": [[point], [other, point]], "labels": [[1], [1, 0]]},
        {"points": [np.array([point]), np.array([other, point])], "labels": [None, [1, 0]]},
    )
    mixed = tracker.interact(features, points=[None, [point]], box=[box, None])
    assert np.array_equal(mixed.masks[0], tracker.interact(features, box=box).masks[0])
    assert np.array_equal(mixed.masks[1], tracker.interact(features, points=point).masks[0])


def test_masks_are_bool_or_numbers_of_a_byte(tracker, features):
    case = cases_of("video_a")["mask"]
    mask = decode(case["objects"][0]["mask"])
    for given in (mask, mask.astype(np.uint8) * 255, mask[None], np.asfortranarray(mask), [mask]):
        check(tracker.interact(features, mask=given)[0], case["expected"][0], False)


def test_results_are_the_documents_of_the_program(tracker, program, graphs_of, image, tmp_path):
    path, prompts = tmp_path / "scene.png", tmp_path / "prompts.json"
    Image.fromarray(image).save(path)
    for name in ("two_boxes", "three_objects"):
        case = cases_of("video_a")[name]
        prompts.write_text(json.dumps({"objects": case["objects"]}), encoding="utf-8")
        command = [program, "infer", "--model", graphs_of("video_a"), "--image", path]
        command += ["--prompts", prompts] + ["--multimask"] * case["multimask"]
        document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        entry = tracker.interact(path, **arguments_of(case)).to_entry()
        expected = document["images"][0]
        assert set(entry.pop("timings_ms")) == set(expected.pop("timings_ms"))
        assert entry == expected


def test_objects_are_a_sequence_with_arrays(tracker, features):
    found = tracker.interact(features, box=[[36.75, 19.75, 80.25, 55], [58.5, 68.75, 95.25, 99.75]])
    assert len(found) == 2 and [one.id for one in found] == [1, 2]
    assert found[1] is found[-1] and len(found[:1]) == 1
    assert found.masks.shape == (2, *found.size) and found.masks.dtype == bool
    assert found.boxes.shape == (2, 4) and found.boxes.dtype == np.float32
    assert found.scores.shape == (2,) and found.object_scores.shape == (2,)
    assert found.areas.tolist() == found.masks.sum((1, 2)).tolist()
    for one, mask, rle in zip(found, found.masks, found.rle):
        assert np.array_equal(one.mask, mask) and np.array_equal(decode(rle), mask)
        rows, columns = np.nonzero(mask) if mask.any() else (np.zeros(1), np.zeros(1))
        assert one.box.tolist() == [columns.min(), rows.min(), columns.max(), rows.max()]
        assert one.candidates == []
    assert "136x104" in repr(found)
    assert found.plot(features._images[0]).size == (136, 104)


MASK = np.ones((104, 136), bool)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, sam3trt.BadInputError, "nothing to point at"),
        ({"points": []}, sam3trt.BadInputError, "nothing points at it"),
        ({"points": 3}, TypeError, "points: expected"),
        ({"points": "3,4"}, TypeError, "points: expected"),
        ({"points": ["a", "b"]}, TypeError, "points: expected"),
        ({"points": [1, 2, 3]}, sam3trt.BadInputError, r"points: .*shape \(3,\)"),
        ({"points": [[1, 2], [3]]}, TypeError, "points: expected"),
        ({"points": [[[[1, 2]]]]}, sam3trt.BadInputError, "4 dimensions"),
        ({"points": [500, 20]}, sam3trt.BadInputError, "outside the image"),
        ({"points": [float("nan"), 20]}, sam3trt.BadInputError, "not a finite number"),
        ({"points": [[[5, 6]], 7]}, sam3trt.BadInputError, r"points: .*shape \(\)"),
        ({"points": [10**400, 20]}, TypeError, "points: expected"),
        ({"points": {"x": 3}}, TypeError, "points: expected"),
        ({"labels": [1]}, sam3trt.BadInputError, "nothing to point at"),
        ({"box": [1, 2, 30, 40], "labels": [1]}, sam3trt.BadInputError, "labels: .*points="),
        ({"points": [5, 6], "labels": [1, 0]}, sam3trt.BadInputError, "one for each of 1 points"),
        ({"points": [5, 6], "labels": [2]}, sam3trt.BadInputError, "1 .* or 0"),
        ({"points": [5, 6], "labels": [[1]]}, sam3trt.BadInputError, "1 .* or 0"),
        ({"points": [5, 6], "labels": "x"}, sam3trt.BadInputError, "labels: expected"),
        ({"points": [[[5, 6]], [[7, 8]]], "labels": [1]}, sam3trt.BadInputError, "of 2 objects"),
        ({"box": [1, 2, 3]}, sam3trt.BadInputError, r"box: .*shape \(3,\)"),
        ({"box": 4}, TypeError, "box: expected"),
        ({"box": "1,2,3,4"}, TypeError, "box: expected"),
        ({"box": [9, 9, 3, 3]}, sam3trt.BadInputError, "box"),
        ({"box": [300, 300, 400, 400]}, sam3trt.BadInputError, "does not touch"),
        (
            {"box": [[1, 2, 30, 40], [5, 6, 70, 80]], "points": [5, 6]},
            sam3trt.BadInputError,
            "points of 1, box of 2",
        ),
        ({"mask": MASK.astype(np.float32)}, TypeError, "mask: .*found float32"),
        ({"mask": MASK[0]}, sam3trt.BadInputError, r"mask: .*shape \(136,\)"),
        ({"mask": MASK[:20, :30]}, sam3trt.BadInputError, "30x20"),
        ({"mask": ~MASK[:0]}, sam3trt.BadInputError, "mask"),
        ({"mask": "m.png"}, TypeError, "mask: expected"),
        ({"mask": [MASK, None]}, sam3trt.BadInputError, "object 2: nothing points at it"),
        ({"previous": np.zeros((8, 8), np.float32)}, sam3trt.BadInputError, "side 8"),
        ({"previous": np.zeros((8, 9), np.float32)}, sam3trt.BadInputError, r"\(8, 9\)"),
        ({"previous": np.zeros((8, 8), np.int32)}, TypeError, "previous: .*int32"),
    ],
)
def test_objects_that_cannot_be_are_refused(tracker, features, arguments, kind, message):
    with pytest.raises(kind, match=message):
        tracker.interact(features, **arguments)


def test_a_mask_and_logits_together_are_refused(tracker, features):
    logits = tracker.interact(features, points=[65, 37])[0].logits
    with pytest.raises(sam3trt.BadInputError, match="give one of them"):
        tracker.interact(features, mask=MASK, previous=logits)
    logits[3, 4] = np.inf
    with pytest.raises(sam3trt.BadInputError, match="not a finite number"):
        tracker.interact(features, previous=logits)


def test_a_model_that_only_detects_says_so(segmenters, image):
    segmenter = segmenters("tiny_a")
    for given in (image, segmenter.encode(image)):
        with pytest.raises(sam3trt.BadInputError, match="only detects.*--component all"):
            segmenter.interact(given, points=[9, 9])


def test_features_of_another_model_are_refused(segmenters, features):
    with pytest.raises(sam3trt.BadInputError, match="another model"):
        segmenters("video_c").interact(features, points=[9, 9])

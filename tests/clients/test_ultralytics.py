"""sam3trt.compat.ultralytics has what ultralytics' Results have, with the same values.

Their SAM 3 model itself has fixed sizes and reads Meta's published weights alone, so it cannot run
the small checkpoint; its Results are made here of the Segmenter's arrays.
"""

import cv2
import numpy as np
import pytest
import torch
from conftest import TEXTS
from sam3trt.compat.ultralytics import SAM3SemanticPredictor
from ultralytics.engine.results import Results
from ultralytics.models.sam.build_sam3 import build_sam3_image_model


@pytest.fixture(scope="module")
def ours(segmenter, drawn):
    predictor = SAM3SemanticPredictor(overrides={"model": segmenter, "conf": 0.25})
    predictor.set_image(cv2.imread(str(drawn[1])))
    (results,) = predictor(text=TEXTS)
    assert len(results) >= 5
    return results


@pytest.fixture(scope="module")
def theirs(ours, segmenter, drawn):
    image = cv2.imread(str(drawn[1]))
    found = segmenter(image[..., ::-1].copy(), text=TEXTS, threshold=0.25)
    order = np.argsort(-found.scores, kind="stable")
    columns = np.concatenate(
        [found.boxes, found.scores[:, None], found.labels[:, None]], axis=1
    ).astype(np.float32)
    return Results(
        image,
        path="image0.jpg",
        names=dict(enumerate(TEXTS)),
        boxes=torch.from_numpy(columns[order]),
        masks=torch.from_numpy(found.masks[order].copy()),
    )


@pytest.mark.parametrize("name", ["data", "xyxy", "xywh", "xyxyn", "xywhn", "conf", "cls"])
def test_boxes_are_equal(ours, theirs, name):
    expected, found = getattr(theirs.boxes, name), getattr(ours.boxes, name)
    assert isinstance(found, torch.Tensor) and found.dtype == expected.dtype
    assert torch.allclose(found, expected, atol=1e-4)


def test_masks_are_equal(ours, theirs):
    assert torch.equal(ours.masks.data, theirs.masks.data)
    assert ours.masks.orig_shape == tuple(theirs.masks.orig_shape)


def test_outlines_enclose_the_same(ours, theirs):
    """Theirs run through the middles of the pixels at the edge, ours along their outer sides."""
    compared = 0
    for key, scale in (("xy", 1), ("xyn", np.array([640, 440]))):
        for index, found in enumerate(getattr(ours.masks, key)):
            assert found.dtype == np.float32 and found.shape[1] == 2
            mask = ours.masks.data[index].numpy().astype(np.uint8)
            if len(cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]) > 1:
                continue  # parts are joined there, one after the other here
            expected = (getattr(theirs.masks, key)[index] * scale).astype(np.float32)
            border = cv2.arcLength(expected, closed=True)
            area = cv2.contourArea((found * scale).astype(np.float32))
            assert area == pytest.approx(cv2.contourArea(expected) + border / 2, abs=border / 4 + 4)
            compared += 1
    assert compared >= 8


def test_the_rest_is_equal(ours, theirs):
    assert ours.names == theirs.names
    assert ours.orig_shape == tuple(theirs.orig_shape)
    assert np.array_equal(ours.orig_img, theirs.orig_img)
    assert set(ours.speed) == set(theirs.speed)
    assert len(ours) == len(theirs) == len(ours.boxes) == len(ours.masks)
    assert ours.plot().shape == theirs.plot().shape


def test_usual_code_works(ours, theirs):
    def usual(results):
        lines = []
        for result in results:
            for box in result.boxes:
                x0, y0, x1, y1 = map(int, box.xyxy[0].tolist())
                name = result.names[int(box.cls)]
                lines.append(f"{name} {float(box.conf):.2f} {x0} {y0} {x1} {y1}")
            for mask in result.masks.data.cpu().numpy():
                lines.append(int(mask.sum()))
        return lines

    assert usual([ours]) == usual([theirs])


def test_picked_rows_are_equal(ours, theirs):
    for index in (0, slice(1, 3), theirs.boxes.conf > 0.9, [2, 1]):
        expected, found = theirs[index], ours[index]
        assert torch.allclose(found.boxes.data, expected.boxes.data, atol=1e-4)
        assert torch.equal(found.masks.data, expected.masks.data)


def test_suppression_is_torchvision_s():
    from sam3trt.compat.ultralytics import _suppressed
    from torchvision.ops import batched_nms

    random = np.random.default_rng(5)
    for _ in range(20):
        corners = random.uniform(0, 60, (200, 2))
        boxes = np.concatenate([corners, corners + random.uniform(5, 40, (200, 2))], axis=1)
        boxes = boxes.astype(np.float32)
        scores = random.permutation(200).astype(np.float32) / 200
        groups = random.integers(0, 3, 200)
        expected = batched_nms(
            torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(groups), 0.5
        )
        assert _suppressed(boxes, scores, groups, 0.5).tolist() == expected.tolist()


def test_their_model_takes_no_sizes_from_a_checkpoint():
    """What the comparison in docs/comparison.md says of it."""
    import inspect

    assert not {"config", "img_size", "embed_dim"} & set(
        inspect.signature(build_sam3_image_model).parameters
    )

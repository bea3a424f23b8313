"""Run lengths against pycocotools."""

import numpy as np
import pytest
from pycocotools import mask as coco
from sam3trt import rle

SHAPES = [(1, 1), (3, 5), (40, 1), (1, 40), (50, 70), (240, 320)]


def masks():
    random = np.random.default_rng(3)
    for shape in SHAPES:
        for share in (0.0, 0.02, 0.5, 1.0):
            yield random.random(shape) < share
    blob = np.zeros((700, 900), dtype=bool)
    blob[30:650, 200:800] = True
    blob[100:300, 300:700] = False
    yield blob


def test_strings_are_those_of_pycocotools():
    for mask in masks():
        expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert rle.to_string(rle.encode(mask)) == expected["counts"].decode()


def test_masks_come_back_from_counts_and_strings():
    for mask in masks():
        counts = rle.encode(mask)
        assert counts.dtype == np.uint32
        again = rle.from_string(rle.to_string(counts))
        assert again.dtype == np.uint32 and np.array_equal(again, counts)
        assert np.array_equal(rle.decode(again, mask.shape), mask)


def test_a_mask_is_decoded_into_the_array_that_is_given():
    mask = np.eye(9, 5, dtype=bool)
    out = np.zeros((2, 9, 5), dtype=bool)
    assert rle.decode(rle.encode(mask), mask.shape, out=out[1]).base is out
    assert np.array_equal(out[1], mask) and not out[0].any()


def test_runs_of_no_pixels_are_allowed():
    counts = np.array([1, 2, 0, 1, 0, 0, 2], dtype=np.uint32)
    expected = coco.decode({"size": [3, 2], "counts": rle.to_string(counts).encode()})
    assert np.array_equal(rle.decode(counts, (3, 2)), expected.astype(bool))


def test_the_largest_runs_keep_their_value():
    counts = np.array([0, 1, 2, 0xFFFFFFFF, 0, 0, 0xFFFFFFFF], dtype=np.uint32)
    assert np.array_equal(rle.from_string(rle.to_string(counts)), counts)


def test_values_other_than_zero_are_inside():
    assert np.array_equal(rle.encode(np.array([[0, 7], [0.5, 0]])), [1, 2, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("04 ", "malformed at character 2"),
        ("0\x7f", "malformed at character 1"),
        ("0\u00e9", "malformed at character 1"),
        ("0Q", "ends inside a number"),
        ("0" + "P" * 7 + "0", "malformed at character 8"),
        ("O", "has the run -1 before character 1"),
        ("000" + "O", "has the run -1 before character 4"),
    ],
)
def test_a_malformed_string_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        rle.from_string(text)


@pytest.mark.parametrize("counts", [[5], [7], [0xFFFFFFFF, 0xFFFFFFFF], []])
def test_runs_that_do_not_fill_the_mask_are_an_error(counts):
    with pytest.raises(ValueError, match="expected 3x2"):
        rle.decode(np.array(counts, dtype=np.uint32), (2, 3))


def test_a_mask_has_two_dimensions():
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\)"):
        rle.encode(np.zeros((1, 2, 3)))

"""Run lengths in C++ are those of pycocotools."""

import numpy as np
import pycocotools.mask
import pytest
import sam3trt
from sam3trt import _core


@pytest.fixture
def masks() -> np.ndarray:
    """bool (6, 9, 7): empty, full, corners, and random ones."""
    random = np.random.default_rng(3)
    masks = random.random((6, 9, 7)) < 0.4
    masks[0] = False
    masks[1] = True
    masks[2] = False
    masks[2, 0, 0] = masks[2, 8, 6] = True
    return masks


def test_masks_become_what_pycocotools_makes_of_them(masks):
    for mask in masks:
        counts = _core.encode_rle(mask)
        assert counts.dtype == np.uint32
        expected = pycocotools.mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
        assert _core.rle_to_string(counts) == expected
        np.testing.assert_array_equal(_core.string_to_rle(expected), counts)
        assert _core.rle_area(counts) == mask.sum()
        decoded = _core.decode_rle(counts, 9, 7)
        assert decoded.dtype == bool
        np.testing.assert_array_equal(decoded, mask)


def test_several_masks_are_decoded_together(masks):
    counts = [_core.encode_rle(mask) for mask in masks]
    decoded = _core.decode_rles(counts, 9, 7)
    assert decoded.shape == masks.shape and decoded.dtype == bool
    np.testing.assert_array_equal(decoded, masks)
    assert _core.decode_rles([], 9, 7).shape == (0, 9, 7)


def test_runs_that_do_not_fill_the_mask_are_refused(masks):
    counts = _core.encode_rle(masks[3])
    for height, width in ((9, 8), (8, 7), (0, 7), (-1, 7), (1 << 40, 1 << 40)):
        with pytest.raises(sam3trt.BadInputError):
            _core.decode_rle(counts, height, width)
    with pytest.raises(sam3trt.BadInputError):
        _core.string_to_rle("~~~~\x01")


def test_counts_of_another_type_are_not_converted(masks):
    counts = _core.encode_rle(masks[3])
    for wrong in (counts.astype(np.int64), counts.astype(np.float64), counts.tolist(), counts[::2]):
        with pytest.raises(TypeError):
            _core.decode_rle(wrong, 9, 7)
    for wrong in (masks[3].astype(np.float32), masks[3, 0], masks[3].T):
        with pytest.raises(TypeError):
            _core.encode_rle(wrong)

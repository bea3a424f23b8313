"""torch's tensors as images, and bits of masks as torch's tensors; on the CPU."""

import numpy as np
import pytest
import torch
from sam3trt.device import unpack
from sam3trt.intake import _interleaved, to_input


@pytest.fixture
def rgb() -> np.ndarray:
    """uint8 (5, 7, 3), every value another."""
    return np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def pixels(image) -> np.ndarray:
    return to_input(image).rgb()


def test_torch_tensors_are_read_in_place(rgb):
    tensor = torch.from_numpy(rgb)
    assert to_input(tensor).shares_memory
    np.testing.assert_array_equal(pixels(tensor), rgb)
    planes = tensor.permute(2, 0, 1).contiguous()
    np.testing.assert_array_equal(pixels(planes), rgb)
    np.testing.assert_array_equal(pixels(planes.permute(1, 2, 0)), rgb)
    np.testing.assert_array_equal(pixels(tensor.flip(0)), rgb[::-1])
    for dtype in (torch.float32, torch.bfloat16, torch.int64, torch.bool):
        with pytest.raises(TypeError, match="expected an array of uint8"):
            to_input(tensor.to(dtype))
    with pytest.raises(TypeError, match="expected an array of uint8"):
        to_input(torch.zeros(4, 4, 3, requires_grad=True))


def test_tensors_whose_rows_can_be_read_are_not_made_contiguous(rgb):
    tensor = torch.from_numpy(rgb)
    for view in (tensor, tensor[1:3], tensor[:, 2:5], tensor[::2], tensor[..., 0].contiguous()):
        assert _interleaved(view).data_ptr() == view.data_ptr()
    for view in (tensor[:, ::2], tensor.flip(2), tensor[..., 0], tensor.permute(1, 0, 2)):
        assert _interleaved(view).is_contiguous()
    planes = tensor.permute(2, 0, 1)
    assert _interleaved(planes).data_ptr() == tensor.data_ptr()
    assert _interleaved(planes.contiguous()).shape == tensor.shape


def test_bits_of_masks_are_unpacked():
    mask = np.random.default_rng(5).random((70, 9)) < 0.5
    padded = np.zeros((96, 9), np.uint64)
    padded[:70] = mask
    words = (padded.reshape(3, 32, 9) << np.arange(32, dtype=np.uint64)[:, None]).sum(axis=1)
    tensor = torch.from_numpy(words.astype(np.uint32).view(np.int32))
    np.testing.assert_array_equal(unpack(tensor, 70).numpy(), mask)


def test_a_tensor_gives_what_its_file_gives(segmenter, drawn):
    expected = segmenter(drawn[0], text=["red circle", "blue star"])
    array = to_input(drawn[0]).rgb()
    for tensor in (torch.from_numpy(array), torch.from_numpy(array).permute(2, 0, 1)):
        result = segmenter(tensor, text=["red circle", "blue star"])
        np.testing.assert_array_equal(result.scores, expected.scores)
        np.testing.assert_array_equal(result.masks, expected.masks)

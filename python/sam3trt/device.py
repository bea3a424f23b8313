"""Masks that stay in the memory of the GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import _core


class DeviceMasks:
    """The masks of a result as bits on the GPU that found them; the memory lives as long as these.

    ``masks[i]`` is one mask as int32 (ceil(H / 32), W), an object with ``__dlpack__`` that torch,
    CuPy and others take without a copy: bit ``y % 32`` of element ``[y // 32, x]`` is the pixel
    (x, y), and bits below the last row are 0. :meth:`to_torch` makes all of them bool tensors.
    """

    def __init__(self, masks: list[_core.DeviceMask], size: tuple[int, int], ordinal: int) -> None:
        self._masks = masks
        self._ordinal = ordinal
        #: Height and width of the image.
        self.size = size

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, index: int) -> Any:
        return self._masks[index].words(*self.size, self._ordinal)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def select(self, indices: Iterable[int]) -> DeviceMasks:
        """Some of the masks, in that order; they share the memory."""
        return DeviceMasks([self._masks[index] for index in indices], self.size, self._ordinal)

    def to_torch(self) -> Any:
        """bool (N, H, W), a tensor on the GPU; nothing goes through the host."""
        import torch

        if not self._masks:
            return torch.zeros((0, *self.size), dtype=torch.bool, device=f"cuda:{self._ordinal}")
        return torch.stack([unpack(torch.from_dlpack(words), self.size[0]) for words in self])


def unpack(words: Any, height: int) -> Any:
    """The pixels, bool (height, W), of a tensor of words, int32 (ceil(height / 32), W)."""
    import torch

    bits = torch.arange(32, dtype=torch.int32, device=words.device)[None, :, None]
    return (((words[:, None] >> bits) & 1) != 0).reshape(-1, words.shape[1])[:height]

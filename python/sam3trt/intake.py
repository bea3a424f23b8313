"""What users hand over as an image, as what the C++ module takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

from . import _core
from .errors import Error

#: An image: a path, the bytes of an image file, a PIL image, or an array of uint8 in RGB order.
ImageLike: TypeAlias = Any
Take: TypeAlias = Callable[[ImageLike], _core.InputImage]

_KINDS = (
    "a path, the bytes of an image file, a PIL image, or an array of uint8 "
    "(numpy, torch, or anything with __dlpack__)"
)
_DLPACK_CUDA = (2, 13)  # kDLCUDA, kDLCUDAManaged
_READERS = 4  # Threads that decode files; a model on a GPU takes images faster than one does.
_LEGACY_STREAM = 1  # of DLPack: CUDA's legacy default stream


def is_sequence_of_images(images: Any) -> bool:
    """Whether it is a list or a tuple, and so several images."""
    return isinstance(images, (list, tuple))


def to_input(image: ImageLike) -> _core.InputImage:
    """The image for a call. Raises TypeError for what is no image, BadInputError for a bad one."""
    if isinstance(image, _core.InputImage):
        return image
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        return _core.InputImage.read(path if isinstance(path, str) else os.fsdecode(path))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _core.InputImage.decode(bytes(image), "the image's bytes")
    if _is_pil(image):
        return _of_array(_pil_to_array(image))
    return _of_array(image)


def read_ahead(
    images: Sequence[ImageLike], size: int, take: Take
) -> Iterator[list[tuple[ImageLike, _core.InputImage | Exception]]]:
    """The images in lists of `size`, each with what `take` makes of it or why it makes nothing.

    Files of the next list are decoded, in threads, while the caller works with this one.
    """
    lists = [images[first : first + size] for first in range(0, len(images), size)]
    with ThreadPoolExecutor(min(_READERS, max(1, len(images)))) as readers:
        ahead: Any = None
        try:
            for number, some in enumerate(lists):
                begun = ahead if ahead is not None else _begin(readers, some, take)
                is_last = number + 1 == len(lists)
                ahead = None if is_last else _begin(readers, lists[number + 1], take)
                yield [(image, _end(image, future, take)) for image, future in zip(some, begun)]
        finally:
            readers.shutdown(wait=True, cancel_futures=True)


def _begin(
    readers: ThreadPoolExecutor, images: Sequence[ImageLike], take: Take
) -> list[Future | None]:
    """What other threads may read: arrays belong to the stream of the calling one."""
    kinds = (str, os.PathLike, bytes, bytearray, memoryview)
    return [readers.submit(take, image) if isinstance(image, kinds) else None for image in images]


def _end(image: ImageLike, future: Future | None, take: Take) -> _core.InputImage | Exception:
    try:
        return take(image) if future is None else future.result()
    except (Error, TypeError) as error:
        return error


def _is_pil(image: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _pil_to_array(image: Any) -> Any:
    """As the decoder does with files: turned as EXIF says, then ``convert("RGB")``."""
    import numpy
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    return numpy.asarray(turned if turned.mode == "RGB" else turned.convert("RGB"))


def _of_array(image: Any) -> _core.InputImage:
    if _is_on_cuda(image):
        return _core.InputImage.of_array(_interleaved(image).__dlpack__(stream=_LEGACY_STREAM))
    if not hasattr(image, "__dlpack__") and not hasattr(image, "__array_interface__"):
        raise TypeError(f"image: expected {_KINDS}, found {type(image).__name__}")
    if _requires_grad(image):
        image = image.detach()
    try:
        return _core.InputImage.of_array(_native(image))
    except TypeError as error:
        if str(error).startswith("image:"):
            raise
        kind = f"{type(image).__name__} of {getattr(image, 'dtype', 'an unknown type')}"
        raise TypeError(f"image: expected an array of uint8 (0 to 255), found {kind}") from None


def _native(image: Any) -> Any:
    """A numpy array for what only speaks numpy's protocol; anything else as it is."""
    if hasattr(image, "__dlpack__"):
        return image
    import numpy

    return numpy.asarray(image)


def _requires_grad(image: Any) -> bool:
    return bool(getattr(image, "requires_grad", False)) and hasattr(image, "detach")


def _is_on_cuda(image: Any) -> bool:
    device = getattr(image, "__dlpack_device__", None)
    return device is not None and device()[0] in _DLPACK_CUDA


def _interleaved(image: Any) -> Any:
    """A CUDA array as height x width x channels; torch makes it so on the device."""
    shape = tuple(image.shape)
    if not hasattr(image, "permute"):
        return image
    image = image.detach() if _requires_grad(image) else image
    if len(shape) == 3 and shape[2] not in (3, 4) and shape[0] in (3, 4):
        image = image.permute(1, 2, 0)
    return image if _lies_in_rows(image) else image.contiguous()


def _lies_in_rows(image: Any) -> bool:
    """Whether the pixels of a tensor lie side by side, its rows anywhere."""
    if image.dim() not in (2, 3):
        return True  # which is refused
    width, channels = image.shape[1], image.shape[2] if image.dim() == 3 else 1
    steps = (channels, 1) if image.dim() == 3 else (1,)
    return tuple(image.stride()[1:]) == steps and image.stride(0) >= width * channels

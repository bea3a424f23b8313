"""What is taken as an image, to the pixel; nothing is converted in silence."""

import io

import numpy as np
import pytest
import sam3trt
from PIL import Image, ImageOps
from sam3trt.intake import to_input


@pytest.fixture
def rgb() -> np.ndarray:
    """uint8 (5, 7, 3), every value another."""
    return np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


class OnlyDlpack:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def pixels(image) -> np.ndarray:
    return to_input(image).rgb()


def test_an_array_is_read_in_place(rgb):
    taken = to_input(rgb)
    assert taken.shares_memory
    np.testing.assert_array_equal(taken.rgb(), rgb)
    rgb[2, 3] = 255
    np.testing.assert_array_equal(taken.rgb(), rgb)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[1:4],
        lambda a: a[:, 2:6],
        lambda a: a[::2],
        lambda a: np.concatenate([a, a[..., :1]], axis=2),
    ],
    ids=["rows", "columns", "every other row", "rgba"],
)
def test_what_rows_can_say_is_not_copied(rgb, view):
    taken = to_input(view(rgb))
    assert taken.shares_memory
    np.testing.assert_array_equal(taken.rgb(), view(rgb)[..., :3])


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1],
        lambda a: a[:, :, ::-1],
        lambda a: a[:, ::2],
        lambda a: a.transpose(1, 0, 2),
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[:1], a.shape),
        lambda a: np.broadcast_to(a[:, :1, :1], a.shape),
    ],
    ids=[
        "upside down",
        "mirrored",
        "bgr",
        "every other column",
        "transposed",
        "fortran",
        "one row",
        "one pixel",
    ],
)
def test_any_strides_give_the_same_pixels(rgb, view):
    taken = to_input(view(rgb))
    assert not taken.shares_memory
    np.testing.assert_array_equal(taken.rgb(), view(rgb))


def test_planes_are_taken_as_they_are_or_permuted(rgb):
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    np.testing.assert_array_equal(pixels(planes), rgb)
    np.testing.assert_array_equal(pixels(planes.transpose(1, 2, 0)), rgb)
    assert to_input(rgb.transpose(2, 0, 1).transpose(1, 2, 0)).shares_memory


def test_three_by_three_is_height_first():
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    np.testing.assert_array_equal(pixels(image), image)


def test_grey_is_repeated_and_alpha_left_out(rgb):
    grey = rgb[..., 0]
    np.testing.assert_array_equal(pixels(grey), np.repeat(grey[..., None], 3, axis=2))
    rgba = np.dstack([rgb, np.zeros((5, 7), np.uint8)])
    np.testing.assert_array_equal(pixels(rgba), rgb)
    np.testing.assert_array_equal(pixels(rgba[::-1]), rgb[::-1])


def test_a_read_only_array_is_taken(rgb):
    rgb.setflags(write=False)
    np.testing.assert_array_equal(pixels(rgb), rgb)


def test_anything_with_dlpack_is_taken(rgb):
    assert to_input(OnlyDlpack(rgb)).shares_memory
    np.testing.assert_array_equal(pixels(OnlyDlpack(rgb[:, ::-1])), rgb[:, ::-1])


def test_an_array_lives_as_long_as_the_image_made_of_it(rgb):
    expected = rgb.copy()
    taken = to_input(np.array(rgb))
    np.testing.assert_array_equal(taken.rgb(), expected)


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "bool", "int8", "int32", "int64", "uint16", "complex64"],
)
@pytest.mark.parametrize("wrap", [lambda a: a, OnlyDlpack], ids=["numpy", "dlpack"])
def test_another_type_than_uint8_is_a_type_error(rgb, dtype, wrap):
    with pytest.raises(TypeError, match=f"expected an array of uint8 .*found {dtype}"):
        to_input(wrap(rgb.astype(dtype)))


@pytest.mark.parametrize("dtype", ["O", "S3", "datetime64[s]", [("r", "u1"), ("g", "u1")]])
def test_arrays_of_no_numbers_are_a_type_error(dtype):
    with pytest.raises(TypeError, match="expected an array of uint8"):
        to_input(np.zeros((4, 4), dtype))


@pytest.mark.parametrize("image", [None, 3, 1.5, {}, object(), iter([])])
def test_what_is_no_image_is_a_type_error(image):
    with pytest.raises(TypeError, match="image: expected a path, the bytes of an image file"):
        to_input(image)


@pytest.mark.parametrize("shape", [(4,), (2, 5, 7, 3), (5, 7, 2), (5, 7, 5), (1, 5, 7), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(sam3trt.BadInputError, match=r"shape \(height, width, 3\).*found \("):
        to_input(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 7, 3), (5, 0, 3), (0, 0)])
def test_an_image_without_pixels_is_refused(shape):
    with pytest.raises(sam3trt.BadInputError, match="expected positive numbers"):
        to_input(np.zeros(shape, np.uint8))


def test_a_longer_side_than_any_image_may_have_is_refused():
    huge = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1 << 17, 1, 3))
    with pytest.raises(sam3trt.BadInputError, match="a side has at most 65536"):
        to_input(huge)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def test_files_and_their_bytes_are_decoded(rgb, tmp_path):
    data = encoded(Image.fromarray(rgb), "PNG")
    path = tmp_path / "image.png"
    path.write_bytes(data)
    for image in (path, str(path), data, bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(pixels(image), rgb)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_files_and_pil_images_are_turned_alike(rgb, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(rgb), "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(pixels(Image.open(io.BytesIO(data))), expected)
    np.testing.assert_array_equal(pixels(data), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_pil_images_of_any_mode_are_what_convert_gives(rgb, mode):
    image = Image.fromarray(rgb)
    image = Image.new(mode, (7, 5), 300) if mode == "I;16" else image.convert(mode)
    np.testing.assert_array_equal(pixels(image), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_a_file_gives_what_its_pil_image_gives(rgb, mode):
    image = Image.fromarray(rgb)
    image = Image.new(mode, (7, 5), 200) if mode == "I;16" else image.convert(mode)
    data = encoded(image, "PNG")
    np.testing.assert_array_equal(pixels(data), pixels(Image.open(io.BytesIO(data))))


def test_errors_of_files_are_those_of_the_program(tmp_path):
    with pytest.raises(sam3trt.BadInputError, match="nothing.jpg: cannot be opened: No such file"):
        to_input(tmp_path / "nothing.jpg")
    with pytest.raises(sam3trt.BadInputError, match="the image's bytes: "):
        to_input(b"text")
    with pytest.raises(sam3trt.BadInputError, match="the image's bytes: "):
        to_input(b"")
    with pytest.raises(sam3trt.BadInputError):
        to_input(tmp_path)
    with pytest.raises(sam3trt.BadInputError):
        to_input("")


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_formats_that_the_wheel_leaves_out_are_named(kind):
    header = b"\0\0\0\x1cftyp" + {"avif": b"avif", "heic": b"heic"}[kind] + b"\0" * 40
    with pytest.raises(sam3trt.BadInputError, match=f"{kind.upper()} image.*built without"):
        to_input(header)

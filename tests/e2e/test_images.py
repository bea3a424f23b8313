"""Images of every kind as input, overlays as output."""

import json
import os
import struct
import subprocess
import zlib
from pathlib import Path

import goldens
import numpy as np
import pytest
from PIL import Image, ImageOps

DATA = goldens.ROOT / "tests" / "data" / "image"
CAT = goldens.ROOT / "test_images" / "cat.jpg"


@pytest.fixture
def infer(program, exported):
    """infer(*arguments): runs the program on tiny_a."""

    def run(*arguments, env=None) -> subprocess.CompletedProcess:
        command = [program, "infer", "--model", exported("hf", "tiny_a"), *arguments]
        return subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | (env or {}),
        )

    return run


def saved(path: Path, kind: str, **options) -> Path:
    Image.open(CAT).convert("RGB").save(path, kind, **options)
    return path


def test_every_format_gives_the_result_of_its_pixels_as_png(infer, tmp_path):
    """GIF, TIFF, AVIF, WebP: the same as Pillow's pixels in a PNG."""
    frames = {"save_all": True, "append_images": [Image.new("RGB", (451, 300))]}
    files = [
        saved(tmp_path / "still.gif", "GIF"),
        saved(tmp_path / "moving.webp", "WEBP", **frames),
        saved(tmp_path / "packed.tif", "TIFF", compression="tiff_lzw"),
        saved(tmp_path / "photo.avif", "AVIF"),
    ]
    plain = []
    for path in files:
        plain.append(tmp_path / f"{path.stem}.png")
        ImageOps.exif_transpose(Image.open(path)).convert("RGB").save(plain[-1])
    run = infer("--image", *files, *plain, "--text", "red")
    assert run.returncode == 0, run.stderr
    images = json.loads(run.stdout)["images"]
    for found, expected in zip(images[: len(files)], images[len(files) :], strict=True):
        assert found["prompts"] == expected["prompts"]


def test_orientation_in_xmp_turns_the_image(infer):
    run = infer("--image", DATA / "jpeg_xmp6.jpg", DATA / "png_xmp5.png", "--text", "red")
    assert run.returncode == 0, run.stderr
    jpeg, png = json.loads(run.stdout)["images"]
    assert (jpeg["width"], jpeg["height"]) == (13, 21)
    assert (png["width"], png["height"]) == (9, 21)


def test_other_kinds_of_files_are_named_with_the_way_out(infer, tmp_path):
    kinds = {
        "a.psd": (b"8BPS\0\1", "Photoshop document", "save it as PNG"),
        "a.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG drawing", "PNG"),
        "a.jpg": (b"<!DOCTYPE html><html></html>", "HTML page", "the image itself"),
        "b.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
        "a.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video", "ffmpeg"),
    }
    for name, (data, _, _) in kinds.items():
        (tmp_path / name).write_bytes(data)
    run = infer("--image", *(tmp_path / name for name in kinds), CAT, "--text", "red")
    assert run.returncode == 2
    *refused, cat = json.loads(run.stdout)["images"]
    assert cat["prompts"]
    for image, (_, what, way_out) in zip(refused, kinds.values(), strict=True):
        assert what in image["error"]
        assert way_out in image["error"]


def test_an_image_that_is_too_long_is_an_entry(infer, tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    long = tmp_path / "long.png"
    long.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 70000, 1, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(70001)))
        + chunk(b"IEND", b"")
    )
    run = infer("--image", long, CAT, "--text", "red")
    assert run.returncode == 2
    refused, cat = json.loads(run.stdout)["images"]
    assert "70000x1" in refused["error"]
    assert "at most 65536 pixels" in refused["error"]
    assert cat["prompts"]


@pytest.mark.parametrize("name, kind", [("o.png", "PNG"), ("o.JPG", "JPEG"), ("o.webp", "WEBP")])
def test_an_overlay_has_the_format_of_its_name(infer, tmp_path, name, kind):
    overlay = tmp_path / name
    run = infer("--image", CAT, "--text", "red", "--threshold", "0", "--overlay", overlay)
    assert run.returncode == 0, run.stderr
    with Image.open(overlay) as image:
        assert image.format == kind
        assert image.size == (451, 300)


def overlay_of(infer, tmp_path, text, env=None):
    path = tmp_path / "overlay.png"
    run = infer("--image", CAT, "--text", text, "--overlay", path, "--threshold", "0", env=env)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return np.asarray(Image.open(path))


def test_labels_show_the_letters_of_the_text(infer, tmp_path):
    assert overlay_of(infer, tmp_path, "caf\u00e9 \u7ea2").shape == (300, 451, 3)


def test_labels_need_no_installed_font(infer, tmp_path):
    """Fontconfig finds nothing here, so that the letters are those that Cairo brings along."""
    empty = tmp_path / "fonts.conf"
    empty.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">'
        f"<fontconfig><dir>{tmp_path}/none</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    env = {"FONTCONFIG_FILE": str(empty)}
    assert overlay_of(infer, tmp_path, "caf\u00e9 \u7ea2", env).shape == (300, 451, 3)

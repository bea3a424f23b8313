"""Makes the reference data of the picture tests in tests/data/image/.

Usage: python tools/reference/image_goldens.py   (from the project's root)

Decoding is compared with Pillow, resizing with torchvision and PyTorch on the CPU, model input with
torchvision's normalisation, run lengths with pycocotools. Versions used are written into
goldens.json. Expected pictures are binary PPM files, so that no decoder under test reads them.
"""

import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.features
import pycocotools
import torch
import torchvision
from PIL import Image, ImageOps
from pycocotools import mask as coco
from torchvision.transforms.v2 import functional as tv

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "data" / "image"
RNG = np.random.default_rng(20251101)


def photo(name="example.jpg"):
    return Image.open(ROOT / "test_images" / name).convert("RGB")


def write_ppm(name, array):
    height, width, _ = array.shape
    (OUT / name).write_bytes(b"P6\n%d %d\n255\n" % (width, height) + array.tobytes())
    return name


# ---- files to decode -----------------------------------------------------------------------------


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(row, depth):
    """One row of samples as PNG stores it."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = ((row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
    return np.packbits(bits.reshape(-1)).tobytes()


def png(samples, depth, color_type, interlaced=False, chunks=()):
    """A PNG file from samples (height x width x channels), filter 0; what Pillow cannot write."""
    height, width, _ = samples.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: first row, first column, row step, column step.
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
                  (0, 1, 2, 2), (1, 0, 2, 1)]  # fmt: skip
    raw = b""
    for y, x, dy, dx in passes:
        part = samples[y::dy, x::dx]
        if part.size:
            raw += b"".join(b"\0" + pack_row(row.reshape(-1), depth) for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + b"".join(png_chunk(kind, data) for kind, data in chunks)
        + png_chunk(b"IDAT", zlib.compress(raw, 9))
        + png_chunk(b"IEND", b"")
    )


def bmp(rows, bits, size, compression=0, palette=b"", masks=b"", core=False):
    """A BMP file from packed rows, bottom row first unless the height is negative."""
    width, height = size
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    body = header + masks + palette
    data = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    offset = 14 + len(body)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + body + data


def exif_block(orientation, big_endian):
    order = ">" if big_endian else "<"
    return (
        (b"MM" if big_endian else b"II")
        + struct.pack(order + "HI", 42, 8)
        + struct.pack(order + "H", 2)
        + struct.pack(order + "HHII", 0x0100, 4, 1, 7)
        + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
        + struct.pack(order + "I", 0)
    )


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_sampling(data, component, factors):
    """Another sampling factor in a JPEG's frame header."""
    at = data.index(b"\xff\xc0") + 10 + component * 3 + 1
    return data[:at] + bytes([factors]) + data[at + 1 :]


def jpeg_files(source):
    grey = source.convert("L")
    files = {
        "444": saved(source, "JPEG", quality=92, subsampling="4:4:4"),
        "422": saved(source, "JPEG", quality=85, subsampling="4:2:2"),
        "420": saved(source, "JPEG", quality=75, subsampling="4:2:0"),
        "low_quality": saved(source, "JPEG", quality=12),
        "progressive": saved(source, "JPEG", quality=80, progressive=True),
        "restart": saved(source, "JPEG", quality=80, restart_marker_blocks=2),
        "rgb": saved(source, "JPEG", quality=90, keep_rgb=True),
        "grey": saved(grey, "JPEG", quality=85),
        "grey_progressive": saved(grey, "JPEG", quality=85, progressive=True),
        "1x1": saved(source.resize((1, 1)), "JPEG", quality=90),
    }
    tall = source.crop((0, 0, 32, 48))
    files["440"] = with_sampling(saved(tall, "JPEG", subsampling="4:2:2", quality=85), 0, 0x12)
    cmyk = Image.merge("CMYK", [*source.split(), grey.point(lambda v: v // 2)])
    files["cmyk"] = saved(cmyk, "JPEG", quality=90)
    adobe = files["cmyk"].index(b"Adobe") + 11
    files["ycck"] = files["cmyk"][:adobe] + b"\x02" + files["cmyk"][adobe + 1 :]
    for orientation in range(1, 9):
        block = b"Exif\0\0" + exif_block(orientation, orientation % 2 == 0)
        files[f"orientation{orientation}"] = saved(source, "JPEG", quality=70, exif=block)
    return {f"jpeg_{name}.jpg": data for name, data in files.items()}


def png_files(source):
    rgb = np.asarray(source)
    height, width, _ = rgb.shape
    grey = np.asarray(source.convert("L"))[:, :, None]
    alpha = (np.arange(height * width).reshape(height, width, 1) * 7 % 256).astype(np.uint8)
    wide = rgb.astype(np.uint16) * 257 + RNG.integers(-128, 128, rgb.shape)
    wide = np.clip(wide, 0, 65535).astype(np.uint16)
    palette = RNG.integers(0, 256, 768).astype(np.uint8).tobytes()
    index = RNG.integers(0, 256, (height, width, 1))
    files = {
        "rgb": png(rgb, 8, 2),
        "rgb_interlaced": png(rgb, 8, 2, interlaced=True),
        "rgba": png(np.concatenate([rgb, alpha], 2), 8, 6),
        "rgb_transparent_colour": png(rgb, 8, 2, chunks=[(b"tRNS", struct.pack(">HHH", 1, 2, 3))]),
        "grey": png(grey, 8, 0),
        "grey_alpha": png(np.concatenate([grey, alpha], 2), 8, 4),
        "grey1": png(grey >> 7, 1, 0),
        "grey2": png(grey >> 6, 2, 0),
        "grey4_interlaced": png(grey >> 4, 4, 0, interlaced=True),
        "rgb16": png(wide, 16, 2),
        "rgba16_interlaced": png(
            np.concatenate([wide, alpha.astype(np.uint16) * 257], 2), 16, 6, interlaced=True
        ),
        "grey16": png(wide[:, :, :1], 16, 0),
        "grey16_alpha": png(np.concatenate([wide[:, :, :1], wide[:, :, 1:2]], 2), 16, 4),
        "palette": png(index, 8, 3, chunks=[(b"PLTE", palette)]),
        "palette_transparent": png(
            index & 15, 4, 3, chunks=[(b"PLTE", palette[:48]), (b"tRNS", bytes(range(0, 160, 10)))]
        ),
        "palette2": png(index & 3, 2, 3, chunks=[(b"PLTE", palette[:12])]),
        "palette1_interlaced": png(index & 1, 1, 3, True, chunks=[(b"PLTE", palette[:6])]),
        "gamma": png(rgb[:4], 8, 2, chunks=[(b"gAMA", struct.pack(">I", 100000))]),
        "orientation6": png(rgb[:5], 8, 2, chunks=[(b"eXIf", exif_block(6, True))]),
        "texts": png(
            rgb[:4],
            8,
            2,
            chunks=[
                (b"iCCP", b"broken\0\0" + b"no profile"),
                (b"zTXt", b"bomb\0\0" + zlib.compress(bytes(400000), 9)),
            ],
        ),
        "1x1": png(rgb[:1, :1], 8, 2),
    }
    return {f"png_{name}.png": data for name, data in files.items()}


def webp_files(source):
    alpha = Image.fromarray((np.arange(source.width * source.height) % 256).astype(np.uint8))
    rgba = source.copy()
    rgba.putalpha(Image.frombytes("L", source.size, alpha.tobytes()))
    block = b"Exif\0\0" + exif_block(8, False)
    files = {
        "lossy": saved(source, "WEBP", quality=80),
        "lossless": saved(source, "WEBP", lossless=True),
        "lossy_alpha": saved(rgba, "WEBP", quality=60),
        "lossless_alpha": saved(rgba, "WEBP", lossless=True, exact=True),
        "orientation8": saved(source, "WEBP", quality=50, exif=block),
        "1x1": saved(source.resize((1, 1)), "WEBP", lossless=True),
    }
    return {f"webp_{name}.webp": data for name, data in files.items()}


def bmp_files(source):
    rgb = np.asarray(source)
    height, width, _ = rgb.shape
    index = RNG.integers(0, 256, (height, width, 1))
    palette = RNG.integers(0, 256, 1024).astype(np.uint8)
    palette[3::4] = 0
    words = RNG.integers(0, 65536, (height, width)).astype("<u2")
    quads = RNG.integers(0, 2**32, (height, width), dtype=np.uint64).astype("<u4")

    def rows_of(array, bits):
        return [pack_row(row, bits) for row in array]

    size = (width, height)
    bgr = [row[:, ::-1].tobytes() for row in rgb]
    triples = palette.reshape(-1, 4)[:, :3].tobytes()
    files = {
        "1": bmp(rows_of(index & 1, 1), 1, size, palette=palette[:8].tobytes()),
        "4": bmp(rows_of(index & 15, 4), 4, size, palette=palette[:64].tobytes()),
        "8": bmp(rows_of(index, 8), 8, size, palette=palette.tobytes()),
        "8_core": bmp(rows_of(index, 8), 8, size, palette=triples, core=True),
        "16": bmp([row.tobytes() for row in words], 16, size),
        "565": bmp(
            [row.tobytes() for row in words],
            16,
            size,
            compression=3,
            masks=struct.pack("<III", 0xF800, 0x07E0, 0x001F),
        ),
        "24": bmp(bgr[::-1], 24, size),
        "24_top_down": bmp(bgr, 24, (width, -height)),
        "32": bmp([row.tobytes() for row in quads], 32, size),
        "32_masks": bmp(
            [row.tobytes() for row in quads],
            32,
            size,
            compression=3,
            masks=struct.pack("<III", 0xFF000000, 0x00FF0000, 0x0000FF00),
        ),
        "1x1": bmp(rows_of(rgb[:1, :1, ::-1], 8), 24, (1, 1)),
    }
    return {f"bmp_{name}.bmp": data for name, data in files.items()}


def expected_rgb(name, data):
    image = Image.open(io.BytesIO(data))
    if image.mode == "I;16":
        # Pillow clips 16-bit grey values at 255; the project keeps the high byte instead, as Pillow
        # itself does for 16-bit grey with alpha and for 16-bit RGB.
        high = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(high[:, :, None], 3, 2)
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def make_decode_cases():
    source = photo().crop((190, 120, 227, 168)).resize((37, 48))
    small = source.crop((0, 0, 21, 13))
    files = jpeg_files(source)
    files |= png_files(small)
    files |= webp_files(source)
    files |= bmp_files(small)
    for name, data in files.items():
        (OUT / name).write_bytes(data)
        write_ppm(Path(name).stem + ".ppm", expected_rgb(name, data))
    frames = [source, source.rotate(180)]
    animated = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    (OUT / "refused_animated.webp").write_bytes(animated)
    (OUT / "refused_rle.bmp").write_bytes(bmp([b"\x01\x00\x00\x01"], 8, (1, 1), compression=1))
    (OUT / "refused_gif.gif").write_bytes(saved(small.convert("P"), "GIF"))
    return sorted(files)


# ---- resizing ------------------------------------------------------------------------------------


def make_resize_cases():
    cases = []
    cases_in = [
        ("example.jpg", (56, 56)),
        ("cat.jpg", (84, 63)),
        ("rocket.jpg", (640, 5)),
        ("jpeg_444.jpg", (16, 16)),
        ("jpeg_444.jpg", (61, 80)),
        ("jpeg_444.jpg", (37, 10)),
        ("jpeg_444.jpg", (5, 48)),
        ("png_1x1.png", (7, 5)),
        ("strip_1x400.png", (9, 9)),
        ("strip_400x3.png", (28, 28)),
        ("noise_130x77.png", (42, 98)),
        ("noise_130x77.png", (1, 1)),
    ]
    strip = RNG.integers(0, 256, (400, 1, 3)).astype(np.uint8)
    (OUT / "strip_1x400.png").write_bytes(png(strip, 8, 2))
    wide = RNG.integers(0, 256, (3, 400, 3)).astype(np.uint8)
    (OUT / "strip_400x3.png").write_bytes(png(wide, 8, 2))
    noise = (RNG.random((77, 130, 3)) > 0.5).astype(np.uint8) * 255  # overshoot would show
    (OUT / "noise_130x77.png").write_bytes(png(noise, 8, 2))
    for name, (width, height) in cases_in:
        folder = "tests/data/image" if (OUT / name).exists() else "test_images"
        image = np.asarray(Image.open(ROOT / folder / name).convert("RGB"))
        tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
        resized = tv.resize(tensor, [height, width], antialias=True)
        expected = write_ppm(
            f"resize_{Path(name).stem}_{width}x{height}.ppm",
            np.ascontiguousarray(resized.permute(1, 2, 0).numpy()),
        )
        cases.append({"source": f"{folder}/{name}", "expected": expected})
    return cases


def make_bilinear_cases():
    cases = []
    blob = b""
    for (h, w), (oh, ow) in [((5, 7), (11, 13)), ((16, 16), (9, 7)), ((1, 1), (3, 4)),
                             ((4, 5), (4, 5)), ((10, 12), (61, 40)), ((6, 1), (3, 5))]:  # fmt: skip
        plane = (RNG.standard_normal((h, w)) * 8).astype(np.float32)
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(plane)[None, None], size=(oh, ow), mode="bilinear", align_corners=False
        )[0, 0].numpy()
        cases.append({"in": [h, w], "out": [oh, ow], "offset": len(blob) // 4})
        blob += plane.astype("<f4").tobytes() + resized.astype("<f4").tobytes()
    (OUT / "bilinear.f32").write_bytes(blob)
    return cases


def make_pixel_values():
    image = np.asarray(Image.open(OUT / "png_rgb.png"))
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255.0
    mean, std = [0.5, 0.45, 0.4], [0.5, 0.25, 0.2]
    values = tv.normalize(tensor, mean, std)
    (OUT / "pixel_values.f32").write_bytes(values.numpy().astype("<f4").tobytes())
    return {"source": "png_rgb.png", "rescale_factor": 1 / 255, "mean": mean, "std": std}


# ---- run lengths ---------------------------------------------------------------------------------


def make_rle_cases():
    masks = [np.zeros((5, 7)), np.ones((5, 7)), np.zeros((1, 1)), np.ones((1, 1)),
             np.arange(9).reshape(1, 9) % 3 == 0, np.arange(9).reshape(9, 1) % 2,
             np.indices((6, 6)).sum(0) % 2, np.indices((6, 6)).sum(0) % 2 == 0]  # fmt: skip
    masks += [RNG.random((h, w)) > p for h, w, p in
              [(8, 5, 0.5), (13, 17, 0.9), (30, 40, 0.1), (24, 70, 0.5)]]  # fmt: skip
    disc = np.hypot(*(np.indices((200, 300)) - np.array([90, 140])[:, None, None])) < 77
    masks.append(disc)
    cases = []
    for mask in masks:
        mask = np.asfortranarray(mask.astype(np.uint8))
        rle = coco.encode(mask)
        cases.append(
            {
                "size": list(mask.shape),
                "rows": ["".join(map(str, row)) for row in mask] if mask is not masks[-1] else None,
                "counts": rle["counts"].decode(),
                "area": int(coco.area(rle)),
            }
        )
    cases[-1]["rows"] = None
    cases[-1]["disc"] = {"center": [90, 140], "radius": 77}
    return cases


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    goldens = {
        "made_by": "tools/reference/image_goldens.py",
        "versions": {
            "pillow": PIL.__version__,
            "libjpeg_turbo": PIL.features.version("libjpeg_turbo"),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "pycocotools": getattr(pycocotools, "__version__", "2.0.11"),
        },
        "decode": make_decode_cases(),
        "resize": make_resize_cases(),
        "bilinear": make_bilinear_cases(),
        "pixel_values": make_pixel_values(),
        "rle": make_rle_cases(),
    }
    (OUT / "goldens.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()

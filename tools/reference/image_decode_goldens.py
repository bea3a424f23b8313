"""Makes the files of the decoding tests and what Pillow makes of them, in tests/data/image/.

Usage: python tools/reference/image_decode_goldens.py   (from the project's root; .venv is enough)

Expected images are binary PPM files, so that no decoder under test reads them. decode.json lists
the files and the versions used.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.features
from image_files import (
    bmp,
    exif_block,
    exif_without_orientation,
    gif_of,
    jpeg_segment,
    pack_row,
    packed_text_chunk,
    placed_frame,
    png,
    png_chunk,
    raw_profile,
    saved,
    text_chunk,
    tiff,
    unicode_chunk,
    with_sampling,
    with_segments,
    xmp_packet,
)
from PIL import Image, ImageOps

# Pillow refuses a text that is cut off even where all pixels are there, and BigTIFF of this byte
# order; it shows a frame whose own colours are greys in the file's colours. The file on the left is
# read as the one on the right.
READ_AS = {
    "gif_local_ramp.gif": "gif_no_colors.gif",
    "png_cut_text.png": "png_without_end.png",
    "tiff_big_big_endian.tif": "tiff_big.tif",
}
ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "data" / "image"
RNG = np.random.default_rng(20251101)
# Of its own, so that later cases leave the data of the first ones as they are.
NEW_RNG = np.random.default_rng(20261128)


def photo(name="example.jpg"):
    return Image.open(ROOT / "test_images" / name).convert("RGB")


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


def orientation_files(source):
    rgb = np.asarray(source)[:9]
    xmp_key, profile_key = b"XML:com.adobe.xmp", b"Raw profile type exif"
    exif3 = b"Exif\0\0" + exif_block(3, True)
    end = (b"zTXt", b"Comment\0\0" + zlib.compress(b"ends here"))
    whole = png(rgb, 8, 2)
    late = whole[:-12]
    cut = late + png_chunk(*end)[:-9]
    pngs = {
        "xmp5": png(rgb, 8, 2, chunks=[unicode_chunk(xmp_key, xmp_packet(5))]),
        "xmp6_packed": png(rgb, 8, 2, chunks=[unicode_chunk(xmp_key, xmp_packet(6, True), True)]),
        "xmp7_text": png(rgb, 8, 2, chunks=[text_chunk(xmp_key, xmp_packet(7))]),
        "xmp9": png(rgb, 8, 2, chunks=[unicode_chunk(xmp_key, xmp_packet(9))]),
        "xmp6_late": late + png_chunk(*unicode_chunk(xmp_key, xmp_packet(6))) + whole[-12:],
        "exif8_late": late + png_chunk(b"eXIf", exif_block(8, False)) + whole[-12:],
        "raw_profile6": png(
            rgb,
            8,
            2,
            chunks=[
                packed_text_chunk(profile_key, raw_profile(b"Exif\0\0" + exif_block(6, False)))
            ],
        ),
        "raw_profile8_text": png(
            rgb, 8, 2, chunks=[text_chunk(profile_key, raw_profile(exif_block(8, True)))]
        ),
        "raw_profile_xmp": png(
            rgb,
            8,
            2,
            chunks=[packed_text_chunk(b"Raw profile type xmp", raw_profile(xmp_packet(6), "xmp"))],
        ),
        "raw_profile_app1": png(
            rgb,
            8,
            2,
            chunks=[packed_text_chunk(b"Raw profile type APP1", raw_profile(exif3, "APP1"))],
        ),
        "exif1_xmp6": png(
            rgb,
            8,
            2,
            chunks=[(b"eXIf", exif_block(1, True)), unicode_chunk(xmp_key, xmp_packet(6))],
        ),
        "exif_without_xmp6": png(
            rgb,
            8,
            2,
            chunks=[(b"eXIf", exif_without_orientation()), unicode_chunk(xmp_key, xmp_packet(6))],
        ),
        "exif_before_profile": png(
            rgb,
            8,
            2,
            chunks=[
                packed_text_chunk(profile_key, raw_profile(exif3)),
                (b"eXIf", exif_block(6, True)),
            ],
        ),
        "without_end": late,
        "without_checksum": late[:-4],
        "half_a_checksum": late[:-2],
        "half_an_end": whole[:-7],
        "cut_text": cut,
        "without_end_interlaced": png(rgb, 8, 2, interlaced=True)[:-12],
        "without_end_grey16": png(
            NEW_RNG.integers(0, 700, (7, 9, 1)).astype(np.uint16), 16, 0, interlaced=True
        )[:-12],
        "grey16_transparent": png(
            NEW_RNG.integers(0, 700, (7, 9, 1)).astype(np.uint16),
            16,
            0,
            chunks=[(b"tRNS", b"\0\7")],
        ),
        "grey_transparent": png(rgb[:, :, :1], 8, 0, chunks=[(b"tRNS", b"\0\7")]),
        "short_palette": png(
            np.arange(16).reshape(4, 4, 1) & 15, 4, 3, chunks=[(b"PLTE", bytes(range(9, 24)))]
        ),
    }
    plain = saved(source, "JPEG", quality=70)
    app1 = b"http://ns.adobe.com/xap/1.0/\0"
    block6 = exif_block(6, True)
    jpegs = {
        f"xmp{i}": with_segments(plain, jpeg_segment(0xE1, app1 + xmp_packet(i, i % 2 == 0)))
        for i in range(1, 9)
    }
    jpegs["exif1_xmp6"] = with_segments(
        plain,
        jpeg_segment(0xE1, app1 + xmp_packet(6)),
        jpeg_segment(0xE1, b"Exif\0\0" + exif_block(1, False)),
    )
    jpegs["exif_twice_prefixed"] = with_segments(
        plain, jpeg_segment(0xE1, b"Exif\0\0Exif\0\0" + block6)
    )
    jpegs["exif_in_two"] = with_segments(
        plain,
        jpeg_segment(0xE1, b"Exif\0\0" + block6[:20]),
        jpeg_segment(0xE1, b"Exif\0\0" + block6[20:]),
    )
    jpegs["two_xmp"] = with_segments(
        plain,
        jpeg_segment(0xE1, app1 + xmp_packet(6)),
        jpeg_segment(0xE1, app1 + xmp_packet(8, True)),
    )
    jpegs["trailing_bytes"] = plain + b"\0" * 7 + b"more"
    exif8 = b"Exif\0\0" + exif_block(8, False)
    webps = {
        "xmp6": saved(source, "WEBP", quality=50, xmp=xmp_packet(6)),
        "exif1_xmp6": saved(
            source, "WEBP", quality=50, xmp=xmp_packet(6), exif=b"Exif\0\0" + exif_block(1, True)
        ),
        "exif8_xmp6": saved(source, "WEBP", quality=50, xmp=xmp_packet(6), exif=exif8),
    }
    return (
        {f"png_{name}.png": data for name, data in pngs.items()}
        | {f"jpeg_{name}.jpg": data for name, data in jpegs.items()}
        | {f"webp_{name}.webp": data for name, data in webps.items()}
    )


def gif_files(source):
    indexed = source.quantize(64)
    frames = [source.rotate(90 * i).convert("P") for i in range(3)]
    random = NEW_RNG.integers(0, 256, 768).astype(np.uint8).tobytes()
    ramp = bytes(v for i in range(256) for v in (i, i, i))
    small = Image.fromarray(NEW_RNG.integers(0, 8, (6, 11)).astype(np.uint8), "P")
    small.putpalette(random)
    files = {
        "256": saved(source.convert("P"), "GIF"),
        "64": saved(indexed, "GIF"),
        "2": saved(source.convert("1"), "GIF"),
        "grey": saved(source.convert("L"), "GIF"),
        "interlaced": saved(indexed, "GIF", interlace=1),
        "animated": saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40),
        "transparent": saved(indexed, "GIF", transparency=3),
        "1x1": saved(indexed.crop((0, 0, 1, 1)), "GIF"),
        "placed": gif_of(small, (20, 15), (4, 5), palette=random),
        "placed_transparent": gif_of(small, (20, 15), (4, 5), palette=random, transparent=6),
        "beyond_canvas": gif_of(small, (5, 4), (3, 2), palette=random),
        "local_colors": gif_of(small, (11, 6), palette=ramp, local=random),
        "local_ramp": gif_of(small, (11, 6), palette=random, local=ramp),
        "no_colors": gif_of(small, (11, 6)),
        "few_colors": gif_of(small, (11, 6), palette=random[:12]),
        "interlaced_placed": gif_of(small, (20, 15), (4, 5), palette=random, interlace=1),
    }
    return {f"gif_{name}.gif": data for name, data in files.items()}


def tiff_files(source):
    rgb = np.asarray(source)
    height, width, _ = rgb.shape
    alpha = NEW_RNG.integers(0, 256, (height, width, 1)).astype(np.uint8)
    alpha[0, :4, 0] = [0, 255, 1, 254]
    rgba = np.concatenate([rgb, alpha], 2)
    grey = rgb[:, :, :1]
    wide = NEW_RNG.integers(0, 65536, (height, width, 4)).astype(np.uint16)
    wide[0, :4, 3] = [0, 65535, 200, 256]
    low = NEW_RNG.integers(0, 700, (height, width, 1)).astype(np.uint16)
    palette = NEW_RNG.integers(0, 65536, 768).tolist()
    cmyk = np.concatenate([255 - rgb, alpha // 3], 2)
    indexed = source.quantize(200)
    colormap = lambda n: {320: (3, palette[: 3 * n])}.items()  # noqa: E731
    extra = lambda *kinds: {338: (3, list(kinds))}.items()  # noqa: E731
    files = {
        f"{name}_{kind}": saved(image, "TIFF", compression=kind)
        for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
        for name, image in (("rgb", source), ("p", indexed), ("grey", source.convert("L")))
    }
    bilevel = source.convert("1")
    files |= {
        f"1_{kind}": saved(bilevel, "TIFF", compression=kind) for kind in ("group3", "group4")
    }
    files |= {
        "rgb": saved(source, "TIFF"),
        "1": saved(bilevel, "TIFF"),
        "jpeg": saved(source, "TIFF", compression="jpeg", quality=80),
        "jpeg_grey": saved(source.convert("L"), "TIFF", compression="jpeg"),
        "rgba_lzw": saved(Image.fromarray(rgba), "TIFF", compression="tiff_lzw"),
        "rgba_associated_lzw": saved(
            Image.fromarray(rgba), "TIFF", compression="tiff_lzw", tiffinfo={338: 1}
        ),
        "cmyk_lzw": saved(Image.fromarray(cmyk, "CMYK"), "TIFF", compression="tiff_lzw"),
        "grey16_lzw": saved(Image.fromarray(low[:, :, 0]), "TIFF", compression="tiff_lzw"),
        "two_pages": saved(source, "TIFF", save_all=True, append_images=[source.rotate(180)]),
        "grey16": tiff(low, 16, 1),
        "grey16_big_endian": tiff(low, 16, 1, order=">"),
        "grey16_white": tiff(low, 16, 0),
        "grey_white": tiff(grey, 8, 0),
        "grey4": tiff(grey >> 4, 4, 1),
        "grey2_white": tiff(grey >> 6, 2, 0),
        "grey1_white": tiff(grey >> 7, 1, 0),
        "grey_alpha": tiff(rgba[:, :, 2:], 8, 1, tags=extra(2)),
        "grey_other": tiff(rgba[:, :, 2:], 8, 1, tags=extra(0)),
        "palette": tiff(NEW_RNG.integers(0, 256, (height, width, 1)), 8, 3, tags=colormap(256)),
        "palette4": tiff(grey >> 4, 4, 3, tags=colormap(16)),
        "palette1": tiff(grey >> 7, 1, 3, tags=colormap(2)),
        "rgb16": tiff(wide[:, :, :3], 16, 2),
        "rgb16_big_endian": tiff(wide[:, :, :3], 16, 2, order=">"),
        "rgba16": tiff(wide, 16, 2, tags=extra(2)),
        "rgba16_associated": tiff(wide, 16, 2, tags=extra(1)),
        "rgba_associated": tiff(rgba, 8, 2, tags=extra(1)),
        "rgba_unnamed": tiff(rgba, 8, 2),
        "rgbx": tiff(rgba, 8, 2, tags=extra(0)),
        "rgb_two_more": tiff(np.concatenate([rgba, alpha], 2), 8, 2, tags=extra(2, 0)),
        "cmyk": tiff(cmyk, 8, 5),
        "cmyk16": tiff(wide, 16, 5),
        "tiles": tiff(rgb, 8, 2, tile=16),
        "tiles_big_endian": tiff(rgb, 8, 2, tile=16, order=">"),
        "one_tile": tiff(rgb, 8, 2, tile=64),
        "planar": tiff(rgb, 8, 2, planar=True),
        "planar_tiles": tiff(rgb, 8, 2, planar=True, tile=16),
        "big": tiff(rgb, 8, 2, big=True),
        "big_big_endian": tiff(rgb, 8, 2, big=True, order=">"),
        "xmp6": tiff(rgb, 8, 2, tags={700: (1, xmp_packet(6))}.items()),
        "orientation1_xmp6": tiff(rgb, 8, 2, tags={274: (3, [1]), 700: (1, xmp_packet(6))}.items()),
        "1x1": tiff(rgb[:1, :1], 8, 2),
    }
    for orientation in range(1, 9):
        tags = {274: (3, [orientation])}.items()
        files[f"orientation{orientation}"] = tiff(rgb, 8, 2, tags=tags)
    return {f"tiff_{name}.tif": data for name, data in files.items()}


def avif_files(source):
    grey = source.convert("L")
    rgba = source.copy()
    rgba.putalpha(
        Image.fromarray(NEW_RNG.integers(0, 256, (source.height, source.width)).astype(np.uint8))
    )
    frames = [source, source.rotate(180)]
    files = {
        "444": saved(source, "AVIF", quality=80, subsampling="4:4:4"),
        "422": saved(source, "AVIF", quality=70, subsampling="4:2:2"),
        "420": saved(source, "AVIF", quality=60, subsampling="4:2:0"),
        "limited": saved(source, "AVIF", quality=60, range="limited"),
        "grey": saved(grey, "AVIF", quality=70),
        "alpha": saved(rgba, "AVIF", quality=70),
        "animated": saved(frames[0], "AVIF", save_all=True, append_images=frames[1:], duration=40),
        "xmp6": saved(source, "AVIF", quality=50, xmp=xmp_packet(6)),
        "1x1": saved(source.resize((1, 1)), "AVIF", quality=90),
    }
    for orientation in range(2, 9):
        block = b"Exif\0\0" + exif_block(orientation, orientation % 2 == 0)
        files[f"orientation{orientation}"] = saved(source, "AVIF", quality=50, exif=block)
    return {f"avif_{name}.avif": data for name, data in files.items()}


def animated_webp_files(source):
    frames = [source.rotate(90 * i) for i in range(3)]
    rgba = [frame.convert("RGBA") for frame in frames]
    for frame in rgba:
        frame.putalpha(frame.getchannel("R"))
    files = {
        "animated": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50),
        "animated_lossless": saved(
            frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True
        ),
        "animated_alpha": saved(rgba[0], "WEBP", save_all=True, append_images=rgba[1:], quality=60),
        "animated_exif6": saved(
            frames[0],
            "WEBP",
            save_all=True,
            append_images=frames[1:],
            exif=b"Exif\0\0" + exif_block(6, True),
        ),  # fmt: skip
        "animated_placed": placed_frame(saved(source.crop((0, 0, 12, 9)), "WEBP", lossless=True)),
    }
    return {f"webp_{name}.webp": data for name, data in files.items()}


def expected_rgb(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def refused_files(source):
    """What Pillow refuses, or would read as something nobody means."""
    real = np.asarray(source.convert("L")).astype(np.float32) / 255
    wide = NEW_RNG.integers(0, 256, (8, 8, 1)).astype(np.uint32)
    lab = saved(ImageOps.autocontrast(source), "TIFF", compression="raw")
    jpeg = saved(source, "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    return {
        "refused_bmp_jpeg.bmp": bmp([b"\xff\xd8\xff\xe0"], 24, (1, 1), compression=4),
        "refused_rle_short.bmp": bmp([b"\x01\x00\x00\x01"], 8, (1, 2), compression=1),
        "refused_float.tif": saved(Image.fromarray(real), "TIFF"),
        "refused_32_bits.tif": tiff(wide, 32, 1),
        "refused_lab.tif": lab.replace(b"\x06\x01\x03\0\1\0\0\0\2", b"\x06\x01\x03\0\1\0\0\0\x08"),
        "refused_12_bits.jpg": jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :],
    }


def write_ppm(name, array):
    height, width, _ = array.shape
    (OUT / name).write_bytes(b"P6\n%d %d\n255\n" % (width, height) + array.tobytes())
    return name


def run_length_bmp_files():
    palette = NEW_RNG.integers(0, 256, 1024).astype(np.uint8).tobytes()
    # A row of runs, one of literals (odd, padded), a skip over a row and a half, a run that is cut.
    eight = (
        b"\x05\x07\x04\x09\x00\x00"
        b"\x00\x05\x01\x02\x03\x04\x05\x00\x04\x08\x00\x00"
        b"\x00\x02\x04\x01\x05\x06\x20\x0a\x00\x00\x09\x0b\x00\x01"
    )
    four = (
        b"\x09\x12\x00\x00"
        b"\x00\x05\x12\x34\x50\x00\x04\x67\x00\x00"
        b"\x00\x02\x03\x01\x06\x89\x00\x00\x09\xab\x00\x01"
    )
    return {
        "bmp_rle8.bmp": bmp([eight], 8, (9, 5), compression=1, palette=palette),
        "bmp_rle4.bmp": bmp([four], 4, (9, 5), compression=2, palette=palette[:64]),
    }


def make_files():
    source = photo().crop((190, 120, 227, 168)).resize((37, 48))
    small = source.crop((0, 0, 21, 13))
    files = jpeg_files(source)
    files |= png_files(small)
    files |= webp_files(source)
    files |= bmp_files(small)
    files |= orientation_files(small)
    files |= gif_files(small)
    files |= tiff_files(small)
    files |= avif_files(source)
    files |= animated_webp_files(source)
    files |= run_length_bmp_files()
    return files, refused_files(small)


def main():
    listing = OUT / "decode.json"
    if listing.exists():
        old = json.loads(listing.read_text())
        for name in old["decode"]:
            (OUT / name).unlink(missing_ok=True)
            (OUT / name).with_suffix(".ppm").unlink(missing_ok=True)
        for name in old["refused"]:
            (OUT / name).unlink(missing_ok=True)
    files, refused = make_files()
    for name, data in files.items():
        (OUT / name).write_bytes(data)
        write_ppm(Path(name).stem + ".ppm", expected_rgb(files[READ_AS.get(name, name)]))
    for name, data in refused.items():
        (OUT / name).write_bytes(data)
    libraries = ("libjpeg_turbo", "webp", "libtiff", "avif")
    goldens = {
        "made_by": "tools/reference/image_decode_goldens.py",
        "versions": {"pillow": PIL.__version__}
        | {name: PIL.features.version(name) for name in libraries},
        "decode": sorted(files),
        "refused": sorted(refused),
    }
    listing.write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()

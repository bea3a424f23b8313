"""Makes heic_*.heic in tests/data/image/ and what pillow-heif makes of them.

Usage: python tools/reference/heic_goldens.py   (from the project's root; needs pillow-heif)
"""

from pathlib import Path

import pillow_heif
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "data" / "image"


def main():
    pillow_heif.register_heif_opener()
    photo = Image.open(ROOT / "test_images" / "example.jpg").convert("RGB")
    source = photo.crop((190, 120, 318, 216))
    for name, orientation in (("heic_plain", 1), ("heic_orientation6", 6)):
        exif = Image.Exif()
        exif[274] = orientation
        path = OUT / f"{name}.heic"
        source.save(path, quality=60, exif=exif.tobytes())
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        header = b"P6\n%d %d\n255\n" % image.size
        path.with_suffix(".ppm").write_bytes(header + image.tobytes())


if __name__ == "__main__":
    main()

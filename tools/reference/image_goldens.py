"""Makes the reference data of the other image tests in tests/data/image/.

Usage: python tools/reference/image_goldens.py   (from the project's root)

Resizing is compared with torchvision and PyTorch on the CPU, model input with torchvision's
normalisation, run lengths with pycocotools. Versions used are written into goldens.json. The files
to decode come from image_decode_goldens.py, which runs first.
"""

import json
from pathlib import Path

import numpy as np
import PIL
import pycocotools
import torch
import torchvision
from image_decode_goldens import OUT, RNG, ROOT, make_files, write_ppm
from image_files import png
from PIL import Image
from pycocotools import mask as coco
from torchvision.transforms.v2 import functional as tv

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
    make_files()  # The random numbers below follow those of the files to decode.
    goldens = {
        "made_by": "tools/reference/image_goldens.py",
        "versions": {
            "pillow": PIL.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "pycocotools": getattr(pycocotools, "__version__", "2.0.11"),
        },
        "resize": make_resize_cases(),
        "bilinear": make_bilinear_cases(),
        "pixel_values": make_pixel_values(),
        "rle": make_rle_cases(),
    }
    (OUT / "goldens.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()

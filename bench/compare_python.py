"""Compares transformers, ultralytics and sam3trt in Python, on the same weights and images.

    python bench/compare_python.py --checkpoint models/tiny --model GRAPHS

The Python is one that has all of them, as the environment of `make test-clients`. --model is what
`sam3trt export` made of the checkpoint (--device cpu), or engines of it (--device cuda).
ultralytics has fixed sizes, reads Meta's sam3.pt only (--pt, of the same weights) and needs the
package clip from its makers' repository.
Each library runs in processes of its own, in turns; figures are medians over the rounds. Prints
JSON and a table in Markdown.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ["red circle", "blue star", "striped ring", "triangle"]

# What a user writes: from nothing to a function that gives masks of an image's size for a text in
# each of some images, and one for several texts in one image. The number of lines is a figure.
PROGRAMS = {
    "transformers": """
import torch
from transformers import Sam3Model, Sam3Processor
model = Sam3Model.from_pretrained(CHECKPOINT, dtype=DTYPE).to(DEVICE).eval()
processor = Sam3Processor.from_pretrained(CHECKPOINT)
def results_of(outputs, sizes):
    results = processor.post_process_instance_segmentation(
        outputs, threshold=0.5, mask_threshold=0.5, target_sizes=sizes
    )
    return [(result["scores"], result["masks"]) for result in results]
@torch.inference_mode()
def segment(images, text):
    inputs = processor(images=images, text=[text] * len(images), return_tensors="pt").to(DEVICE)
    inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    return results_of(model(**inputs), inputs["original_sizes"].tolist())
@torch.inference_mode()
def segment_texts(image, texts):
    inputs = processor(images=image, return_tensors="pt").to(DEVICE)
    features = model.get_vision_features(inputs["pixel_values"].to(model.dtype))
    results = []
    for text in texts:
        prompt = processor(text=text, return_tensors="pt").to(DEVICE)
        outputs = model(vision_embeds=features, **prompt)
        results += results_of(outputs, inputs["original_sizes"].tolist())
    return results
""",
    "ultralytics": """
from ultralytics.models.sam import SAM3SemanticPredictor
settings = dict(model=PT, conf=0.5, task="segment", mode="predict", device=DEVICE, half=HALF)
predictor = SAM3SemanticPredictor(overrides=settings | dict(save=False, verbose=False))
def segment_texts(image, texts):
    predictor.set_image(image[..., ::-1])
    result = predictor(text=texts)[0]
    return [(result.boxes.conf, result.masks.data if result.masks is not None else [])]
def segment(images, text):
    return [segment_texts(image, [text])[0] for image in images]
""",
    "sam3trt": """
import sam3trt
seg = sam3trt.Segmenter(MODEL, device=DEVICE, threads=THREADS)
def segment(images, text):
    return [(result.scores, result.masks) for result in seg(images, text=text)]
def segment_texts(image, texts):
    result = seg(image, text=texts)
    return [(result.scores, result.masks)]
""",
}


def images_of(size: str, count: int) -> list[np.ndarray]:
    """Drawn shapes on plain and photographic backgrounds, uint8 RGB of that size."""
    from PIL import Image

    sys.path.insert(0, str(ROOT / "tools/tiny"))
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        script = ROOT / "tools/tiny/draw_demo.py"
        subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
        found = [
            np.asarray(Image.open(path).convert("RGB").resize((width, height)))
            for path in sorted(Path(folder).glob("*.png"))
        ]
    return [found[index % len(found)] for index in range(count)]


def times_of(call, warm_up: int, count: int) -> list[float]:
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begin))
    return times


def as_numpy(values) -> np.ndarray:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def run_one(options: argparse.Namespace, started: float) -> dict:
    """One library in this process."""
    begin = time.time()
    images = images_of(options.sizes[0], options.batch)
    started += time.time() - begin  # not a part of the start
    program = PROGRAMS[options.only]
    cuda = options.device != "cpu"
    names = {
        "CHECKPOINT": options.checkpoint,
        "MODEL": options.model,
        "PT": options.pt,
        "DEVICE": options.device,
        "DTYPE": "float16" if cuda else "float32",
        "HALF": cuda,
        "THREADS": options.threads,
    }
    exec(program, names)
    segment, segment_texts = names["segment"], names["segment_texts"]
    loaded = time.time() - started
    found = segment(images[:1], TEXTS[0])
    figures: dict = {
        "lines": len(program.strip().splitlines()),
        "load_s": loaded,
        "first_result_s": time.time() - started,
        "found": [],
        "sizes": {},
    }
    for size in options.sizes:
        images = images_of(size, options.batch)
        one = times_of(lambda images=images: segment(images[:1], TEXTS[0]), 2, options.repeats)
        texts = times_of(
            lambda images=images: segment_texts(images[0], TEXTS), 1, max(2, options.repeats // 4)
        )
        batch = times_of(
            lambda images=images: segment(images, TEXTS[0]), 1, max(2, options.repeats // 4)
        )
        begin = time.process_time()
        for _ in range(options.repeats):
            segment(images[:1], TEXTS[0])
        figures["sizes"][size] = {
            "cpu_ms": 1000 * (time.process_time() - begin) / options.repeats,
            "median_ms": statistics.median(one),
            "p95_ms": sorted(one)[round(0.95 * (len(one) - 1))],
            "four_texts_ms": statistics.median(texts),
            "images_per_s": 1000 * options.batch / statistics.median(batch),
        }
    for text in TEXTS:
        scores, masks = segment(images[1:2], text)[0]
        order = np.argsort(-as_numpy(scores), kind="stable")
        if len(order):
            figures["found"] += [int(as_numpy(masks)[index].sum()) for index in order]
    assert found
    figures["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if cuda:
        import torch

        figures["gpu"] = torch.cuda.get_device_name()
    return figures


def run_child(name: str, options: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, *sys.argv[1:], "--only", name, "--started"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "YOLO_OFFLINE": "true"}
    if options.threads:
        environment["OMP_NUM_THREADS"] = str(options.threads)  # torch's
    done = subprocess.run(
        [*command, str(time.time())], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def merged(rounds: list[dict]) -> dict:
    """Medians of the figures over the rounds; what was found must not change."""
    first = rounds[0]
    assert all(one["found"] == first["found"] for one in rounds)
    result = {"lines": first["lines"], "found": first["found"], "sizes": {}}
    for key in ("load_s", "first_result_s", "peak_memory_mb"):
        result[key] = round(statistics.median(one[key] for one in rounds), 2)
    for size in first["sizes"]:
        result["sizes"][size] = {
            key: round(statistics.median(one["sizes"][size][key] for one in rounds), 1)
            for key in first["sizes"][size]
        }
    return result | {key: first[key] for key in ("gpu",) if key in first}


def processor_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def versions(names: list[str]) -> dict[str, str | None]:
    """None for what is there without being installed as a package."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def table(figures: dict, sizes: list[str]) -> str:
    names = list(figures)
    rows = [
        ("lines of code", lambda one: one["lines"]),
        ("from `python` to the first masks, s", lambda one: f"{one['first_result_s']:.1f}"),
        ("peak memory, MB", lambda one: f"{one['peak_memory_mb']:.0f}"),
        ("masks found; their pixels", lambda one: f"{len(one['found'])}; {sum(one['found'])}"),
    ]
    for size in sizes:
        labels = {
            "median_ms": "one image, one text: median, ms",
            "p95_ms": "p95, ms",
            "cpu_ms": "processor time, ms",
            "four_texts_ms": "one image, four texts, ms",
            "images_per_s": "images/s in batches",
        }
        rows += [
            (f"{size}: {label}", lambda one, size=size, key=key: one["sizes"][size][key])
            for key, label in labels.items()
        ]
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    lines += [
        f"| {label} | " + " | ".join(str(value(figures[name])) for name in names) + " |"
        for label, value in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="folder in Hugging Face's format")
    parser.add_argument("--model", required=True, help="folder of graphs or engines of it")
    parser.add_argument("--pt", help="the same weights as Meta's sam3.pt, for ultralytics")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--sizes", nargs="+", default=["640x440", "1920x1080"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: each one's choice")
    parser.add_argument("--only", choices=list(PROGRAMS), help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(run_one(options, options.started)))
        return
    names = [name for name in PROGRAMS if name != "ultralytics" or options.pt]
    rounds: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            rounds[name].append(run_child(name, options))
    figures = {name: merged(some) for name, some in rounds.items()}
    about = {
        "processor": processor_name(),
        "load": os.getloadavg()[0],
        "versions": versions([*names, "torch", "openvino"]),
        "device": options.device,
        "threads": options.threads,
        "batch": options.batch,
    }
    print(json.dumps({"about": about, "figures": figures}))
    print(table(figures, options.sizes))
    if "ultralytics" not in names:
        print("\nultralytics: not run, no --pt")


if __name__ == "__main__":
    main()

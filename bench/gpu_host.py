"""Measures everything in docs/performance.md at the published size, on a machine with a GPU.

    python bench/gpu_host.py --work DIR [--program build/sam3trt] [--steps build bench ...]

Makes a random checkpoint (bench/full_size.py), exports it, builds verified engines in fp16 and fp8,
times them, a build of the whole model with nothing cached, again, and after a fine-tune, clicks,
videos, a file of H.264 (where there is an ffmpeg), 200 masks of noise, the server, and what a user
could take instead in the same run: TensorRT's own attention,
the vision encoder as torch traces it, as an engine of the same TensorRT, and transformers in half
precision, eager and compiled. A step that is done is not done again. Needs 50 GB in DIR; the steps
"trace" and "transformers" need torch, transformers and onnx. --recipes takes a book of recipes that
begins with the variant that passes, for weights for which the first ones are known to be refused.
Writes DIR/results.json and prints a table.
"""

import argparse
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

BENCH = Path(__file__).resolve().parent
STEPS = (
    "checkpoint",
    "export",
    "build_all",
    "build_again",
    "fine_tune",
    "clicks",
    "video",
    "video_file",
    "noise",
    "server",
    "build_fp16",
    "bench_fp16",
    "files_fp16",
    "build_batch8",
    "bench_batch8",
    "build_fp8",
    "bench_fp8",
    "build_batch8_fp8",
    "bench_batch8_fp8",
    "trt_attention",
    "transformers",
    "trace",
    "traced",
    "verify",
)
BATCH = ("--max-batch", "8")
TEXT = "dog"
# Of the run lengths as COCO packs them: a thing of 200 to 500 pixels in a photograph.
MASK_BYTES = (1000, 4000)


class Host:
    """The folder of one run, and what was found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.program = str(options.program)
        self.compile = not options.no_compile
        self.photo = str(options.image)
        self.jobs = str(options.jobs)
        self.recipes = ["--recipes", str(options.recipes)] if options.recipes else []
        self.work = options.work
        self.logs = options.work / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.results_path = options.work / "results.json"
        self.results = {}
        if self.results_path.exists():
            self.results = json.loads(self.results_path.read_text(encoding="utf-8"))

    def run(self, name: str, command: list[str], env: dict | None = None) -> dict | None:
        """The JSON that a command prints; its log is kept. None when it fails."""
        begin = time.perf_counter()
        with (
            (self.logs / f"{name}.out").open("w") as out,
            (self.logs / f"{name}.err").open("w") as err,
        ):
            code = subprocess.run(
                command, stdout=out, stderr=err, check=False, env=os.environ | (env or {})
            ).returncode
        seconds = round(time.perf_counter() - begin, 1)
        print(f"{name}: exit {code}, {seconds} s", flush=True)
        text = (self.logs / f"{name}.out").read_text(encoding="utf-8")
        try:
            result = json.loads(text)
        except json.JSONDecodeError:
            result = {"lines": text.splitlines()}
        if not isinstance(result, dict):
            result = {"value": result}
        if "seconds" in result:  # what the program measured itself
            result["own_seconds"] = result["seconds"]
        result |= {"exit": code, "seconds": seconds}
        if code != 0:
            lines = (self.logs / f"{name}.err").read_text(encoding="utf-8").splitlines()
            print("  " + "\n  ".join(lines[-3:]), flush=True)
        self.results[name] = result
        text = json.dumps(self.results, indent=1)
        self.results_path.write_text(text + "\n", encoding="utf-8")
        return result if code == 0 else None

    def sam3trt(self, name: str, *arguments: str) -> dict | None:
        return self.run(name, [self.program, *arguments])

    def python(self, name: str, script: str, *arguments: str) -> dict | None:
        return self.run(name, [sys.executable, str(BENCH / script), *arguments])


def write_checkpoint(host: Host, name: str, *options: str) -> None:
    folder = host.work / name
    if not (folder / "config.json").exists():
        host.python(name, "full_size.py", "--output", str(folder), "--tracker", *options)


def write_graphs(host: Host, step: str, source: str, graphs: str) -> None:
    if not (host.work / graphs / "detector.tokenizer.json").exists():
        # fmt: off
        host.sam3trt(step, "export", "--checkpoint", str(host.work / source), "--component", "all",
                     "--output", str(host.work / graphs))
        # fmt: on


def checkpoint(host: Host) -> None:
    write_checkpoint(host, "checkpoint")


def export(host: Host) -> None:
    write_graphs(host, "export", "checkpoint", "graphs")


def build_model(host: Host, name: str, graphs: str, engines: str) -> None:
    """All engines of a model, with caches of their own beside them."""
    # fmt: off
    command = [host.program, "build", "--onnx", str(host.work / graphs), "--output",
               str(host.work / engines), "--fp16", "--jobs", host.jobs, "--max-prompts", "16",
               *host.recipes, "--image", host.photo, "--json", "--verbose"]
    # fmt: on
    host.run(name, command, {"XDG_CACHE_HOME": str(host.work / "cache")})


def build_all(host: Host) -> None:
    """From nothing."""
    if not (host.work / "all").exists():
        build_model(host, "build_all", "graphs", "all")


def build_again(host: Host) -> None:
    """The same when nothing changed."""
    build_model(host, "build_again", "graphs", "all")


def fine_tune(host: Host) -> None:
    """Weights that are near, with what the first build left in the caches."""
    write_checkpoint(host, "checkpoint_tuned", "--changed", "0.0001")
    write_graphs(host, "export_tuned", "checkpoint_tuned", "graphs_tuned")
    if not (host.work / "all_tuned").exists():
        build_model(host, "build_tuned", "graphs_tuned", "all_tuned")


def clicks(host: Host) -> None:
    model = ("--model", str(host.work / "all"), "--image", host.photo, "--allow-unverified")
    host.sam3trt("clicks", "bench", *model, "--clicks", "--json")


def video(host: Host) -> None:
    # fmt: off
    host.sam3trt("video", "bench", "--model", str(host.work / "all"), "--video", "--frames", "60",
                 "--objects", "1", "5", "10", "50", "--allow-unverified", "--json")
    # fmt: on


def video_file(host: Host) -> None:
    """Five clicked objects through a file of H.264 to JSON Lines."""
    if shutil.which("ffmpeg") is None:
        print("video_file: left out, there is no ffmpeg", flush=True)
        return
    clip, prompts = host.work / "clip.mp4", host.work / "clicks.json"
    if not clip.exists():
        # fmt: off
        command = ["ffmpeg", "-v", "error", "-y", "-framerate", "25", "-i",
                   str(Path(jpegs(host)) / "%04d.jpg"), "-pix_fmt", "yuv420p", str(clip)]
        # fmt: on
        if host.run("clip", command) is None:
            return
    places = [(320, 200), (900, 500), (1500, 300), (600, 900), (1300, 800)]
    objects = [{"id": i, "points": [place]} for i, place in enumerate(places)]
    prompts.write_text(json.dumps({"objects": objects}), encoding="utf-8")
    (host.work / "tracks.jsonl").unlink(missing_ok=True)  # `track` replaces no results
    # fmt: off
    host.sam3trt("video_file", "track", "--model", str(host.work / "all"), "--video", str(clip),
                 "--prompts", str(prompts), "--output", str(host.work / "tracks.jsonl"),
                 "--allow-unverified", "--json")
    # fmt: on


def noise(host: Host) -> None:
    """As many masks as the model has queries, of the noise that random weights see."""
    photo = host.work / "large.png"
    Image.open(host.photo).convert("RGB").resize((1920, 1080)).save(photo)
    # fmt: off
    host.sam3trt("noise", "bench", "--model", str(host.work / "all"), "--image", str(photo),
                 "--text", TEXT, "--threshold", "0.3", "--runs", "1x1", "--iterations", "10",
                 "--allow-unverified", "--json")
    # fmt: on


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def server(host: Host) -> None:
    """Images per second through the server with 32 clients, and a click over HTTP."""
    engines, port = host.work / "all", free_port()
    files, limits = jpegs(host), limits_for_photographs(host, engines)
    # fmt: off
    command = [host.program, "serve", "--model", str(engines), "--port", port, "--allow-unverified"]
    with (host.logs / "serve.err").open("w") as log:
        serving = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(port, serving)
            host.python("server", "serve_rate.py", "--url", f"http://127.0.0.1:{port}", "--files",
                        files, "--clients", "32", "--processes", "4", *limits)
        finally:
            serving.terminate()
            serving.wait()
    host.sam3trt("server_files", "bench", "--model", str(engines), "--files", files, "--text",
                 TEXT, *limits, "--allow-unverified", "--json")
    # fmt: on


def wait_for(port: str, serving: subprocess.Popen, seconds: float = 120) -> None:
    """Returns when the server listens, or has ended."""
    end = time.monotonic() + seconds
    while serving.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)


def trace(host: Host) -> None:
    target = host.work / "traced" / "vision_encoder.onnx"
    if not target.exists():
        source = str(host.work / "checkpoint")
        host.python("trace", "trace_vision_encoder.py", source, str(target))


def build_graph(host: Host, folder: str, graph: str, *options: str) -> None:
    """The engine of one graph; for the detector those of its parts, too."""
    engine = host.work / folder / f"{graph}.engine"
    if engine.exists():
        return
    # fmt: off
    host.sam3trt(
        f"build_{folder}_{graph}", "build", "--onnx", str(host.work / "graphs" / f"{graph}.onnx"),
        "--output", str(engine), *options, "--image", host.photo, "--json", "--verbose")
    # fmt: on


def build_fp16(host: Host) -> None:
    """A vision encoder for one picture; the detector takes the features of several, too."""
    build_graph(host, "fp16", "vision_encoder", "--fp16", *host.recipes)
    build_graph(host, "fp16", "detector", "--fp16", *BATCH, *host.recipes)


def link_detector(host: Host, folder: str) -> None:
    """The fp16 detector beside another vision encoder."""
    for file in (host.work / "fp16").glob("detector*"):
        link = host.work / folder / file.name
        if not link.exists():
            link.symlink_to(file.resolve())


def build_batch8(host: Host) -> None:
    build_graph(host, "batch8", "vision_encoder", "--fp16", *BATCH, *host.recipes)
    link_detector(host, "batch8")


def build_fp8(host: Host) -> None:
    """Only the vision encoder has FP8 products."""
    build_graph(host, "fp8", "vision_encoder", "--fp8", *host.recipes)
    link_detector(host, "fp8")


def build_batch8_fp8(host: Host) -> None:
    build_graph(host, "batch8_fp8", "vision_encoder", "--fp8", *BATCH, *host.recipes)
    link_detector(host, "batch8_fp8")


def trt_attention(host: Host) -> None:
    """The vision encoder with TensorRT's own attention in place of this project's kernel."""
    book = json.loads((BENCH.parent / "configs/precision/recipes.json").read_text())
    variants = book["precisions"]["fp16"]["variants"]
    variants[:] = [v for v in variants if v["name"] == "fp16_trt_attention"]
    path = host.work / "trt_attention.json"
    path.write_text(json.dumps(book), encoding="utf-8")
    options = ("--fp16", "--recipes", str(path), "--skip-verification")
    build_graph(host, "trt_attention", "vision_encoder", *options)
    time_engine(host, "trt_attention")


def found(host: Host, name: str, engines: Path, *options: str) -> list[dict] | None:
    """The instances of TEXT in the photograph. None when the call fails."""
    output = host.work / f"{name}.json"
    # fmt: off
    arguments = ["infer", "--model", str(engines), "--image", host.photo, "--text", TEXT, *options,
                 "--allow-unverified", "--output", str(output)]
    # fmt: on
    if host.sam3trt(name, *arguments) is None:
        return None
    image = json.loads(output.read_text(encoding="utf-8"))["images"][0]
    return image["prompts"][0]["instances"]


def threshold_for_few(host: Host, engines: Path) -> str:
    """A threshold that about ten finds of the random detector pass: a photograph's worth."""
    instances = found(host, "scores", engines, "--threshold", "0.01") or []
    scores = sorted((instance["score"] for instance in instances), reverse=True)
    return str(scores[10]) if len(scores) > 10 else "0.5"


def mask_threshold_for_blobs(host: Host, engines: Path, threshold: str) -> str:
    """A mask threshold at which masks have about as many runs as those of things in a photograph.

    Random weights make masks of noise with a hundred thousand runs each; packing these, not the
    model, would be what is measured from files.
    """
    low, high = 0.0, 32.0  # logits
    for _ in range(12):
        middle = (low + high) / 2
        mask_threshold = str(1.0 / (1.0 + math.exp(-middle)))
        options = ("--threshold", threshold, "--mask-threshold", mask_threshold)
        instances = found(host, "runs", engines, *options)
        if instances is None:
            return "0.5"
        sizes = [len(instance["mask"]["counts"]) for instance in instances]
        mean = sum(sizes) / max(len(sizes), 1)
        host.results["mask_threshold"] = {"threshold": mask_threshold, "bytes": mean}
        if MASK_BYTES[0] <= mean <= MASK_BYTES[1]:
            break
        low, high = (middle, high) if mean > MASK_BYTES[1] else (low, middle)
    return mask_threshold


def bench(host: Host, name: str, *runs: str) -> None:
    """Stages and whole runs, all where none are named, of what a photograph has."""
    limits = limits_for_photographs(host, host.work / name)
    layers = host.logs / f"layers_{name}"
    layers.mkdir(exist_ok=True)
    chosen = ["--runs", *runs] if runs else []
    # fmt: off
    common = ["--model", str(host.work / name), "--image", host.photo, "--text", TEXT,
              *limits, "--allow-unverified"]
    host.sam3trt(f"bench_{name}", "bench", *common, "--layers", str(layers), "--json", *chosen)
    # fmt: on
    for i in range(3):  # from the start of the process to the result, engines on disk
        host.sam3trt(f"cold_start_{name}_{i}", "infer", *common)


def bench_fp16(host: Host) -> None:
    bench(host, "fp16")


def write_jpegs(folder: Path, photo: str, count: int = 240) -> None:
    """Different JPEG files of 1920x1080 made of one photograph."""
    folder.mkdir(exist_ok=True)
    image = np.asarray(Image.open(photo).convert("RGB").resize((1920, 1080)), dtype=np.int16)
    for i in range(count):
        noise = np.random.default_rng(i).integers(-6, 7, image.shape, dtype=np.int16)
        pixels = (np.roll(image, 37 * i, axis=1) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04}.jpg", quality=90)


def jpegs(host: Host) -> str:
    """The folder of write_jpegs."""
    files = host.work / "jpegs"
    if not files.exists():
        write_jpegs(files, host.photo)
    return str(files)


def limits_for_photographs(host: Host, engines: Path) -> list[str]:
    """Options with which as much is found as in a photograph."""
    threshold = threshold_for_few(host, engines)
    masks = mask_threshold_for_blobs(host, engines, threshold)
    return ["--threshold", threshold, "--mask-threshold", masks]


def files_fp16(host: Host) -> None:
    """Images per second from files, on one GPU and on all of them."""
    engines = host.work / "fp16"
    # fmt: off
    common = ["--model", str(engines), "--files", jpegs(host), "--text", TEXT,
              *limits_for_photographs(host, engines), "--allow-unverified", "--json"]
    # fmt: on
    host.sam3trt("files_fp16", "bench", *common)
    host.sam3trt("files_fp16_all", "bench", *common, "--device", "all")


def bench_batch8(host: Host) -> None:
    bench(host, "batch8", "1x1", "8x1")


def bench_fp8(host: Host) -> None:
    bench(host, "fp8", "1x1")


def bench_batch8_fp8(host: Host) -> None:
    bench(host, "batch8_fp8", "1x1", "8x1")


def time_engine(host: Host, folder: str) -> None:
    engine = str(host.work / folder / "vision_encoder.engine")
    layers = host.logs / f"layers_{folder}"
    layers.mkdir(exist_ok=True)
    # fmt: off
    host.sam3trt(f"bench_{folder}", "bench", "--engine", engine, "--layers", str(layers),
                 "--allow-unverified", "--json")
    # fmt: on


def verify(host: Host) -> None:
    """Engines together against the reference, end to end."""
    graphs, engines = str(host.work / "graphs"), str(host.work / "fp16")
    # fmt: off
    host.sam3trt("verify", "verify", "--model", engines, "--reference", graphs, "--image",
                 host.photo, "--json", *host.recipes)
    # fmt: on


def transformers(host: Host) -> None:
    source = str(host.work / "checkpoint")
    extra = [] if host.compile else ["--no-compile"]
    host.python("transformers", "transformers_baseline.py", source, *extra)


def traced(host: Host) -> None:
    graph = host.work / "traced" / "vision_encoder.onnx"
    engine = host.work / "traced" / "vision_encoder.engine"
    if not engine.exists():
        # fmt: off
        host.sam3trt("build_traced", "build", "--onnx", str(graph), "--output", str(engine),
                     "--fp16", "--json")
        # fmt: on
    time_engine(host, "traced")


def time_of(statistics: dict) -> str:
    return f"{statistics['median_ms']:.2f} ({statistics['p95_ms']:.2f})"


def rows(results: dict) -> list[tuple[str, str]]:
    table = []
    for name in ("fp16", "batch8", "fp8", "batch8_fp8", "trt_attention", "traced"):
        result = results.get(f"bench_{name}", {})
        for stage in result.get("stages", []):
            part = stage["component"] or "traced vision encoder"
            what = f"{name}: {part} ({stage['recipe']}), batch {stage['batch']}, ms"
            table.append((what, time_of(stage["cuda_graph"])))
        session = result.get("session", {})
        for run in session.get("runs", []):
            what = f"{name}: {run['images']} pictures, {run['prompts']} prompts each"
            found = f"{run['instances']} instances, {run['images_per_s']} pictures/s"
            table.append((f"{what}, {found}, ms", time_of(run["total"])))
            nothing = run["nothing_found"]
            found = f"nothing found, {nothing['images_per_s']} pictures/s"
            table.append((f"{what}, {found}, ms", time_of(nothing["total"])))
        if session.get("device_memory_bytes_one_image"):
            memory = session["device_memory_bytes_one_image"] / 1e9
            kept = session["device_memory_bytes_with_text_encoder"] / 1e9
            what = f"{name}: device memory with one picture, and with the text encoder, GB"
            table.append((what, f"{memory:.2f}, {kept:.2f}"))
        runs = [result for key, result in results.items() if key.startswith(f"cold_start_{name}")]
        cold = sorted(run["seconds"] for run in runs if run["exit"] == 0)
        if cold:
            table.append((f"{name}: process start to result, s", f"{cold[len(cold) // 2]:.1f}"))
    for name in ("build_all", "build_again", "build_tuned"):
        if results.get(name, {}).get("exit") == 0:
            table.append((f"{name}, s", f"{results[name]['seconds']}"))
    for run in results.get("clicks", {}).get("clicks", {}).get("runs", []):
        what = f"{run['objects']} clicks, {'several masks' if run['multimask'] else 'one mask'}"
        table.append((f"{what}, ms", time_of(run["total"])))
    for run in results.get("video", {}).get("video", {}).get("runs", []):
        what = f"video, {run['prompts']}, {run['objects']} objects"
        table.append((f"{what}, a frame, ms", time_of(run["frame"])))
        table.append((f"{what}, first frame, ms", f"{run['first_frame_of_another_clip_ms']:.1f}"))
    tracked = results.get("video_file", {})
    if tracked.get("exit") == 0:
        rate = tracked["frames"] / tracked["own_seconds"]  # from the first frame to the last
        table.append(("H.264 of 1080p, 5 clicked objects, frames/s", f"{rate:.1f}"))
    for run in results.get("noise", {}).get("session", {}).get("runs", []):
        what = f"1080p, {run['instances']} masks; none, ms"
        times = f"{time_of(run['total'])}; {time_of(run['nothing_found']['total'])}"
        table.append((what, times))
    served = results.get("server", {})
    if "images_per_s" in served:
        table.append(("server, 32 clients, images/s", str(served["images_per_s"])))
        click = served["click_ms"]
        table.append(("server, a click, ms", f"{click['median']:.2f} ({click['p95']:.2f})"))
    for line in results.get("transformers", {}).get("lines", []):
        entry = json.loads(line)
        what = f"transformers {entry['transformers']}, {entry['prompts']} prompts, model only, ms"
        table.append((what, time_of(entry["model"])))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--program", type=Path, default=BENCH.parent / "build" / "sam3trt")
    parser.add_argument("--image", type=Path, default=BENCH.parent / "test_images" / "example.jpg")
    parser.add_argument("--recipes", type=Path, help="in place of the built-in book")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--jobs", type=int, default=6, help="engines built at the same time")
    parser.add_argument("--no-compile", action="store_true", help="transformers eager only")
    options = parser.parse_args()
    host = Host(options)
    for step in options.steps:
        globals()[step](host)
    for what, value in rows(host.results):
        print(f"| {what} | {value} |")
    failed = [name for name, result in host.results.items() if result.get("exit", 0) != 0]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; see {host.logs}")


if __name__ == "__main__":
    main()

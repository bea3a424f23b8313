"""Measures everything in docs/performance.md at the published size, on a machine with a GPU.

    python bench/gpu_host.py --work DIR [--program build/sam3trt] [--steps build bench ...]

Makes a random checkpoint (bench/full_size.py), exports it, builds verified engines, times them, and
times what a user could take instead in the same run: transformers in half precision, eager and
compiled, and its traced vision encoder as an engine of the same TensorRT. A step that is done is
not done again. Needs 30 GB in DIR; the steps "transformers" and "traced" need torch, transformers
and onnx. Writes DIR/results.json and prints a table.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
STEPS = ("checkpoint", "export", "trace", "build", "bench", "transformers", "traced")
TEXT = "dog"


class Host:
    """The folder of one run, and what was found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.program = str(options.program)
        self.compile = not options.no_compile
        self.photo = str(options.image)
        self.work = options.work
        self.logs = options.work / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.results_path = options.work / "results.json"
        self.results = {}
        if self.results_path.exists():
            self.results = json.loads(self.results_path.read_text(encoding="utf-8"))

    def run(self, name: str, command: list[str]) -> dict | None:
        """The JSON that a command prints; its log is kept. None when it fails."""
        begin = time.perf_counter()
        with (
            (self.logs / f"{name}.out").open("w") as out,
            (self.logs / f"{name}.err").open("w") as err,
        ):
            code = subprocess.run(command, stdout=out, stderr=err, check=False).returncode
        seconds = round(time.perf_counter() - begin, 1)
        print(f"{name}: exit {code}, {seconds} s", flush=True)
        text = (self.logs / f"{name}.out").read_text(encoding="utf-8")
        try:
            result = json.loads(text)
        except json.JSONDecodeError:
            result = {"lines": text.splitlines()}
        if not isinstance(result, dict):
            result = {"value": result}
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


def checkpoint(host: Host) -> None:
    if not (host.work / "checkpoint" / "config.json").exists():
        host.python("checkpoint", "full_size.py", "--output", str(host.work / "checkpoint"))


def export(host: Host) -> None:
    graphs = host.work / "graphs"
    if not (graphs / "detector.tokenizer.json").exists():
        source = str(host.work / "checkpoint")
        host.sam3trt(
            "export",
            "export",
            "--checkpoint",
            source,
            "--component",
            "all",
            "--output",
            str(graphs),
        )


def trace(host: Host) -> None:
    target = host.work / "traced" / "vision_encoder.onnx"
    if not target.exists():
        source = str(host.work / "checkpoint")
        host.python("trace", "trace_vision_encoder.py", source, str(target))


def build(host: Host) -> None:
    graphs = host.work / "graphs"
    fp16, fp8, batch = host.work / "fp16", host.work / "fp8", host.work / "batch8"
    verified = ["--image", host.photo, "--json", "--verbose"]
    if not (fp16 / "detector.tokenizer.json").exists():
        host.sam3trt(
            "build_fp16", "build", "--onnx", str(graphs), "--output", str(fp16), "--fp16", *verified
        )
    if not (fp8 / "vision_encoder.engine").exists():
        graph, engine = str(graphs / "vision_encoder.onnx"), str(fp8 / "vision_encoder.engine")
        host.sam3trt("build_fp8", "build", "--onnx", graph, "--output", engine, "--fp8", *verified)
        for file in fp16.glob("detector*"):  # only the vision encoder has FP8 products
            if fp8.exists() and not (fp8 / file.name).exists():
                (fp8 / file.name).symlink_to(file)
    if not (batch / "detector.tokenizer.json").exists():
        sizes = ["--max-batch", "8", "--tune-batch", "8", "--tune-prompts", "8"]
        host.sam3trt(
            "build_batch8",
            *("build", "--onnx", str(graphs), "--output", str(batch), "--fp16", *sizes, *verified),
        )


def threshold_for_few(host: Host, engines: Path) -> str:
    """A threshold that about ten finds of the random detector pass: a photograph's worth."""
    output = host.work / "scores.json"
    # fmt: off
    arguments = ["infer", "--model", str(engines), "--image", host.photo, "--text", TEXT,
                 "--threshold", "0.01", "--allow-unverified", "--output", str(output)]
    # fmt: on
    if host.sam3trt("scores", *arguments) is None:
        return "0.5"
    image = json.loads(output.read_text(encoding="utf-8"))["images"][0]
    scores = sorted((i["score"] for i in image["prompts"][0]["instances"]), reverse=True)
    return str(scores[10]) if len(scores) > 10 else "0.5"


def bench(host: Host) -> None:
    threshold = threshold_for_few(host, host.work / "fp16")
    for name in ("fp16", "fp8", "batch8"):
        engines = host.work / name
        layers = host.logs / f"layers_{name}"
        layers.mkdir(exist_ok=True)
        # fmt: off
        host.sam3trt(
            f"bench_{name}", "bench", "--model", str(engines), "--image", host.photo,
            "--text", TEXT, "--threshold", threshold, "--layers", str(layers),
            "--allow-unverified", "--json")
        # fmt: on
    # From the start of the process to the result, engines on disk.
    # fmt: off
    cold = ["infer", "--model", str(host.work / "fp16"), "--image", host.photo, "--text", TEXT,
            "--threshold", threshold, "--allow-unverified"]
    # fmt: on
    for i in range(3):
        host.sam3trt(f"cold_start_{i}", *cold)


def transformers(host: Host) -> None:
    source = str(host.work / "checkpoint")
    extra = [] if host.compile else ["--no-compile"]
    host.python("transformers", "transformers_baseline.py", source, *extra)


def traced(host: Host) -> None:
    graph = host.work / "traced" / "vision_encoder.onnx"
    engine = host.work / "traced" / "vision_encoder.engine"
    if not engine.exists():
        host.sam3trt(
            "build_traced",
            "build",
            "--onnx",
            str(graph),
            "--output",
            str(engine),
            "--fp16",
            "--json",
        )
    host.sam3trt("bench_traced", "bench", "--engine", str(engine), "--json")


def time_of(statistics: dict) -> str:
    return f"{statistics['median_ms']:.2f} ({statistics['p95_ms']:.2f})"


def rows(results: dict) -> list[tuple[str, str]]:
    table = []
    for name in ("fp16", "fp8", "batch8", "traced"):
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
        if "device_memory_bytes_one_image" in session:
            memory = session["device_memory_bytes_one_image"] / 1e9
            table.append((f"{name}: device memory with one picture, GB", f"{memory:.2f}"))
    runs = [result for key, result in results.items() if key.startswith("cold_start")]
    cold = [run["seconds"] for run in runs if run["exit"] == 0]
    if cold:
        table.append(("process start to result, s", f"{sorted(cold)[len(cold) // 2]:.1f}"))
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
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--no-compile", action="store_true", help="transformers eager only")
    options = parser.parse_args()
    host = Host(options)
    for step in options.steps:
        globals()[step](host)
    for what, value in rows(host.results):
        print(f"| {what} | {value} |")
    failed = [name for name, result in host.results.items() if result["exit"] != 0]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; see {host.logs}")


if __name__ == "__main__":
    main()

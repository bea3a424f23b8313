"""Compiles the graphs of the published size with TensorRT-RTX's builder; no GPU is needed.

    python bench/compile_full_size.py [--program build/sam3trt] [--work DIR] [--graph NAME ...]

Makes the checkpoint once (bench/full_size.py), exports all graphs, parses and compiles each for one
compute capability, and prints, as JSON, seconds and engine bytes per graph and the largest resident
memory. Needs tensorrt-rtx-cu13-libs and tensorrt-rtx-cu13-bindings from PyPI.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import full_size

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))

import graphs  # noqa: E402
import rtx  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=Path("build/sam3trt"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sam3trt-bench")
    parser.add_argument("--graph", action="append", choices=list(graphs.FILES))
    parser.add_argument("--capability", default="SM89")
    args = parser.parse_args()
    if rtx.trt is None:
        raise SystemExit(rtx.REASON)
    checkpoint, folder = args.work / "full_size", args.work / "graphs"
    if not (checkpoint / "tokenizer.json").exists():
        full_size.write_checkpoint(checkpoint)
    if not (folder / graphs.FILES["mask_head"]).exists():
        command = [args.program, "export", "--checkpoint", checkpoint, "--component", "all"]
        subprocess.run([*command, "--output", folder], check=True)
    result = {"tensorrt_rtx": rtx.trt.__version__, "compute_capability": args.capability}
    for name in args.graph or graphs.FILES:
        begin = time.perf_counter()
        size = rtx.compile_graph(folder / graphs.FILES[name], args.capability)
        seconds = round(time.perf_counter() - begin, 1)
        result[name] = {"seconds": seconds, "engine_bytes": size}
    result["peak_resident_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()

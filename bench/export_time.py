"""Time and memory of exporting a checkpoint of the published size.

    python bench/export_time.py [--program build/sam3trt] [--work DIR] [--runs 3]

Makes the checkpoint once (bench/full_size.py), exports all graphs several times and prints, as
JSON, the wall-clock seconds of every run and the largest resident memory that is not a mapped file
(RssAnon of /proc/PID/status, sampled every 5 ms).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import full_size


def anonymous_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


def export_once(program: Path, checkpoint: Path, output: Path) -> tuple[float, int]:
    """Seconds and peak anonymous KiB of one export."""
    command = [program, "export", "--checkpoint", checkpoint, "--component", "all"]
    begin = time.perf_counter()
    process = subprocess.Popen([*command, "--output", output], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous_kib(process.pid))
        time.sleep(0.005)
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        raise SystemExit(f"export failed with exit code {process.returncode}")
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=Path("build/sam3trt"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sam3trt-bench")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    checkpoint = args.work / "full_size"
    if not (checkpoint / "tokenizer.json").exists():
        full_size.write_checkpoint(checkpoint)
    runs = [export_once(args.program, checkpoint, args.work / "graphs") for _ in range(args.runs)]
    result = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "seconds": [round(seconds, 2) for seconds, _ in runs],
        "median_seconds": round(statistics.median(seconds for seconds, _ in runs), 2),
        "peak_anonymous_mib": round(max(peak for _, peak in runs) / 1024),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

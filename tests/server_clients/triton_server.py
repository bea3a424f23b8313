"""NVIDIA's Triton Inference Server as nvidia-pytriton ships it, on loopback and without a GPU."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_server import free_port

SITE = Path(sysconfig.get_path("purelib"))
SHIPPED = SITE / "pytriton/tritonserver"
OWN = Path(__file__).resolve().parents[2] / "build/triton/sam3trt/libtriton_sam3trt.so"


def make_backends(folder: Path) -> Path:
    """The Python backend with the stub for this Python, and the project's own."""
    python = folder / "python"
    shutil.copytree(SHIPPED / "backends/python", python)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(SHIPPED / f"python_backend_stubs/{version}/triton_python_backend_stub", python)
    library = Path(os.environ.get("SAM3TRT_TRITON_BACKEND", OWN))
    if not library.is_file():
        pytest.fail(f"{library} is not built: run 'make triton-backend'")
    (folder / "sam3trt").symlink_to(library.resolve().parent)
    return folder


class Triton:
    """A running server."""

    def __init__(self, repository: Path, backends: Path, log: Path):
        self.http, self.grpc, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.log = log
        command = [SHIPPED / "bin/tritonserver", f"--model-repository={repository}"]
        command += [f"--backend-directory={backends}", "--exit-timeout-secs=10"]
        for name, address in [("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics)]:
            host, port = address.split(":")
            command += [f"--{name}-address={host}", f"--{name}-port={port}"]
        libraries = [SITE / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
        variables = {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            # The stub runs the environment of the first python3 there.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, env=variables, stdout=file, stderr=file)

    def wait_until_ready(self) -> None:
        while self.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=5).close()
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text(encoding="utf-8"))

    def metric(self, name: str) -> float:
        """The value of the line of /metrics that begins so."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        for line in lines:
            if line.startswith((name + "{", name + " ")):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"{name} is not in /metrics")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def serve(repository: Path, folder: Path) -> Iterator[Triton]:
    """The server until the block ends; `folder` is for what it needs."""
    running = Triton(repository, make_backends(folder / "backends"), folder / "triton.log")
    try:
        running.wait_until_ready()
        yield running
    finally:
        code = running.stop()
    assert code == 0, running.log.read_text(encoding="utf-8")

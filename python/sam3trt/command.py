"""The command ``sam3trt``: the program of this package, and its download in Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ._tensorrt import announce_package_folders


def program() -> Path:
    """The program that came with the package."""
    return Path(__file__).parent / "bin" / "sam3trt"


def main() -> None:
    """Becomes the program; ``sam3trt download`` alone runs here."""
    if sys.argv[1:2] == ["download"]:
        from .download import main as download_main

        sys.exit(download_main(sys.argv[2:]))
    announce_package_folders()
    os.environ.setdefault("SAM3TRT_PYTHON", sys.executable)  # writes Parquet files for it
    path = str(program())
    os.execv(path, ["sam3trt", *sys.argv[1:]])

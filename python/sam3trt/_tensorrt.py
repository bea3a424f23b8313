"""TensorRT's libraries, and cuBLASLt, among the installed Python packages."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

# The packages that hold libraries, and one that each must have.
_PACKAGES = {"tensorrt_libs": "libnvinfer.so.*", "tensorrt_rtx_libs": "libtensorrt_rtx.so.*"}
# Where NVIDIA's packages of CUDA 13 and 12 have cuBLASLt, below their namespace "nvidia".
_CUBLASLT_FOLDERS = ("cu13/lib", "cublas/lib")


def package_folders() -> list[Path]:
    """The folders of TensorRT's and TensorRT-RTX's libraries beside this package, if any."""
    folders = []
    for package, library in _PACKAGES.items():
        try:
            found = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            continue
        for place in (found.submodule_search_locations or []) if found else []:
            folder = next((file.parent for file in sorted(Path(place).rglob(library))), None)
            if folder is not None:
                folders.append(folder)
    return folders


def cublaslt_folders() -> list[Path]:
    """The folders of cuBLASLt beside this package, if any, those of CUDA 13 first."""
    try:
        found = importlib.util.find_spec("nvidia")
    except (ImportError, ValueError):
        return []
    places = [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    folders = [place / folder for folder in _CUBLASLT_FOLDERS for place in places]
    return [folder for folder in folders if any(folder.glob("libcublasLt.so.*"))]


def announce_package_folders() -> None:
    """Says where to look for TensorRT and cuBLASLt after the system's folders.

    In SAM3TRT_TENSORRT_PACKAGES and SAM3TRT_CUBLASLT_PACKAGES. Nothing is loaded before an engine
    is. A folder in SAM3TRT_TENSORRT_DIR or SAM3TRT_CUBLASLT_DIR still wins.
    """
    for variable, find in (
        ("SAM3TRT_TENSORRT_PACKAGES", package_folders),
        ("SAM3TRT_CUBLASLT_PACKAGES", cublaslt_folders),
    ):
        folders = [] if variable in os.environ else find()
        if folders:
            os.environ[variable] = os.pathsep.join(map(str, folders))

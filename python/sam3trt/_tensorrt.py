"""TensorRT's libraries among the installed Python packages."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

# The packages that hold libraries, and one that each must have.
_PACKAGES = {"tensorrt_libs": "libnvinfer.so.*", "tensorrt_rtx_libs": "libtensorrt_rtx.so.*"}


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


def announce_package_folders() -> None:
    """Says in SAM3TRT_TENSORRT_PACKAGES where to look for TensorRT after the system's folders.

    Nothing is loaded before an engine is. A folder in SAM3TRT_TENSORRT_DIR still wins.
    """
    if "SAM3TRT_TENSORRT_PACKAGES" in os.environ:
        return
    folders = package_folders()
    if folders:
        os.environ["SAM3TRT_TENSORRT_PACKAGES"] = os.pathsep.join(map(str, folders))

"""Folders that several test processes share: each is made once and kept by what it was made from.

SAM3TRT_TEST_CACHE names the folder that keeps them; without it each process makes its own.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

UNUSED_SECONDS = 3600
# In place of the user's home and cache, so that no test depends on what lies there; not even root
# can make a folder in a device.
NO_HOME = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache"}


def digest(paths: Iterable[Path]) -> str:
    """A hash of all files, and of all files in folders, by name and content."""
    result = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            result.update(f"{file.name} {file.stat().st_size}\n".encode())
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    result.update(block)
    return result.hexdigest()


def forget_unused(root: Path) -> None:
    """Removes folders that no run has asked for lately: those of other programs."""
    for entry in root.iterdir():
        if entry.suffix != ".lock" and time.time() - entry.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)


class Shared:
    """`fallback` keeps the folders when SAM3TRT_TEST_CACHE is not set."""

    def __init__(self, fallback: Path):
        self.root = Path(os.environ.get("SAM3TRT_TEST_CACHE", fallback))
        self.root.mkdir(parents=True, exist_ok=True)

    def folder(self, name: str, sources: Iterable[Path], make: Callable[[Path], object]) -> Path:
        """The folder that `make(folder)` filled from `sources`; tests must not change it."""
        kept = self.root / f"{name}-{digest(sources)[:16]}"
        with (self.root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.is_dir():
                forget_unused(self.root)
                unfinished = kept.with_name(f"{kept.name}.unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(kept)
            os.utime(kept)
        return kept

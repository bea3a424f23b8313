"""Runs clang-tidy over the project's sources, only where something has changed since it passed.

    python tools/tidy.py --build build

A source passes again without a run when it, the project headers it includes, .clang-tidy,
clang-tidy and its compile command are unchanged. The user's cache folder holds one empty file per
source that passed, whose name is the hash of all that, so that another checkout of the same sources
profits.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "apps")
INCLUDE = re.compile(r'^#include [<"]([^">]+)[">]', re.MULTILINE)
UNUSED_SECONDS = 60 * 24 * 3600


def project_headers(source: Path, seen: dict[Path, bytes]) -> dict[Path, bytes]:
    """`source` and all project headers that it includes, with their contents."""
    if source in seen:
        return seen
    seen[source] = source.read_bytes()
    for name in INCLUDE.findall(seen[source].decode()):
        for folder in (source.parent, ROOT / "src", ROOT / "include"):
            if (folder / name).is_file():
                project_headers((folder / name).resolve(), seen)
                break
    return seen


def key_of(source: Path, build: Path, command: str, common: bytes) -> str:
    """The same for the same sources in another folder."""
    for folder, name in ((build, "BUILD"), (ROOT, "ROOT"), (Path.home(), "HOME")):
        command = command.replace(str(folder), name)
    digest = hashlib.sha256(common + command.encode())
    for path, content in sorted(project_headers(source, {}).items()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + content)
    return digest.hexdigest()


def stamp_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sam3trt/tidy"
    folder.mkdir(parents=True, exist_ok=True)
    for stamp in folder.iterdir():
        if time.time() - stamp.stat().st_mtime > UNUSED_SECONDS:
            stamp.unlink(missing_ok=True)
    return folder


def check(source: Path, build: Path) -> str:
    """What clang-tidy says about `source`; empty when it passes."""
    # The compile commands are g++'s; clang does not know all of its warnings.
    command = ["clang-tidy", "--quiet", "--extra-arg=-Wno-unknown-warning-option"]
    command += ["-p", str(build), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return ""
    # Standard error counts suppressed warnings; it matters when clang-tidy itself failed.
    return result.stdout or result.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    build = options.build.resolve()
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes()
    stamps = stamp_folder()
    entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    commands: dict[Path, str] = {}  # a source may be compiled more than once, in different ways
    for entry in entries:
        source = Path(entry["file"]).resolve()
        if any(source.is_relative_to(ROOT / folder) for folder in FOLDERS):
            commands[source] = commands.get(source, "") + entry["command"] + "\n"
    keys = {source: key_of(source, build, text, common) for source, text in commands.items()}
    changed = sorted(source for source, key in keys.items() if not (stamps / key).exists())
    for source in keys.keys() - set(changed):
        (stamps / keys[source]).touch()
    failed = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for source, problems in zip(changed, pool.map(lambda s: check(s, build), changed)):
            if problems:
                failed += 1
                print(problems)
            else:
                (stamps / keys[source]).touch()
    print(f"clang-tidy: {len(keys)} sources, {len(changed)} changed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

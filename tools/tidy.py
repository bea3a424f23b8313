"""Runs clang-tidy over the project's sources, only where something has changed since it passed.

    python tools/tidy.py --build build

A source passes again without a run when it, the project headers it includes, .clang-tidy and its
compile command are unchanged; BUILD/tidy/ holds one empty file per source that passed.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "apps")
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def project_headers(source: Path, seen: dict[Path, bytes]) -> dict[Path, bytes]:
    """`source` and all project headers that it includes, with their contents."""
    if source in seen:
        return seen
    seen[source] = source.read_bytes()
    for name in INCLUDE.findall(seen[source].decode()):
        for folder in (source.parent, ROOT / "src"):
            if (folder / name).is_file():
                project_headers((folder / name).resolve(), seen)
                break
    return seen


def key_of(source: Path, command: str, common: bytes) -> str:
    digest = hashlib.sha256(common + command.encode())
    for path, content in sorted(project_headers(source, {}).items()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + content)
    return digest.hexdigest()


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
    stamps = build / "tidy"
    stamps.mkdir(exist_ok=True)
    entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    keys = {}
    for entry in entries:
        source = Path(entry["file"]).resolve()
        if any(source.is_relative_to(ROOT / folder) for folder in FOLDERS):
            keys[source] = key_of(source, entry["command"], common)
    for stamp in stamps.iterdir():
        if stamp.name not in keys.values():
            stamp.unlink()
    changed = sorted(source for source, key in keys.items() if not (stamps / key).exists())
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

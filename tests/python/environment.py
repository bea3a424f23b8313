"""Runs Python in an environment that has the wheel and what its tests need.

    environment.py ARGUMENTS...      e.g. -m pytest tests/python

The wheel is that of build/wheels; the environment, in build/wheel/tests, is kept.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/wheel/tests"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def update(stamp: Path, content: bytes, *commands: list) -> None:
    """Runs the commands unless they ran with this content before."""
    digest = hashlib.sha256(content).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    for command in commands:
        subprocess.run([str(part) for part in command], check=True)
    stamp.write_text(digest)


def main() -> None:
    wheels = list((ROOT / "build/wheels").glob("*.whl"))
    if len(wheels) != 1:
        sys.exit(f"expected one wheel in build/wheels, found {len(wheels)}: run 'make wheel'")
    builder = ROOT / "build/wheel/venv/bin/python"
    python = FOLDER / "bin/python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    config = (ROOT / "build/wheel/venv/pyvenv.cfg").read_bytes()
    FOLDER.mkdir(parents=True, exist_ok=True)
    update(
        FOLDER / "requirements.sha256",
        config + REQUIREMENTS.read_bytes(),
        [builder, "-m", "venv", "--clear", FOLDER],
        [*pip, "-r", REQUIREMENTS],
    )
    update(
        FOLDER / "wheel.sha256",
        wheels[0].read_bytes(),
        [*pip, wheels[0]],
        [*pip, "--force-reinstall", "--no-deps", wheels[0]],
    )
    os.execv(python, [str(python), *sys.argv[1:]])


main()

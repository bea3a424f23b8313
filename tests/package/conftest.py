"""Fixtures: the build under test, what it installs, graphs to run, and folders made invisible.

SAM3TRT_BUILD names the build; the default is build. What takes long to make stays in its folder
`package`, so that a second run only looks.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def call(*command, env=None, code=0, **options) -> subprocess.CompletedProcess:
    """Runs a command that must end with `code`; its output is in the message otherwise."""
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == code, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="session")
def build() -> Path:
    path = Path(os.environ.get("SAM3TRT_BUILD", ROOT / "build"))
    if not (path / "lib/libsam3trt.so").exists() or not (path / "sam3trt").exists():
        pytest.fail(f"{path} has no lib/libsam3trt.so or sam3trt: build all targets first")
    return path


@pytest.fixture(scope="session")
def cache(build) -> dict[str, str]:
    """The variables of the build."""
    lines = (build / "CMakeCache.txt").read_text().splitlines()
    matches = [re.fullmatch(r"([\w.+-]+):\w+=(.*)", line) for line in lines]
    return {match[1]: match[2] for match in matches if match}


@pytest.fixture(scope="session")
def work(build) -> Path:
    path = build / "package"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session")
def installed(build, tmp_path_factory) -> Path:
    """What `make install` gives, moved to a place that it was not installed for."""
    first = tmp_path_factory.mktemp("first") / "prefix"
    call("cmake", "--install", build, "--prefix", first)
    moved = tmp_path_factory.mktemp("moved") / "elsewhere"
    shutil.move(first, moved)
    return moved


@pytest.fixture(scope="session")
def graphs(build, tmp_path_factory) -> Path:
    """The graphs of the small checkpoint."""
    folder = tmp_path_factory.mktemp("graphs") / "tiny"
    checkpoint = ROOT / "models/tiny"
    arguments = ("--checkpoint", checkpoint, "--component", "all", "--output", folder)
    call(build / "sam3trt", "export", *arguments)
    return folder


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Path:
    """An image with two red circles and one blue star."""
    folder = tmp_path_factory.mktemp("image")
    call(sys.executable, ROOT / "tools/tiny/draw_demo.py", folder)
    return folder / "shapes.png"


@pytest.fixture(scope="session")
def without():
    """without(folder...): the beginning of a command whose process does not see these folders."""

    def prefix(*folders) -> list[str]:
        mounts = (
            f"if test -d '{folder}'; then mount -t tmpfs none '{folder}' || exit 125; fi; "
            for folder in (path.resolve() for path in folders)
        )
        script = "".join(mounts)
        return ["unshare", "--mount", "--map-root-user", "sh", "-c", script + 'exec "$@"', "sh"]

    probe = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode != 0:
        pytest.skip(f"no mount namespace may be made here: {probe.stderr.strip()}")
    return prefix

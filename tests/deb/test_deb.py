"""The .deb packages of `make deb`, installed and run in a root that holds nothing else.

`make test-deb` runs this as root; apt-get fetches what the packages depend on.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest
from conftest import PACKAGES, ROOT, call


@pytest.fixture(scope="module")
def with_packages(empty_root, inside) -> Path:
    packages = sorted(PACKAGES.glob("*.deb"))
    names = [path.name.split("_")[0] for path in packages]
    assert names == ["libsam3trt-dev", "libsam3trt0", "sam3trt"], "run 'make deb' first"
    for path in packages:
        shutil.copy(path, empty_root / "tmp")
    inside("apt-get", "update", "-q")
    wanted = [f"/tmp/{path.name}" for path in packages]
    inside("apt-get", "install", "-q", "-y", "--no-install-recommends", *wanted)
    return empty_root


def test_the_packages_install_and_the_program_exports_and_infers(with_packages, inside):
    shutil.copytree(ROOT / "models/tiny", with_packages / "root/tiny")
    call(sys.executable, ROOT / "tools/tiny/draw_demo.py", with_packages / "root")
    options = ("--checkpoint", "/root/tiny", "--component", "all", "--output", "/root/graphs")
    inside("sam3trt", "export", *options)
    options = ("--image", "/root/shapes.png", "--text", "red circle", "blue star")
    document = json.loads(inside("sam3trt", "infer", "--model", "/root/graphs", *options))
    prompts = document["images"][0]["prompts"]
    assert [len(prompt["instances"]) for prompt in prompts] == [2, 1]


def test_the_library_is_found_by_the_loader_and_its_files_by_their_tools(with_packages, inside):
    assert "libsam3trt.so.0 " in inside("ldconfig", "--print-cache")
    for name in (
        "include/sam3trt/version.hpp",
        "lib/cmake/sam3trt/sam3trtConfig.cmake",
        "lib/pkgconfig/sam3trt.pc",
        "lib/libsam3trt.so",
        "share/doc/libsam3trt0/copyright",
    ):
        assert (with_packages / "usr" / name).exists(), name


def test_the_packages_leave_nothing_when_they_are_removed(with_packages, inside):
    inside("apt-get", "purge", "-q", "-y", "sam3trt", "libsam3trt0", "libsam3trt-dev")
    assert not list((with_packages / "usr").rglob("*sam3trt*"))

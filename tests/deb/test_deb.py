"""The .deb packages of `make deb`, installed and run in a root that holds nothing else.

`make test-deb` runs this as root. The empty root is made by debootstrap once per distribution and
kept as a tarball in the user's cache folder; apt-get fetches what the packages depend on.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(os.environ.get("SAM3TRT_BUILD", ROOT / "build")) / "packages"


def call(*command, **options) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values["VERSION_CODENAME"].strip('"')


@pytest.fixture(scope="module")
def empty_root(tmp_path_factory) -> Path:
    """A minimal system of this distribution."""
    if os.geteuid() != 0:
        pytest.skip("a root of its own needs chroot: run as root")
    if shutil.which("debootstrap") is None:
        pytest.skip("no debootstrap: apt-get install debootstrap")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sam3trt"
    tarball = cache / f"{codename()}-minbase.tar"
    root = tmp_path_factory.mktemp("root")
    if not tarball.exists():
        cache.mkdir(parents=True, exist_ok=True)
        call("debootstrap", "--variant=minbase", codename(), root)
        partial = tarball.with_suffix(f".{os.getpid()}")
        call("tar", "--create", "--one-file-system", "--file", partial, "--directory", root, ".")
        partial.rename(tarball)
    else:
        call("tar", "--extract", "--file", tarball, "--directory", root)
    return root


@pytest.fixture(scope="module")
def inside(empty_root):
    """Runs a command in the root, with nothing of this machine but its name servers."""
    shutil.copy("/etc/resolv.conf", empty_root / "etc/resolv.conf")
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
    }

    def run(*command) -> str:
        own_processes = ("unshare", "--mount", "--pid", "--fork", f"--mount-proc={empty_root}/proc")
        return call(*own_processes, "chroot", empty_root, *command, env=environment)

    return run


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

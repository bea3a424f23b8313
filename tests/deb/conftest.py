"""A root that holds nothing but a minimal system, for tests as root.

It is made by debootstrap once per distribution and kept as a tarball in the user's cache folder.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(os.environ.get("SAM3TRT_BUILD", ROOT / "build")) / "packages"
# Nothing of this machine.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


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
    root.chmod(0o755)  # as / of a system is; pytest's folders are their owner's alone
    return root


def own_processes(root: Path) -> tuple[str, ...]:
    """What runs a command as the first of its own processes, which ends them all."""
    options = ("--mount", "--pid", "--fork", "--kill-child")
    return ("unshare", *options, f"--mount-proc={root}/proc")


@pytest.fixture(scope="module")
def inside(empty_root):
    """Runs a command in the root, with nothing of this machine but its name servers."""
    shutil.copy("/etc/resolv.conf", empty_root / "etc/resolv.conf")

    def run(*command) -> str:
        return call(*own_processes(empty_root), "chroot", empty_root, *command, env=ENVIRONMENT)

    return run

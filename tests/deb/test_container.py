"""The steps of serving/container/Dockerfile.cpu, done in an empty root in place of an image."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, PACKAGES, ROOT, call, codename, own_processes

sys.path.append(str(ROOT / "tests/e2e"))
from container_file import instructions, last  # noqa: E402
from run_server import free_port  # noqa: E402
from server import Client  # noqa: E402

FILE = "Dockerfile.cpu"
BASES = {"bookworm": "debian:12-slim"}


@pytest.fixture(scope="module")
def image(empty_root, inside) -> Path:
    """The root after all steps but the last, which starts the program."""
    if BASES.get(codename()) != last(FILE, "FROM"):
        pytest.skip(f"the image is {last(FILE, 'FROM')}, this machine is {codename()}")
    for step, text in instructions(FILE):
        if step == "COPY":
            *patterns, target = text.split()
            (empty_root / target.strip("/")).mkdir(parents=True, exist_ok=True)
            for pattern in patterns:
                (file,) = PACKAGES.glob(pattern)
                shutil.copy(file, empty_root / target.strip("/"))
        elif step == "RUN":
            inside("sh", "-c", text)
        elif step == "VOLUME":
            (empty_root / text.strip("/")).mkdir()
        else:
            assert step in ("FROM", "EXPOSE", "USER", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT")
    # The volume, as a user would fill it.
    shutil.copytree(ROOT / "models/tiny", empty_root / "root/tiny")
    options = ("--checkpoint", "/root/tiny", "--component", "all", "--output", "/model")
    inside("sam3trt", "export", *options)
    return empty_root


def as_user(root: Path) -> tuple:
    return ("chroot", f"--userspec={last(FILE, 'USER')}", root)


def check_health(root: Path, port: int) -> int:
    command = last(FILE, "HEALTHCHECK").partition("CMD ")[2]
    assert last(FILE, "EXPOSE") in command
    command = command.replace(last(FILE, "EXPOSE"), str(port))
    done = subprocess.run(
        [*as_user(root), "sh", "-c", command], env=ENVIRONMENT, capture_output=True, check=False
    )
    return done.returncode


class Container:
    """The program as the first process of its own, as an engine starts it."""

    def __init__(self, root: Path):
        self.root = root
        self.port = free_port()
        entry = json.loads(last(FILE, "ENTRYPOINT"))
        command = [*own_processes(root), *as_user(root), *entry, "--port", str(self.port)]
        environment = {**ENVIRONMENT, "HOME": "/"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + 120
        while check_health(self.root, self.port) != 0:
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def first_process(self) -> int:
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def stop(self) -> tuple[int, str]:
        os.kill(self.first_process(), getattr(signal, last(FILE, "STOPSIGNAL")))
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def container(image):
    running = Container(image)
    yield running
    if running.process.poll() is None:
        os.kill(running.first_process(), signal.SIGKILL)
        running.process.communicate()


def test_the_image_serves_what_the_volume_holds_and_stops_when_told(container, tmp_path):
    container.wait_until_healthy()
    call(sys.executable, ROOT / "tools/tiny/draw_demo.py", tmp_path)
    client = Client(f"http://127.0.0.1:{container.port}/")
    parts = ("image", (tmp_path / "shapes.png").read_bytes(), "a.png"), ("text", "blue star", None)
    answer = client.post_parts("/v1/infer", *parts)
    assert answer.status == 200, answer.body
    assert len(answer.json["images"][0]["prompts"][0]["instances"]) == 1
    assert b"<html" in client.get("/").body
    code, errors = container.stop()
    assert code == 0, errors
    assert "everyone who reaches this address may use the server" in errors
    assert check_health(container.root, container.port) != 0


def test_the_program_runs_as_a_user_who_may_change_nothing_in_the_image(container):
    container.wait_until_healthy()
    status = Path(f"/proc/{container.first_process()}/status").read_text().splitlines()
    users = next(line for line in status if line.startswith("Uid:")).split()[1:]
    assert users == [last(FILE, "USER").split(":")[0]] * 4
    find = "find / -xdev -writable -not -type l -not -path '/dev/*' 2> /dev/null; true"
    writable = call(*as_user(container.root), "sh", "-c", find, env=ENVIRONMENT).split()
    assert "/tmp" in writable
    assert {path for path in writable if path.count("/") < 4} <= {
        "/tmp",
        "/var/tmp",
        "/run/lock",
        "/var/lock",
    }
    assert container.stop()[0] == 0

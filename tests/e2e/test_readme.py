"""The commands of the README work as they are written there, one after another.

The hub is a local one that holds models/tiny under the name of the published model. Without a GPU
`build` must get as far as asking for one; its output is then replaced by the graph that it was
given, as the README says.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import clips
import goldens
import pytest
import server
from hub_server import Behaviour, Server

TINY = goldens.ROOT / "models/tiny"


def commands() -> list[list[str]]:
    """Every `sam3trt` command of the README's shell blocks."""
    text = (goldens.ROOT / "README.md").read_text()
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line for line in words if line and line[0].split("/")[-1] == "sam3trt"]


@pytest.fixture
def hub():
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
    behaviour = Behaviour(files=files, repo="facebook/sam3", gated=True)
    behaviour.stored_elsewhere = {"model.safetensors"}
    server = Server(behaviour)
    yield server
    server.close()


def ask_as_curl(running: server.Server, folder: Path) -> None:
    """Asks what the README's curl command asks."""
    text = (goldens.ROOT / "README.md").read_text()
    (line,) = re.findall(r"^curl (.*)$", text, re.M)
    *fields, address = [word for word in shlex.split(line) if word != "-F"]
    parts = []
    for name, value in (field.split("=", 1) for field in fields):
        file = value[1:] if value.startswith("@") else None
        parts.append((name, (folder / file).read_bytes() if file else value, file))
    answer = running.post_parts(address.removeprefix("http://127.0.0.1:8080"), *parts)
    assert answer.status == 200, answer
    (image,) = answer.json["images"]
    assert [prompt["text"] for prompt in image["prompts"]] == ["dog"]


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_the_commands_of_the_readme_work_in_their_order(program, hub, tmp_path):
    frames = clips.write_frames(tmp_path / "frames", 4)
    clips.encode(frames, tmp_path / "street.mp4", "-c:v", "mpeg4")
    shutil.copytree(goldens.ROOT / "test_images", tmp_path / "test_images")
    shutil.copytree(goldens.ROOT / "configs", tmp_path / "configs")
    environment = {name: value for name, value in os.environ.items() if name[:3] != "HF_"}
    environment |= {"HF_ENDPOINT": hub.url(), "HF_TOKEN": "hf_good"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    graph_of: dict[str, str] = {}
    met = set()
    for words in commands():
        command = words[1]
        met.add(command)
        replaced = [graph_of.get(word, word) for word in words[1:]]
        if command == "serve":
            running = server.Server(program, tmp_path / option(words, "--model"))
            running.wait_until_ready()
            ask_as_curl(running, tmp_path)
            assert running.stop() == 0
            continue
        done = subprocess.run(
            [program, *replaced],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if command == "build" and done.returncode == 3:
            assert "NVIDIA driver" in done.stderr or "TensorRT" in done.stderr
            graph_of[option(words, "--output")] = option(words, "--onnx")
            continue
        if command == "doctor":
            continue  # what it says depends on the machine
        assert done.returncode == 0, f"{shlex.join(replaced)}\n{done.stderr}"
        for name in ("--output", "--overlay"):
            if name in words:
                assert (tmp_path / option(words, name)).exists(), (words, name)
    assert {"download", "export", "build", "infer", "track", "serve"} <= met

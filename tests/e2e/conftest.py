"""Fixtures: the program under test, tiny checkpoints, and their exported graphs.

SAM3TRT_PROGRAM names the program; the default is build/sam3trt.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import goldens
import pytest


class Result(NamedTuple):
    """What a run of the program left."""

    code: int
    stdout: str
    stderr: str


# (semantics, tiny checkpoint); Meta's format cannot express tiny_c.
REFERENCES = [
    ("hf", "tiny_a"),
    ("hf", "tiny_b"),
    ("hf", "tiny_c"),
    ("meta", "tiny_a"),
    ("meta", "tiny_b"),
]


@pytest.fixture(scope="session")
def program() -> Path:
    path = Path(os.environ.get("SAM3TRT_PROGRAM", goldens.ROOT / "build/sam3trt"))
    if not path.is_file():
        pytest.fail(f"{path} is not built: run 'make', or name the program in SAM3TRT_PROGRAM")
    return path


@pytest.fixture
def run(program):
    """run(*arguments, env=..., check=False): exit code, standard output, standard error.

    `env` is added to the environment; names of value None are removed from it. The hub's variables
    are always removed, so that no test depends on, or reveals, the user's.
    """

    def call(*arguments, env=None, check=False, **options) -> Result:
        variables = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        variables |= {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"} | (env or {})
        done = subprocess.run(
            [program, *map(str, arguments)],
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **options,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert not check or result.code == 0, result.stderr
        return result

    return call


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """checkpoint(semantics, name): the folder of a tiny checkpoint in that side's format."""
    made = {}

    def make(semantics: str, name: str) -> Path:
        if (semantics, name) not in made:
            folder = tmp_path_factory.mktemp(f"{semantics}_{name}")
            script = goldens.ROOT / "tools/reference/make_checkpoint.py"
            config = goldens.DATA / f"configs/{name}.json"
            subprocess.run(
                [sys.executable, script, config, "--output", folder, "--format", semantics],
                check=True,
            )
            made[semantics, name] = folder
        return made[semantics, name]

    return make


@pytest.fixture(scope="session")
def exported(program, checkpoint, tmp_path_factory):
    """exported(semantics, name): the folder of the graphs exported from that checkpoint."""
    made = {}

    def export(semantics: str, name: str) -> Path:
        if (semantics, name) not in made:
            source = checkpoint(semantics, name)
            source = source / "sam3.pt" if semantics == "meta" else source
            folder = tmp_path_factory.mktemp(f"graphs_{semantics}_{name}")
            command = [program, "export", "--checkpoint", source, "--component", "all"]
            subprocess.run([*command, "--output", folder], check=True)
            made[semantics, name] = folder
        return made[semantics, name]

    return export


@pytest.fixture(scope="session")
def tiny_graphs(program, tmp_path_factory) -> Path:
    """The graphs of the trained small checkpoint."""
    folder = tmp_path_factory.mktemp("tiny") / "graphs"
    arguments = ["export", "--checkpoint", goldens.ROOT / "models/tiny", "--component", "all"]
    subprocess.run([program, *arguments, "--output", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def type_graph():
    default = goldens.ROOT / "build/tests/type_graph"
    path = Path(os.environ.get("SAM3TRT_TYPE_GRAPH", default))
    if not path.is_file():
        pytest.fail(f"{path} is not built: run 'make', or name it in SAM3TRT_TYPE_GRAPH")

    def run(*arguments) -> dict:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else {}

    return run

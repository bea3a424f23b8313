"""Fixtures: the program under test, tiny checkpoints, and their exported graphs.

SAM3TRT_PROGRAM names the program; the default is build/sam3trt.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import goldens
import pytest
import tiny_detector
from shared import NO_HOME, Shared


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
        variables |= NO_HOME | (env or {})
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
def shared(tmp_path_factory) -> Shared:
    return Shared(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def checkpoint(shared):
    """checkpoint(semantics, name): the folder of a tiny checkpoint in that side's format."""
    scripts = goldens.ROOT / "tools/reference"

    @functools.cache
    def make(semantics: str, name: str) -> Path:
        config = goldens.DATA / f"configs/{name}.json"
        command = [sys.executable, scripts / "make_checkpoint.py", config, "--format", semantics]
        return shared.folder(
            f"{semantics}_{name}",
            [config, *sorted(config.parent.glob("*.fitted.*")), *sorted(scripts.glob("*.py"))],
            lambda folder: subprocess.run([*command, "--output", folder], check=True),
        )

    return make


@pytest.fixture(scope="session")
def export(program, shared):
    """export(name, source): the folder of the graphs exported from the checkpoint `source`."""
    sources = [program, *sorted(program.parent.glob("libsam3trt*.so*"))]

    def make(name: str, source: Path) -> Path:
        command = [program, "export", "--checkpoint", source, "--component", "all", "--output"]
        return shared.folder(
            f"graphs_{name}",
            [*sources, source if source.is_dir() else source.parent],
            lambda folder: subprocess.run([*command, folder], check=True, capture_output=True),
        )

    return make


@pytest.fixture(scope="session")
def exported(checkpoint, export):
    """exported(semantics, name): the folder of the graphs exported from that checkpoint."""

    @functools.cache
    def make(semantics: str, name: str) -> Path:
        source = checkpoint(semantics, name)
        return export(f"{semantics}_{name}", source / "sam3.pt" if semantics == "meta" else source)

    return make


@pytest.fixture(scope="session")
def tiny_graphs(export) -> Path:
    """The graphs of the trained small checkpoint."""
    return export("tiny", goldens.ROOT / "models/tiny")


@pytest.fixture(scope="session")
def tiny_detector_graphs(export, tmp_path_factory) -> Path:
    """Those of its detector alone: whatever compares whole models is done in seconds."""
    checkpoint = tmp_path_factory.mktemp("tiny_detector")
    tiny_detector.write_files(checkpoint)
    path = checkpoint / "model.safetensors"
    tiny_detector.write_safetensors(path, tiny_detector.tensors())
    return export("tiny_detector", checkpoint)


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

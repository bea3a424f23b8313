"""What is built and what is installed runs where neither the checkout nor .venv is there."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, call


def found(stdout: str) -> list[int]:
    """Instances per prompt of infer's document."""
    prompts = json.loads(stdout)["images"][0]["prompts"]
    return [len(prompt["instances"]) for prompt in prompts]


def infer(graphs, image):
    return ("infer", "--model", graphs, "--image", image, "--text", "red circle", "blue star")


def test_the_installed_program_exports_and_infers_without_the_checkout(
    installed, image, without, cache, tmp_path
):
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(ROOT / "models/tiny", checkpoint)
    hidden = without(ROOT, Path(cache["SAM3TRT_VENV"]))
    program = (*hidden, installed / "bin/sam3trt")
    graphs = tmp_path / "graphs"
    options = ("--checkpoint", checkpoint, "--component", "all", "--output", graphs)
    call(*program, "export", *options, cwd=tmp_path)
    assert found(call(*program, *infer(graphs, image), cwd=tmp_path).stdout) == [2, 1]
    assert "OpenVINO (CPU backend)  ok" in call(*program, "doctor", cwd=tmp_path).stdout


def test_the_built_program_infers_without_the_virtual_environment(
    build, graphs, image, without, cache
):
    hidden = without(Path(cache["SAM3TRT_VENV"]))
    assert found(call(*hidden, build / "sam3trt", *infer(graphs, image)).stdout) == [2, 1]


def test_a_copy_of_the_built_program_and_its_libraries_infers_without_the_checkout(
    build, graphs, image, without, cache, tmp_path
):
    (tmp_path / "lib").mkdir()
    shutil.copy(build / "sam3trt", tmp_path)
    shutil.copytree(build / "lib/sam3trt", tmp_path / "lib/sam3trt")
    hidden = without(ROOT, Path(cache["SAM3TRT_VENV"]))
    done = call(*hidden, tmp_path / "sam3trt", *infer(graphs, image), cwd=tmp_path)
    assert found(done.stdout) == [2, 1]


def test_nothing_that_is_installed_names_the_checkout_or_the_build(installed, build, cache):
    places = [str(path).encode() for path in (ROOT, build, cache["SAM3TRT_VENV"])]
    files = [path for path in installed.rglob("*") if path.is_file()]
    assert files
    naming = [path for path in files if any(place in path.read_bytes() for place in places)]
    assert not naming


def test_destdir_comes_before_the_prefix(build, tmp_path):
    call("cmake", "--install", build, "--prefix", "/usr", env={"DESTDIR": str(tmp_path)})
    assert [path.name for path in tmp_path.iterdir()] == ["usr"]
    version = subprocess.run(
        [tmp_path / "usr/bin/sam3trt", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("sam3trt ")


@pytest.mark.parametrize("name", ["bin/sam3trt", "lib/libsam3trt.so"])
def test_installed_files_find_libraries_relative_to_themselves(installed, name):
    dynamic = call("readelf", "--dynamic", installed / name).stdout
    paths = [line for line in dynamic.splitlines() if "RUNPATH" in line or "RPATH" in line]
    assert len(paths) == 1
    assert "[$ORIGIN/" in paths[0]

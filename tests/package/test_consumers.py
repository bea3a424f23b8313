"""Programs that use the library in each supported way build, and find what this program finds."""

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, call

EXAMPLE = ROOT / "examples/segment.cpp"
SOURCE = (f"-DSOURCE={EXAMPLE}", f"-DSAM3TRT={ROOT}")
TEXTS = ("red circle", "blue star")

# Taken over from the build under test, so that ccache knows every object. So are its GPU kernels.
TAKEN_OVER = (
    "CMAKE_BUILD_TYPE",
    "CMAKE_CXX_COMPILER",
    "CMAKE_CXX_FLAGS",
    "CMAKE_CXX_FLAGS_DEBUG",
    "CMAKE_CXX_FLAGS_RELEASE",
    "SAM3TRT_TENSORRT_HEADERS",
    "SAM3TRT_VENV",
    "SAM3TRT_WERROR",
)


def settings(cache) -> list[str]:
    kernels = f"-DSAM3TRT_FATBINS={cache['sam3trt_BINARY_DIR']}/generated/cuda"
    return [kernels, *(f"-D{name}={cache[name]}" for name in TAKEN_OVER if name in cache)]


@pytest.fixture(scope="module")
def expected(build, graphs, image) -> list[str]:
    """The lines that the example prints, from the program's document."""
    options = ("--model", graphs, "--image", image, "--text", *TEXTS)
    document = json.loads(call(build / "sam3trt", "infer", *options).stdout)
    return [
        f"{prompt['text']}: score {instance['score']:.3f}, {instance['area']} pixels"
        for prompt in document["images"][0]["prompts"]
        for instance in prompt["instances"]
    ]


@pytest.fixture
def finds_the_same(graphs, image, expected):
    """Runs a consumer and compares what it prints."""

    def check(program, *prefix):
        done = call(*prefix, program, graphs, image, *TEXTS)
        assert done.stdout.splitlines() == expected
        assert len(expected) == 3

    return check


def test_the_example_of_the_build_finds_what_the_program_finds(build, finds_the_same):
    finds_the_same(build / "examples/segment")


def test_find_package(installed, cache, tmp_path, finds_the_same):
    source = ROOT / "tests/package/consumer"
    options = (f"-DCMAKE_PREFIX_PATH={installed}", *SOURCE, "-DWAY=find_package")
    version = ".".join(cache["CMAKE_PROJECT_VERSION"].split(".")[:2])
    call("cmake", "-S", source, "-B", tmp_path, "-G", "Ninja", *options, f"-DVERSION={version}")
    call("cmake", "--build", tmp_path)
    finds_the_same(tmp_path / "consumer")


def test_find_package_refuses_another_minor_version(installed, cache, tmp_path):
    major, minor = cache["CMAKE_PROJECT_VERSION"].split(".")[:2]
    source = ROOT / "tests/package/consumer"
    options = (f"-DCMAKE_PREFIX_PATH={installed}", *SOURCE, "-DWAY=find_package")
    asked = f"-DVERSION={major}.{int(minor) + 1}"
    done = call("cmake", "-S", source, "-B", tmp_path, *options, asked, code=1)
    assert "compatible with requested" in done.stderr


def test_pkg_config(installed, cache, tmp_path, finds_the_same):
    env = {"PKG_CONFIG_PATH": str(installed / "lib/pkgconfig")}
    flags = call("pkg-config", "--cflags", "--libs", "sam3trt", env=env).stdout.split()
    assert (
        call("pkg-config", "--modversion", "sam3trt", env=env).stdout.strip()
        == (cache["CMAKE_PROJECT_VERSION"])
    )
    program = tmp_path / "segment"
    rpath = f"-Wl,-rpath,{installed / 'lib'}"
    call(cache["CMAKE_CXX_COMPILER"], "-std=c++20", EXAMPLE, *flags, rpath, "-o", program)
    finds_the_same(program)


@pytest.mark.parametrize("way", ["add_subdirectory", "FetchContent"])
def test_as_a_part_of_another_build(way, work, cache, finds_the_same):
    """Both ways share one build, so that the second one only links."""
    source = ROOT / "tests/package/consumer"
    folder = work / "consumer"
    options = (f"-DWAY={way}", *SOURCE, "-DSAM3TRT_OPENVINO=ON", "-DSAM3TRT_PROGRAM=OFF")
    call("cmake", "-S", source, "-B", folder, "-G", "Ninja", *settings(cache), *options)
    call("cmake", "--build", folder, "--target", "consumer", "-j", os.cpu_count())
    finds_the_same(folder / "consumer")


def test_a_build_without_openvino_names_it_wherever_it_is_needed(work, cache, graphs, image):
    """In the build of the test above, whose objects serve but for one."""
    source = ROOT / "tests/package/consumer"
    folder = work / "consumer"
    options = ("-DWAY=add_subdirectory", *SOURCE, "-DSAM3TRT_OPENVINO=OFF", "-DSAM3TRT_PROGRAM=ON")
    call("cmake", "-S", source, "-B", folder, "-G", "Ninja", *settings(cache), *options)
    targets = ("consumer", "sam3trt_program")
    call("cmake", "--build", folder, "-j", os.cpu_count(), "--target", *targets)
    program = folder / "sam3trt/sam3trt"
    needed = call("readelf", "--dynamic", program, folder / "sam3trt/lib/libsam3trt.so").stdout
    assert "openvino" not in needed
    infer = call(*(program, "infer", "--model", graphs, "--image", image, "--text", *TEXTS), code=3)
    assert "built without OpenVINO" in infer.stderr
    assert infer.stdout == ""
    doctor = call(program, "doctor", code=3)
    assert "this sam3trt was built without it" in doctor.stdout
    consumer = call(folder / "consumer", graphs, image, *TEXTS, code=1)
    assert "built without OpenVINO" in consumer.stderr
    verify = call(program, "verify", "--model", graphs, "--reference", graphs, code=3)
    assert "built without OpenVINO" in verify.stderr
    rtx = Path(importlib.util.find_spec("tensorrt_rtx_libs").origin).parent
    options = ("--target", "rtx", "--compute-capability", "8.9", "--fp8", "--output", work / "none")
    builder = (program, "build", "--onnx", graphs, *options)
    build = call(*builder, env={"SAM3TRT_TENSORRT_DIR": str(rtx)}, code=3)
    assert "the float32 reference" in build.stderr
    assert "built without OpenVINO" in build.stderr


SNIPPET = """#include <cstdio>
#include <sam3trt/{header}>
#include <span>
#include <vector>

int main() {{
  using namespace sam3trt;
{body}
}}
"""


def snippets() -> list:
    """The C++ blocks of README.md and docs: programs, or the body of one."""
    found = []
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))):
        blocks = re.findall(r"^```(?:cpp|c\+\+)\n(.*?)^```", document.read_text(), re.M | re.S)
        found += [pytest.param(text, id=f"{document.name}-{n}") for n, text in enumerate(blocks)]
    return found


@pytest.mark.parametrize("text", snippets())
def test_a_snippet_of_the_documents_compiles_and_runs(
    text, installed, cache, graphs, image, tmp_path
):
    """Where it runs, models/onnx and engines are graphs and test_images/example.jpg an image."""
    if "int main" not in text:
        text = SNIPPET.format(header="sam3trt.hpp", body=text)
    source = tmp_path / "snippet.cpp"
    source.write_text(text)
    program = tmp_path / "snippet"
    warnings = ("-Wall", "-Wextra", "-Werror")
    paths = ("-I", installed / "include", "-L", installed / "lib", f"-Wl,-rpath,{installed}/lib")
    compiler = (cache["CMAKE_CXX_COMPILER"], "-std=c++20")
    call(*compiler, *warnings, source, *paths, "-lsam3trt", "-o", program)
    for name in ("models/onnx", "engines"):
        shutil.copytree(graphs, tmp_path / name)
    (tmp_path / "test_images").mkdir()
    for name in ("example.jpg", "example.png"):
        shutil.copy(image, tmp_path / "test_images" / name)
    call(program, cwd=tmp_path)

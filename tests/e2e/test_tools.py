"""The tools of this project that remember what they have done, and what its build says."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import goldens
import numpy as np
import pytest
from shared import Shared

TIDY = goldens.ROOT / "tools/tidy.py"


@pytest.fixture
def key_of(tmp_path, monkeypatch):
    """key_of(checkout, change=...): the key of src/a.cpp in a checkout of that name."""
    specification = importlib.util.spec_from_file_location("tidy", TIDY)
    tidy = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tidy)

    def key(checkout: str, files: dict[str, str], options: str = "-O1") -> str:
        root = tmp_path / checkout
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        monkeypatch.setattr(tidy, "ROOT", root)
        command = f"g++ {options} -I{root}/src -o {root}/build/a.o -c {root}/src/a.cpp"
        return tidy.key_of(root / "src/a.cpp", root / "build", command, b"version")

    return key


FILES = {
    "src/a.cpp": '#include "base/b.hpp"\n#include <sam3trt/c.hpp>\n',
    "src/base/b.hpp": "int b();\n",
    "include/sam3trt/c.hpp": "int c();\n",
}


def test_another_checkout_of_the_same_sources_has_passed_clang_tidy_too(key_of):
    assert key_of("one", FILES) == key_of("two", FILES)


@pytest.mark.parametrize("changed", FILES)
def test_a_changed_source_or_header_is_looked_at_again(key_of, changed):
    assert key_of("one", FILES) != key_of("two", FILES | {changed: FILES[changed] + "// new\n"})


def test_another_compile_command_is_looked_at_again(key_of):
    assert key_of("one", FILES) != key_of("two", FILES, "-O1 -DNEW")


def test_what_tests_share_is_made_once_per_content(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM3TRT_TEST_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.write_text("first", encoding="utf-8")
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        shutil.copy(source, folder / "copy")

    def folder() -> Path:
        return Shared(tmp_path / "unused").folder("name", [source], make)

    first = folder()
    assert folder() == first
    assert (first / "copy").read_text(encoding="utf-8") == "first"
    source.write_text("second", encoding="utf-8")
    assert (folder() / "copy").read_text(encoding="utf-8") == "second"
    assert len(made) == 2


def test_what_was_left_unfinished_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM3TRT_TEST_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.write_text("content", encoding="utf-8")

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("stopped")

    shared = Shared(tmp_path / "unused")
    with pytest.raises(RuntimeError):
        shared.folder("name", [source], fail)
    assert list(shared.folder("name", [source], lambda folder: None).iterdir()) == []


INSTALLED = [*Path("/usr/include").glob("NvInfer.h"), *Path("/usr/include").glob("*/NvInfer.h")]


@pytest.fixture
def summary(tmp_path):
    """summary(headers, include): what `make` says at its end where the headers are there."""

    def configure(headers: Path, include: Path) -> str:
        settings = {
            "SAM3TRT_TENSORRT_HEADERS": headers,
            "SAM3TRT_TENSORRT_INCLUDE": include,
            "SAM3TRT_VENV": sys.prefix,
            "SAM3TRT_TESTS": "OFF",
        }
        options = [f"-D{name}={value}" for name, value in settings.items()]
        command = ["cmake", "-G", "Ninja", "-S", goldens.ROOT, "-B", tmp_path / "build", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "build/summary.txt").read_text(encoding="utf-8")

    return configure


def test_the_last_line_of_make_is_what_the_build_says_of_tensorrt():
    # As a user calls it: a make around the tests would have it print the folders it enters.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-n", "build"],
        cwd=goldens.ROOT,
        env=env | {"MFLAGS": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "cat build/summary.txt"


@pytest.mark.skipif(bool(INSTALLED), reason="TensorRT's headers are installed here")
def test_a_build_without_headers_says_so_and_what_to_do(summary, tmp_path):
    text = summary(tmp_path, tmp_path)
    assert text.startswith("build/sam3trt was built WITHOUT its TensorRT backend: ")
    assert "install libnvinfer-headers-dev" in text
    assert "tools/tensorrt_headers" in text
    assert text.count("\n") == 1


@pytest.mark.skipif(bool(INSTALLED), reason="TensorRT's headers are installed here")
@pytest.mark.parametrize(
    "version", ["#define NV_TENSORRT_MAJOR 10 //!< major", "#define TRT_MAJOR_ENTERPRISE 10"]
)
def test_headers_of_an_installed_tensorrt_are_taken(summary, tmp_path, version):
    include = tmp_path / "include"
    include.mkdir()
    for name in ("NvInfer.h", "NvOnnxParser.h"):
        (include / name).touch()
    (include / "NvInferVersion.h").write_text(f"{version}\n", encoding="utf-8")
    text = summary(tmp_path / "none", include)
    assert text == (
        "build/sam3trt was built with TensorRT 10, without the headers of TensorRT 11, "
        "TensorRT-RTX\n"
    )


AVERAGE = goldens.ROOT / "tools/tiny/average.py"


def average(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, AVERAGE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def checkpoint(tmp_path):
    """checkpoint(name, tensors): a folder of float16 and float32 tensors."""
    sys.path.insert(0, str(goldens.ROOT / "tools/reference"))
    import make_checkpoint

    def write(name: str, tensors: dict[str, np.ndarray]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(name, encoding="utf-8")
        types = {key: "F16" for key, values in tensors.items() if values.dtype == np.float16}
        make_checkpoint.write_safetensors(folder / "model.safetensors", tensors, types)
        return folder

    return write


def test_the_mean_of_checkpoints_is_that_of_each_weight(checkpoint, tmp_path):
    import checkpoint_files

    same = np.array([0.1, -3.0], np.float32)
    a = checkpoint("a", {"w": np.array([[1.0, 2.0]], np.float16), "same": same})
    b = checkpoint("b", {"w": np.array([[2.0, 6.0]], np.float16), "same": same})
    result = average(a, b, "--output", tmp_path / "mean")
    assert result.returncode == 0, result.stderr
    found = checkpoint_files.read_safetensors(tmp_path / "mean/model.safetensors")
    assert found["w"].dtype == np.float16
    np.testing.assert_array_equal(found["w"], [[1.5, 4.0]])
    np.testing.assert_array_equal(found["same"], same)
    assert (tmp_path / "mean/config.json").read_text() == "a"
    assert sorted(p.name for p in (tmp_path / "mean").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_a_checkpoint_that_is_not_there_is_an_error_that_names_it(checkpoint, tmp_path):
    a = checkpoint("a", {"w": np.zeros((1, 2), np.float32)})
    result = average(a, tmp_path / "missing", "--output", tmp_path / "mean")
    assert result.returncode == 1
    assert result.stderr.startswith("average.py: ")
    assert str(tmp_path / "missing/model.safetensors") in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "mean").exists()


def test_checkpoints_of_other_shapes_have_no_mean(checkpoint, tmp_path):
    a = checkpoint("a", {"w": np.zeros((1, 2), np.float32)})
    b = checkpoint("b", {"w": np.zeros((2, 2), np.float32)})
    result = average(a, b, "--output", tmp_path / "mean")
    assert result.returncode == 1
    assert result.stderr == "average.py: tensors differ in name, type or shape: ['w']\n"
    assert not (tmp_path / "mean").exists()

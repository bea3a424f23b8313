"""The tools of this project that remember what they have done."""

import importlib.util
import shutil
from pathlib import Path

import goldens
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

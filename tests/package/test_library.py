"""The shared library: what it exports, what its headers need."""

import re

import pytest
from conftest import ROOT, call

HEADERS = sorted((ROOT / "include/sam3trt").glob("*.hpp"))


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_a_public_header_compiles_alone_and_needs_the_standard_library_only(header, cache):
    compiler = (cache["CMAKE_CXX_COMPILER"], "-std=c++20", "-I", ROOT / "include", "-x", "c++", "-")
    source = f'#include "sam3trt/{header.name}"\n#include "sam3trt/{header.name}"\n'
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only")
    call(*compiler, *warnings, input=source)
    every = call(*compiler, "-M", input=source).stdout.lower()
    found = re.findall(r"\S*(?:nlohmann|nvinfer|cuda|openvino|onnx|google/protobuf)\S*", every)
    assert not found


def test_a_header_includes_what_it_shares_by_its_public_name():
    for header in HEADERS:
        names = re.findall(r'#include "(.*)"', header.read_text())
        assert all(name.startswith("sam3trt/") for name in names), (header, names)


def test_only_the_public_interface_is_exported(build, cache):
    library = build / "lib/libsam3trt.so"
    lines = call("nm", "--dynamic", "--defined-only", "--demangle", library).stdout.splitlines()
    names = [line.split(" ", 2)[2] for line in lines]
    version = ".".join(cache["CMAKE_PROJECT_VERSION"].split(".")[:2])
    kinds = "(?:vtable for |typeinfo for |typeinfo name for )?"
    own = re.compile(rf"{kinds}sam3trt::.*@@SAM3TRT_{re.escape(version)}")
    strangers = [name for name in names if not own.fullmatch(name) and name[:8] != "SAM3TRT_"]
    assert not strangers
    declared = " ".join(header.read_text() for header in HEADERS)
    first_names = {re.sub(r".*sam3trt::(\w+).*", r"\1", name.split("(")[0]) for name in names}
    undeclared = [name for name in first_names if name[:8] != "SAM3TRT_" and name not in declared]
    assert not undeclared
    assert {"Error", "Model", "Session", "read_image", "version"} <= first_names


def test_the_name_of_the_library_carries_its_major_version(build, cache):
    dynamic = call("readelf", "--dynamic", build / "lib/libsam3trt.so").stdout
    major = cache["CMAKE_PROJECT_VERSION"].split(".")[0]
    assert f"Library soname: [libsam3trt.so.{major}]" in dynamic
    assert "TEXTREL" not in dynamic

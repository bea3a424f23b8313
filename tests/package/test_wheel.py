"""The wheel that `make wheel` built, in empty environments, without a compiler and the checkout.

SAM3TRT_WHEELS names its folder; the default is build/wheels.
"""

import os
import re
import shutil
import subprocess
import textwrap
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, call

LARGEST_BYTES = 25_000_000


@pytest.fixture(scope="session")
def wheel() -> Path:
    folder = Path(os.environ.get("SAM3TRT_WHEELS", ROOT / "build/wheels"))
    wheels = list(folder.glob("sam3trt-*.whl"))
    if len(wheels) != 1:
        pytest.fail(f"expected one wheel in {folder}, found {len(wheels)}: run 'make wheel'")
    return wheels[0]


@pytest.fixture(scope="session")
def names(wheel) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_is_small(wheel):
    assert wheel.stat().st_size <= LARGEST_BYTES


def test_brings_no_download_yaml_data_or_encoder_libraries(names):
    unwanted = r"curl|yaml|ssl|gnutls|krb5|ldap|openvino|tbb|x265|aom|heif|nvinfer|libcuda|pango"
    libraries = [name for name in names if ".so" in name]
    assert libraries
    assert [name for name in libraries if re.search(unwanted, name)] == []


def test_brings_no_icu_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = [entry.file_size for entry in archive.infolist() if "icudata" in entry.filename]
    assert all(size < 100_000 for size in sizes)


def test_has_types_program_and_license(names):
    for name in ("sam3trt/py.typed", "sam3trt/_core.pyi", "sam3trt/bin/sam3trt"):
        assert name in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("src/", "tests/", "include/"))]


def test_one_wheel_serves_later_pythons(wheel, names):
    if "-abi3-" not in wheel.name:
        pytest.skip(f"{wheel.name} was built with a Python before 3.12, which has no such wheels")
    assert wheel.name.split("-")[2] == "cp312"
    assert "sam3trt/_core.abi3.so" in names


def test_auditwheel_finds_it_fit_for_older_systems(wheel):
    tools = ROOT / "build/wheel/venv/bin"
    shown = call(tools / "python", "-m", "auditwheel", "show", wheel).stdout
    tag = wheel.stem.rsplit("-", 1)[1]
    assert tag.startswith("manylinux_")
    assert f'the platform tag to "{tag}"' in " ".join(shown.split()), shown


def find_python(version: str) -> Path:
    """An interpreter of that version that can make environments; skips without one."""
    candidates = [shutil.which(f"python{version}")]
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for python in filter(None, candidates):
        probe = f"import ensurepip, venv, sys; assert sys.version.startswith('{version}.')"
        if subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0:
            return Path(python)
    pytest.skip(f"no Python {version} with venv here")


def fits(wheel: Path, version: str) -> bool:
    tag = wheel.name.split("-")[2]
    built = int(tag.removeprefix("cp3"))
    minor = int(version.removeprefix("3."))
    return minor >= built if "-abi3-" in wheel.name else minor == built


@pytest.fixture(scope="session", params=["3.11", "3.12", "3.13"])
def environment(request, wheel, tmp_path_factory) -> Path:
    """An environment of that Python with the wheel and what it depends on, and nothing else."""
    if not fits(wheel, request.param):
        pytest.skip(f"{wheel.name} is not for Python {request.param}")
    python = find_python(request.param)
    folder = tmp_path_factory.mktemp("environment") / "venv"
    call(python, "-m", "venv", folder)
    call(folder / "bin/python", "-m", "pip", "install", "-q", wheel)
    return folder


@pytest.fixture
def user(environment, tmp_path, without):
    """user(command...): as a user runs it: no compiler on the PATH, no checkout, no build."""
    beginning = without(ROOT) if not environment.is_relative_to(ROOT) else []
    variables = {
        "PATH": str(environment / "bin"),
        "HOME": str(tmp_path),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }

    def run(*command, code=0):
        done = subprocess.run(
            [*(shutil.which(part) or part for part in beginning[:1]), *beginning[1:]]
            + [str(part) for part in command],
            env=variables | {"PATH": f"{variables['PATH']}:/usr/bin:/bin"}
            if beginning
            else variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    return run


def python_lines(document: Path) -> list[str]:
    """The blocks of Python that use this package."""
    if not document.is_file():
        return []
    blocks = re.findall(r"^```python\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "sam3trt" in block]


DOCUMENTS = [ROOT / "README.md", ROOT / "python/README.md"]
LINES = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path in DOCUMENTS
    for number, block in enumerate(python_lines(path))
]


@pytest.mark.parametrize("lines", LINES)
def test_the_readmes_lines_run_in_an_empty_folder(environment, user, tmp_path, image, lines):
    """What they name lies there: the small checkpoint, its graphs, and an image."""
    shutil.copytree(ROOT / "models/tiny", tmp_path / "models/sam3")
    for folder in re.findall(r'Segmenter\(\s*"([^"]+)"', lines):
        user(
            environment / "bin/sam3trt",
            *("export", "--checkpoint", "models/sam3", "--component", "all", "--output", folder),
        )
    for name in re.findall(r'"([^"]+\.(?:jpg|png))"', lines):
        shutil.copy(image, tmp_path / name)
    (tmp_path / "lines.py").write_text(lines)
    assert user(environment / "bin/python", "lines.py").stdout.strip()


def test_export_and_masks_work_alone(environment, user, tmp_path, image):
    shutil.copytree(ROOT / "models/tiny", tmp_path / "checkpoint")
    shutil.copy(image, tmp_path / "shapes.png")
    script = """
        import sam3trt
        sam3trt.export("checkpoint", "graphs")
        result = sam3trt.Segmenter("graphs")("shapes.png", text=["red circle", "blue star"])
        print(sam3trt.__file__)
        print([(len(found.scores)) for found in result.prompts], result.masks.shape)
    """
    done = user(environment / "bin/python", "-c", textwrap.dedent(script))
    where, found = done.stdout.splitlines()
    assert where.startswith(str(environment))
    assert found == "[2, 1] (3, 440, 640)"


def test_the_command_is_the_program(environment, user, tmp_path, image):
    command = environment / "bin/sam3trt"
    shutil.copytree(ROOT / "models/tiny", tmp_path / "checkpoint")
    shutil.copy(image, tmp_path / "shapes.png")
    version = re.search(
        r'SAM3TRT_VERSION "([0-9.]+)"', (ROOT / "include/sam3trt/version.hpp").read_text()
    )[1]
    assert user(command, "--version").stdout == f"sam3trt {version}\n"
    user(command, "export", "--checkpoint", "checkpoint", "--component", "all", "--output", "g")
    arguments = ("infer", "--model", "g", "--image", "shapes.png", "--text", "red circle")
    assert '"instances"' in user(command, *arguments).stdout
    assert "OpenVINO" in user(command, "doctor").stdout
    assert "built without" in user(command, *arguments, "--overlay", "o.png", code=3).stderr
    assert "built without" in user(command, *arguments, "--config", "c.yaml", code=3).stderr
    assert "pip install 'sam3trt[hub]'" in user(command, "download", code=3).stderr
    assert "unknown command" in user(command, "nothing", code=2).stderr


def test_an_image_of_a_format_that_is_left_out_is_named(environment, user, tmp_path):
    (tmp_path / "image.heic").write_bytes(b"\0\0\0\x1cftypheic" + b"\0" * 40)
    script = "import sam3trt\ntry: sam3trt.intake.to_input('image.heic')\n" + (
        "except sam3trt.BadInputError as error: print(error)"
    )
    done = user(environment / "bin/python", "-c", script)
    assert "HEIC image" in done.stdout and "convert it" in done.stdout


def test_the_version_is_the_headers(wheel):
    version = (ROOT / "include/sam3trt/version.hpp").read_text()
    assert f'SAM3TRT_VERSION "{wheel.name.split("-")[1]}"' in version

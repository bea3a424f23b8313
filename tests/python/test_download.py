"""download() against the small local hub of tests/e2e, through huggingface_hub."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/e2e"))
from hub_server import COMMIT, REPO, SMALL, servers_of  # noqa: E402

WEIGHTS = hashlib.sha256(b"weights").digest() * 4_000
RECORD = ".sam3trt_download.json"


@pytest.fixture
def serve():
    """serve(**behaviour): a server; by default with one weight file in large-file storage."""
    with servers_of(WEIGHTS) as start:
        yield start


@pytest.fixture
def download(tmp_path):
    """download(server, *arguments): the command of the package, into tmp_path/model."""

    def call(server, *arguments, repo=REPO, code=0) -> subprocess.CompletedProcess:
        command = "import sys; sys.argv[0] = 'sam3trt'; from sam3trt.command import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", command, "download", "--repo", repo, *arguments]
            + ["--output", str(tmp_path / "model")],
            env=os.environ
            | {
                "HF_ENDPOINT": server.url(),
                "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return call


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_gives_the_folder_that_the_program_gives(serve, download, program, tmp_path):
    server = serve()
    document = json.loads(download(server, "--json").stdout)
    assert document["commit"] == COMMIT
    arguments = ("download", "--repo", REPO, "--output", tmp_path / "other")
    environment = os.environ | {"HF_ENDPOINT": server.url()}
    subprocess.run([program, *arguments], env=environment, check=True, capture_output=True)
    ours, others = files_of(tmp_path / "model"), files_of(tmp_path / "other")
    assert json.loads(ours.pop(RECORD)) == json.loads(others.pop(RECORD))
    assert ours == others == SMALL | {"model.safetensors": WEIGHTS}


def test_a_complete_folder_is_not_asked_for_again(serve, download):
    server = serve()
    download(server)
    server.log.clear()
    download(server)
    assert server.log == []


def test_the_program_takes_the_folder_as_complete(serve, download, program, tmp_path):
    server = serve()
    download(server)
    server.log.clear()
    arguments = ("download", "--repo", REPO, "--output", tmp_path / "model")
    environment = os.environ | {"HF_ENDPOINT": server.url()}
    subprocess.run([program, *arguments], env=environment, check=True, capture_output=True)
    assert server.log == []


def test_a_changed_file_is_fetched_again(serve, download, tmp_path):
    server = serve()
    download(server)
    (tmp_path / "model/model.safetensors").write_bytes(WEIGHTS[:-1] + b"x")
    download(server)
    assert (tmp_path / "model/model.safetensors").read_bytes() == WEIGHTS


def test_shards_are_those_of_the_index(serve, download, tmp_path):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    files = SMALL | {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-1.safetensors": WEIGHTS,
        "model-2.safetensors": WEIGHTS[:100],
        "other.safetensors": b"no",
    }
    download(serve(files=files))
    found = set(files_of(tmp_path / "model"))
    assert found == {*files, RECORD} - {"other.safetensors"}


def test_a_wrong_hash_is_a_failed_verification(serve, download, tmp_path):
    server = serve(corrupt=1)
    done = download(server, code=4)
    assert "does not have the size and sha256" in done.stderr
    assert not (tmp_path / "model/model.safetensors").exists()
    assert not (tmp_path / "model" / RECORD).exists()
    download(server)
    assert (tmp_path / "model/model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("behaviour", "arguments", "message"),
    [
        ({"gated": True}, (), "is gated: accept the licence"),
        ({}, ("--revision", "none"), "revision none"),
        ({"files": SMALL}, (), "expected model.safetensors or"),
        ({"files": SMALL | {"sam3.pt": b"x"}}, (), "weights='pt' fetches sam3.pt"),
        ({}, ("--weights", "pt"), "expected sam3.pt, found none"),
    ],
)
def test_what_the_hub_does_not_give_is_explained(serve, download, behaviour, arguments, message):
    done = download(serve(**behaviour), *arguments, code=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_repository_is_explained(serve, download):
    done = download(serve(), repo="acme/nothing", code=2)
    assert "the hub has no such repository" in done.stderr


def test_without_huggingface_hub_it_says_what_to_install(tmp_path):
    script = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "import sam3trt\n"
        "try: sam3trt.download(output='model')\n"
        "except sam3trt.UnavailableError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "pip install 'sam3trt[hub]'" in done.stdout
    assert not (tmp_path / "model").exists()

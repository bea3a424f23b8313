"""Requests that schemathesis makes from the server's own description, valid and invalid ones.

Each answer must be one that the description has for the route. SAM3TRT_RANDOM_SECONDS makes it go
on for that long, with other requests each time; SAM3TRT_RANDOM_SEED repeats a run.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROGRAM
from run_server import serve
from server import Server

HERE = Path(__file__).parent
SECONDS = int(os.environ.get("SAM3TRT_RANDOM_SECONDS", 0))
SEED = int(os.environ.get("SAM3TRT_RANDOM_SEED", random.randrange(1 << 31) if SECONDS else 1))
EXAMPLES = 60


@pytest.fixture(scope="module")
def images(tmp_path_factory, image) -> Path:
    """A small image, a drawn one, one that is cut off."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("images")
    shutil.copy(image, folder / "drawn.png")
    small = Image.open(image).resize((64, 44))
    small.save(folder / "small.png")
    small.save(folder / "small.jpg")
    (folder / "cut.png").write_bytes((folder / "small.png").read_bytes()[:-100])
    return folder


def ask_at_random(server: Server, images: Path, folder: Path, *options) -> dict:
    """What schemathesis reports of its requests; its failures fail the test."""
    report = folder / "report.json"
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file"]
    command += [HERE / "schemathesis.toml", "run", server.url + "openapi.json"]
    command += ["--phases", "coverage,fuzzing", "--continue-on-failure"]
    command += ["--request-timeout", "120", "--suppress-health-check", "all"]
    command += ["--seed", str(SEED), "--report-json-path", report, *map(str, options)]
    variables = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "PYTHONPATH": str(HERE),
        "SAM3TRT_IMAGES": str(images),
    }
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert server.process.poll() is None, f"the server ended\n{server.stderr[-4000:]}"
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return json.loads(report.read_text())


def test_every_answer_is_documented(clicks_server, images, tmp_path):
    ask_at_random(clicks_server, images, tmp_path, "--max-examples", EXAMPLES)
    lines = [json.loads(line) for line in clicks_server.stderr.splitlines() if line[0] == "{"]
    statuses = {(line["route"], line["status"]) for line in lines}
    # Requests came as far as the model, and others were refused.
    for route in ("/v1/infer", "/v1/features", "/v1/objects"):
        assert {(route, status) for status in (200, 415, 422)} <= statuses, statuses


def test_with_a_token_every_route_asks_for_it(clicks_model, images, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-long-and-secret-token\n")
    token.chmod(0o600)
    with serve(PROGRAM, clicks_model, "--token-file", token) as server:
        header = "Authorization: Bearer a-long-and-secret-token"
        ask_at_random(server, images, tmp_path, "--max-examples", 10, "--header", header)


@pytest.mark.skipif(not SECONDS, reason="SAM3TRT_RANDOM_SECONDS=600 makes requests for 10 minutes")
def test_requests_at_random_for_a_long_time(clicks_model, images, tmp_path):
    print(f"SAM3TRT_RANDOM_SEED={SEED}")
    with serve(PROGRAM, clicks_model) as server:
        ask_at_random(server, images, tmp_path, "--max-time", SECONDS, "--max-examples", 1000)
        assert "ERROR: AddressSanitizer" not in server.stderr
        assert "WARNING: ThreadSanitizer" not in server.stderr

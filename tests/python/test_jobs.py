"""The program's jobs that need Python: results as Parquet files."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from pyarrow import parquet

COUNT = 40
KILLS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images, each with a red circle, and one that is broken."""
    root = tmp_path_factory.mktemp("images")
    for i in range(COUNT - 1):
        image = Image.new("RGB", (160, 120), (30, 60, 5 * i))
        ImageDraw.Draw(image).ellipse((20 + i, 20, 80 + i, 80), fill=(230, 20, 20))
        image.save(root / f"{i:02}.png")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return root


@pytest.fixture
def start(program, graphs, folder):
    """start(output, *arguments): infer as a process that writes Parquet with this Python."""

    def call(output: Path, *arguments, python: str = sys.executable) -> subprocess.Popen:
        command = [program, "infer", "--model", graphs, "--image", folder, "--output", output]
        command += ["--text", "red circle", "--threads", "1", "--format", "parquet", *arguments]
        return subprocess.Popen(
            [str(word) for word in command],
            env=os.environ | {"SAM3TRT_PYTHON": python},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


def rows_of(folder: Path) -> list[dict]:
    return parquet.read_table(folder).to_pylist()


def test_parquet_holds_what_the_document_holds(program, graphs, folder, start, tmp_path):
    command = [program, "infer", "--model", graphs, "--image", folder, "--text", "red circle"]
    document = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    expected = {}
    for entry in json.loads(document.stdout)["images"]:
        found = [i for prompt in entry.get("prompts", []) for i in prompt["instances"]]
        expected[entry["path"]] = (entry.get("error"), [(i["area"], i["mask"]) for i in found])
    process = start(tmp_path / "out")
    errors = process.communicate()[1]
    assert process.returncode == 2, errors
    rows = rows_of(tmp_path / "out")
    written = {row["path"]: (row["error"], []) for row in rows}
    for row in rows:
        if row["score"] is not None:
            assert row["prompt"] == "red circle"
            written[row["path"]][1].append((row["area"], row["mask"]))
    assert written == expected
    assert sum(len(found) for _, found in expected.values()) >= COUNT - 1


def test_a_killed_job_has_every_image_once(folder, start, tmp_path):
    output = tmp_path / "out"
    moments = random.Random(1)
    process = start(tmp_path / "whole")
    began = time.monotonic()
    process.communicate()
    seconds = time.monotonic() - began
    for kill in range(KILLS):
        process = start(output, *(("--resume",) if kill else ()))
        time.sleep(moments.uniform(seconds / 4, seconds))
        process.kill()
        process.communicate()
        if not output.exists() and kill == 0:
            pytest.fail("nothing was begun in a quarter of the time of a whole job")
    process = start(output, "--resume")
    errors = process.communicate()[1]
    assert process.returncode in (0, 2), errors
    rows = rows_of(output)
    # No two rows are of one instance, and no image is missing.
    instances = {(row["path"], row["mask"]["counts"] if row["mask"] else "") for row in rows}
    assert len(instances) == len(rows)
    assert len({row["path"] for row in rows}) == COUNT
    assert not [path for path in output.iterdir() if not path.name.startswith("part-")]


def test_an_interrupted_job_keeps_what_was_done(start, folder, tmp_path):
    output = tmp_path / "out"
    process = start(output)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    if process.returncode == -signal.SIGINT:
        process = start(output, "--resume")
        process.communicate()
    assert process.returncode in (0, 2)
    assert len({row["path"] for row in rows_of(output)}) == COUNT


def test_parts_of_an_earlier_job_are_not_mixed_with_new_ones(start, tmp_path):
    output = tmp_path / "out"
    start(output).communicate()
    before = rows_of(output)
    again = start(output)
    assert "--resume" in again.communicate()[1]
    assert again.returncode == 2
    assert rows_of(output) == before


def test_parts_of_other_prompts_are_not_gone_on_with(start, tmp_path):
    output = tmp_path / "out"
    start(output).communicate()
    before = rows_of(output)
    other = start(output, "--resume", "--text", "blue star")
    assert "differs from this job in its prompts" in other.communicate()[1]
    assert other.returncode == 2
    assert rows_of(output) == before


def test_a_python_without_pyarrow_is_said_before_anything_runs(start, tmp_path):
    process = start(tmp_path / "out", python="/usr/bin/python3-that-is-not-there")
    assert "SAM3TRT_PYTHON" in process.communicate()[1]
    assert process.returncode == 3
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -I "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    process = start(tmp_path / "out", python=str(bare))
    assert "pip install pyarrow" in process.communicate()[1]
    assert process.returncode == 3
    assert not (tmp_path / "out").exists()

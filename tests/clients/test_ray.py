"""sam3trt.ray on a real Ray of this machine: what is killed, what kills, what is missing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.dataset
import pytest
from conftest import ROOT, TEXTS
from sam3trt import parquet

DRIVER = Path(__file__).with_name("ray_driver.py")


class Job:
    """Runs of the driver on one folder of images, with Ray's files in a short path."""

    def __init__(self, folder: Path):
        self.images, self.output, self.state = (folder / name for name in ("in", "out", "state"))
        self.images.mkdir()
        self.state.mkdir()
        # Ray's sockets lie in it, and a socket's path has at most 107 characters.
        self.temporary = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        self.processes: list[psutil.Process] = []

    def add(self, names, data=b"image"):
        for name in names:
            (self.images / name).parent.mkdir(exist_ok=True)
            (self.images / name).write_bytes(data)

    def start(self, *arguments):
        environment = os.environ | {
            "RAY_TMPDIR": self.temporary,
            "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, DRIVER, self.images, self.output, self.state, *arguments]
        process = psutil.Popen(
            list(map(str, command)),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments, timeout=200):
        return self.summary_of(self.start(*arguments), timeout)

    @staticmethod
    def summary_of(process, timeout=200):
        """What the driver prints at its end, among what Ray says."""
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, output[-5000:]
        return json.loads(re.search(r'^\{"images".*\}$', output, re.MULTILINE)[0])

    def actors(self) -> list[int]:
        return [int(path.name) for path in self.state.iterdir()]

    def wait_for_parts(self, count, timeout=100):
        end = time.monotonic() + timeout
        while not self.output.is_dir() or len(parquet.parts_of(self.output)) < count:
            assert time.monotonic() < end, "no parts"
            time.sleep(0.05)

    def rows(self):
        return pyarrow.dataset.dataset(self.output, format="parquet").to_table().to_pylist()

    def assert_each_image_once(self):
        expected = {str(path) for path in self.images.rglob("*") if path.is_file()}
        found = Counter(row["path"] for row in self.rows())
        assert set(found) == expected
        assert set(found.values()) == {1}

    def close(self):
        for process in self.processes:
            children = process.children(recursive=True) if process.is_running() else []
            for one in [*children, process]:
                if one.is_running():
                    one.kill()
        shutil.rmtree(self.temporary, ignore_errors=True)


@pytest.fixture
def job(tmp_path):
    job = Job(tmp_path)
    yield job
    job.close()


def names(count):
    return [f"{index // 100}/{index:04}.jpg" for index in range(count)]


def test_images_that_kill_their_process_are_rows_with_an_error(job):
    job.add(names(150))
    poisonous = [names(150)[index] for index in (3, 70, 71)]
    job.add(poisonous, b"poison")
    job.add(["bad.jpg"], b"bad")
    assert job.run() == {"images": 151, "failed": 4, "new": 151}
    job.assert_each_image_once()
    errors = {row["path"]: row["error"] for row in job.rows() if row["error"] is not None}
    assert errors.pop(str(job.images / "bad.jpg")) == "the image is bad"
    assert set(errors) == {str(job.images / name) for name in poisonous}
    assert all("the process that worked on it ended" in error for error in errors.values())
    row = next(row for row in job.rows() if row["error"] is None)
    assert (row["prompt"], row["area"], row["bytes"]) == ("dog", 1, 5)
    # They are not tried for ever, and not again.
    assert job.run() == {"images": 151, "failed": 4, "new": 0}


def test_a_killed_actor_loses_and_repeats_nothing(job):
    job.add(names(200))
    process = job.start("--seconds", "0.05")
    job.wait_for_parts(4)
    before = job.actors()
    os.kill(before[0], signal.SIGKILL)
    assert job.summary_of(process) == {"images": 200, "failed": 0, "new": 200}
    assert len(job.actors()) > len(before)
    job.assert_each_image_once()


def test_a_killed_driver_is_continued(job):
    job.add(names(200))
    process = job.start("--seconds", "0.05")
    job.wait_for_parts(5)
    children = process.children(recursive=True)
    process.kill()
    process.wait()
    for child in children:
        if child.is_running():
            child.kill()
    done = len({row["path"] for row in parquet.images_in(job.output)})
    assert 0 < done < 200
    (job.output / ".part-0.parquet.node.1.unfinished").write_bytes(b"half")
    job.add(["later.jpg"])
    assert job.run() == {"images": 201, "failed": 0, "new": 201 - done}
    job.assert_each_image_once()
    assert not list(job.output.glob(".*"))


def test_a_file_that_is_gone_is_a_row_with_an_error(job):
    job.add(names(10))
    (job.images / "gone.jpg").symlink_to(job.images / "nowhere")
    assert job.run() == {"images": 11, "failed": 1, "new": 11}
    (error,) = [row for row in job.rows() if row["error"] is not None]
    assert error["path"].endswith("gone.jpg") and "No such file" in error["error"]


def failure(job, *arguments):
    process = job.start(*arguments)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    return output


def test_a_model_that_cannot_be_loaded_ends_the_job(job):
    job.add(names(20))
    assert "no model here" in failure(job, "--fails")
    assert parquet.parts_of(job.output) == []


def test_actors_that_leave_no_cpu_are_refused(job):
    job.add(names(2))
    assert "leave none of the cluster's 2 for reading" in failure(job, "--num-cpus", "1")


def test_another_job_s_output_is_refused(job):
    job.add(names(2))
    job.run()
    assert "holds results of another job" in failure(job, "--text", "cat")
    job.assert_each_image_once()


def test_the_real_model_finds_what_it_finds_alone(job, graphs, drawn, segmenter):
    for index in range(12):
        shutil.copy(drawn[index % 2], job.images / f"{index:02}.png")
    job.add(["broken.png"], b"not a PNG")
    assert job.run("--model", graphs, "--text", TEXTS[0]) == {
        "images": 13,
        "failed": 1,
        "new": 13,
    }
    rows = job.rows()
    for index in range(12):
        expected = segmenter(drawn[index % 2], text=TEXTS[0])
        path = str(job.images / f"{index:02}.png")
        found = [row for row in rows if row["path"] == path]
        assert [row["mask"] for row in found] == expected.rle
    (error,) = [row["error"] for row in rows if row["error"]]
    assert "not" in error or "image" in error


def test_the_example_runs(job, graphs, drawn):
    shutil.copy(drawn[0], job.images)
    command = [sys.executable, ROOT / "examples/ray_folder.py", job.images, job.output]
    done = subprocess.run(
        [*command, "--model", graphs, "--text", *TEXTS],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=os.environ | {"RAY_TMPDIR": job.temporary},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'images': 1, 'failed': 0" in done.stdout
    assert {row["prompt"] for row in job.rows()} == set(TEXTS)

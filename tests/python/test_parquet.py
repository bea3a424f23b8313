"""The Parquet writer: as a library, and as the program starts it."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
from conftest import ROOT
from pycocotools import mask as coco
from sam3trt import parquet
from sam3trt.result import Result

SCRIPT = ROOT / "python/sam3trt/parquet.py"


def entry(path, texts=("dog",), instances=1, **more):
    found = {
        "score": 0.5,
        "box": [1.0, 2.0, 3.0, 4.0],
        "area": 2,
        "mask": {"size": [2, 3], "counts": "222"},
    }
    prompts = [
        {
            "text": text,
            "boxes": [],
            "box_labels": [],
            "presence": 0.75,
            "instances": [found] * instances,
        }
        for text in texts
    ]
    origin = {"version": 1, "backend": "openvino", "semantics": "hf"}
    return origin | {"path": path, "width": 3, "height": 2, "prompts": prompts} | more


def lines(*entries):
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def run(*arguments, **options):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)


def listed(folder):
    done = run("--paths", folder)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def rows(folder):
    return pyarrow.dataset.dataset(folder, format="parquet").to_table().to_pylist()


def start(folder, *arguments):
    command = [sys.executable, SCRIPT, folder, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_there_is_a_row_for_each_instance_and_one_for_an_image_without(entries, tmp_path):
    (part,) = parquet.write_parquet(
        [
            *entries,
            Result.from_json(entries[0]),
            entry("empty.jpg", texts=("a", "b"), instances=0),
            {"path": "broken.jpg", "error": "broken.jpg: is not an image"},
        ],
        tmp_path,
    )
    table = pyarrow.parquet.read_table(part)
    assert table.schema.equals(parquet.schema())
    found = table.to_pylist()
    expected = [
        (one["path"], prompt["text"], instance)
        for one in (*entries, entries[0])
        for prompt in one["prompts"]
        for instance in prompt["instances"]
    ]
    assert len(found) == len(expected) + 2
    for row, (path, text, instance) in zip(found, expected):
        assert (row["path"], row["prompt"], row["width"], row["height"]) == (path, text, 640, 440)
        assert row["score"] == pytest.approx(instance["score"], abs=1e-6)
        assert row["box"] == pytest.approx(instance["box"], abs=1e-3)
        assert row["area"] == instance["area"] == coco.area(row["mask"])
        assert row["mask"] == instance["mask"] and row["error"] is None
    empty, broken = found[-2:]
    assert (empty["path"], empty["width"], empty["score"]) == ("empty.jpg", 3, None)
    assert empty["prompt"] is empty["mask"] is empty["error"] is None
    assert (broken["path"], broken["width"]) == ("broken.jpg", None)
    assert broken["error"] == "broken.jpg: is not an image"


def test_masks_come_back_through_pandas_free_numpy(entries, tmp_path):
    (part,) = parquet.write_parquet(entries, tmp_path)
    masks = [coco.decode(row["mask"]) for row in pyarrow.parquet.read_table(part).to_pylist()]
    expected = np.concatenate([Result.from_json(one).masks for one in entries])
    assert np.array_equal(np.array(masks, dtype=bool), expected)


def test_lines_become_parts_that_are_acknowledged(tmp_path):
    images = [entry(f"{index}.jpg", bytes=index, modified=10**18 + index) for index in range(7)]
    done = run(tmp_path / "new/out", "--images-per-part", 3, input=lines(*images))
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().splitlines() == [
        "part-00000.parquet 3",
        "part-00001.parquet 3",
        "part-00002.parquet 1",
    ]
    assert sorted(path.name for path in (tmp_path / "new/out").iterdir()) == [
        f"part-0000{index}.parquet" for index in range(3)
    ]
    assert listed(tmp_path / "new/out") == [
        {"path": f"{index}.jpg", "bytes": index, "modified": 10**18 + index} for index in range(7)
    ]
    metadata = pyarrow.parquet.read_schema(tmp_path / "new/out/part-00001.parquet").metadata
    assert metadata[b"sam3trt.backend"] == b"openvino" and metadata[b"sam3trt.version"] == b"1"


def test_a_part_is_of_a_thousand_images_unless_told(tmp_path):
    done = run(tmp_path, input=lines(*(entry(f"{index}.jpg") for index in range(1001))))
    assert done.stdout.decode().splitlines() == ["part-00000.parquet 1000", "part-00001.parquet 1"]


def test_an_empty_line_finishes_a_part_at_once(tmp_path):
    process = start(tmp_path)
    for number in range(2):
        process.stdin.write(lines(entry(f"{number}a.jpg"), entry(f"{number}b.jpg")) + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"part-0000{number}.parquet 2\n".encode()
        assert len(rows(tmp_path)) == 2 * (number + 1)
    process.stdin.write(b"\n")
    rest, _ = process.communicate(timeout=60)
    assert rest == b"" and process.returncode == 0


def test_long_lines_finish_a_part_early(tmp_path):
    with parquet.PartWriter(tmp_path, bytes_per_part=1000) as writer:
        assert writer.write(entry("a.jpg"), 600) is None
        assert writer.write(entry("b.jpg"), 600)[1] == 2


def test_a_second_run_goes_on_after_the_last_part(tmp_path):
    for name in "ab":
        assert run(tmp_path, input=lines(entry(f"{name}.jpg"))).returncode == 0
    parts = parquet.parts_of(tmp_path)
    assert [path.name for path in parts] == ["part-00000.parquet", "part-00001.parquet"]
    parts[0].unlink()
    done = run(tmp_path, input=lines(entry("c.jpg")))
    assert done.stdout == b"part-00002.parquet 1\n"


def test_paths_names_an_image_once_and_knows_a_folder_that_is_not_there_yet(tmp_path):
    assert listed(tmp_path / "none") == []
    parquet.write_parquet([entry("a.jpg", ("x", "y"), 3), entry("b.jpg", instances=0)], tmp_path)
    assert [row["path"] for row in listed(tmp_path)] == ["a.jpg", "b.jpg"]


def test_paths_keeps_every_character_of_a_name(tmp_path):
    names = ['with "quotes" and\nlines.jpg', "\u732b \U0001f431.jpg", "a\\b.jpg"]
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    assert run(tmp_path, input=lines(*map(entry, names)), env=environment).returncode == 0
    done = run("--paths", tmp_path, env=environment)
    found = [json.loads(line)["path"] for line in done.stdout.decode().splitlines()]
    assert found == names


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2: "),
        (b'{"path": "b.jpg", "prompts": [{"text": "do', "line 2: "),
        (b"[]", "expected an entry"),
        (b'{"path": 3, "prompts": []}', "expected an entry"),
        (b'{"path": "b.jpg"}', 'neither "prompts" nor "error"'),
        (b'{"path": "b.jpg", "prompts": [{"text": "dog"}]}', "b.jpg is malformed"),
        (b'{"path": "b.jpg", "prompts": [], "width": "wide"}', "wrong type"),
        (b'{"path": "b.jpg", "prompts": [], "width": 99999999999}', "wrong type"),
        (b'{"path": "\xff.jpg", "prompts": []}', "line 2: "),
        (b"[" * 100_000, "line 2: "),
    ],
)
def test_a_malformed_line_is_an_error_and_what_came_before_is_kept(tmp_path, line, message):
    done = run(tmp_path, input=lines(entry("a.jpg")) + line)
    assert done.returncode == 2 and done.stdout == b"part-00000.parquet 1\n"
    assert message in done.stderr.decode() and "Traceback" not in done.stderr.decode()
    assert [row["path"] for row in listed(tmp_path)] == ["a.jpg"]


def test_a_part_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1 not at all")
    done = run("--paths", tmp_path)
    assert done.returncode == 2 and b"part-00000.parquet: is not a part" in done.stderr
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "part-00000.parquet")
    done = run("--paths", tmp_path)
    assert done.returncode == 2 and b"part-00000.parquet: is not a part" in done.stderr


def test_a_killed_writer_leaves_whole_parts_alone(tmp_path):
    process = start(tmp_path, "--images-per-part", "2")
    process.stdin.write(lines(*(entry(f"{index}.jpg") for index in range(5))))
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(2)][1] == b"part-00001.parquet 2\n"
    process.kill()
    process.wait()
    (tmp_path / ".part-00002.parquet.unfinished").write_bytes(b"half")
    assert len(rows(tmp_path)) == len(listed(tmp_path)) == 4
    assert run(tmp_path, input=lines(entry("4.jpg"))).stdout == b"part-00002.parquet 1\n"
    assert len(rows(tmp_path)) == 5 and not list(tmp_path.glob(".*"))


def test_an_interruption_and_a_reader_that_has_gone_lose_nothing(tmp_path):
    process = start(tmp_path, "--images-per-part", "2")
    process.stdin.write(lines(entry("0.jpg"), entry("1.jpg")))
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    process.stdin.write(lines(*(entry(f"{index}.jpg") for index in range(2, 7))))
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert len(listed(tmp_path)) == 7


def test_one_process_writes_at_a_time_and_the_others_wait(tmp_path):
    process = start(tmp_path)
    process.stdin.write(lines(entry("a.jpg")) + b"\n")
    process.stdin.flush()
    process.stdout.readline()
    process.stdin.write(lines(entry("b.jpg")))
    process.stdin.flush()
    reader = subprocess.Popen([sys.executable, SCRIPT, "--paths", tmp_path], stdout=subprocess.PIPE)
    time.sleep(1)
    assert reader.poll() is None
    process.communicate(timeout=60)
    output, _ = reader.communicate(timeout=60)
    assert [json.loads(line)["path"] for line in output.splitlines()] == ["a.jpg", "b.jpg"]


def test_waiting_for_another_writer_ends_with_an_error(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with (
        pytest.raises(BlockingIOError, match="another process writes"),
        parquet._alone(tmp_path, 0.1),
    ):
        pass
    os.close(handle)


def test_no_room_on_the_disk_is_an_error_and_leaves_no_half_part(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    with pytest.raises(OSError, match="No space"), parquet.PartWriter(tmp_path) as writer:
        writer.write(entry("a.jpg"))
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_command_says_what_to_install(tmp_path):
    code = (
        "import sys, runpy; sys.modules['pyarrow'] = None; sys.argv[1:] = [sys.argv[1]];"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "out"], capture_output=True, input=b"", check=False
    )
    assert done.returncode == 3 and b"pip install 'sam3trt[parquet]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_job_of_many_images_keeps_its_memory(tmp_path):
    code = (
        "import resource, runpy, sys; sys.argv[1:] = sys.argv[1:]\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "finally:\n"
        "    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    print(used, file=sys.stderr)\n"
    )

    def used(images):
        process = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / str(images)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        line = lines(entry("a.jpg", instances=4))
        for _ in range(images):
            process.stdin.write(line)
        process.stdin.close()
        return int(process.stderr.read()) * 1024

    small, large = used(2000), used(20_000)
    assert large - small < 40 << 20

"""infer on many images: what it takes, what it writes, and that nothing is lost or done twice."""

import collections
import io
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

TEXTS = ("circle", "square")
# Kills of one job; more of them for those who change how jobs go on.
KILLS = int(os.environ.get("SAM3TRT_TEST_KILLS", "8"))


@pytest.fixture(scope="module")
def graphs(exported):
    return exported("hf", "tiny_a")


@pytest.fixture
def infer(run, graphs):
    def call(*arguments, **options):
        texts = [word for text in TEXTS for word in ("--text", text)]
        # Something is found everywhere: the weights are random numbers.
        return run(
            "infer", "--model", graphs, *texts, "--threshold", "0.0001", *arguments, **options
        )

    return call


def draw(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    picture = Image.new("RGB", size, (seed * 37 % 256, seed * 91 % 256, 128))
    ImageDraw.Draw(picture).ellipse((8, 8, 20 + seed % 20, 30), fill=(250, seed * 13 % 256, 10))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Nine images of different sizes and formats, in folders."""
    root = tmp_path / "images"
    for i in range(9):
        name = f"{'ab'[i % 2]}/{i}.{('png', 'jpg', 'webp')[i % 3]}"
        draw(root / name, i, (40 + 7 * i, 60 - 3 * i))
    return root


def read_lines(path: Path) -> list[dict]:
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def without_times(entry: dict) -> dict:
    own = ("timings_ms", "version", "backend", "semantics", "bytes", "modified")
    return {name: value for name, value in entry.items() if name not in own}


def document_of(result) -> list[dict]:
    return [without_times(entry) for entry in json.loads(result.stdout)["images"]]


def test_lines_are_the_entries_of_the_document(infer, folder, tmp_path):
    output = tmp_path / "r.jsonl"
    expected = document_of(infer("--image", folder, check=True))
    assert len(expected) == 9
    assert all(len(entry["prompts"]) == 2 for entry in expected)
    infer("--image", folder, "--output", output, check=True)
    lines = read_lines(output)
    assert [without_times(line) for line in lines] == expected
    for line in lines:
        assert (line["version"], line["backend"], line["semantics"]) == (1, "openvino", "hf")
        info = Path(line["path"]).stat()
        assert (line["bytes"], line["modified"]) == (info.st_size, info.st_mtime_ns)


def test_lines_go_to_standard_output(infer, folder):
    done = infer("--image", folder, "--format", "jsonl", check=True)
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 9


def test_the_written_document_is_the_printed_one(infer, folder, tmp_path):
    output = tmp_path / "r.json"
    printed = document_of(infer("--image", folder, check=True))
    infer("--image", folder, "--output", output, check=True)
    written = json.loads(output.read_text(encoding="utf-8"))["images"]
    assert [without_times(entry) for entry in written] == printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "r.json"]


def test_batches_give_what_single_images_give(infer, folder):
    together = document_of(infer("--image", folder, check=True))
    assert document_of(infer("--image", folder, "--batch", 1, "--io-threads", 1)) == together


def test_coco_is_read_by_pycocotools(infer, folder, tmp_path):
    coco_api = pytest.importorskip("pycocotools.coco")
    mask_api = pytest.importorskip("pycocotools.mask")
    output = tmp_path / "coco.json"
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    done = infer("--image", folder, "--format", "coco", "--output", output)
    assert done.code == 2
    document = json.loads(output.read_text(encoding="utf-8"))
    assert [error["file_name"] for error in document["errors"]] == [str(folder / "broken.png")]
    coco = coco_api.COCO(str(output))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(TEXTS)
    entries = json.loads(infer("--image", folder).stdout)["images"]
    found = [entry for entry in entries if "prompts" in entry]
    assert len(coco.getImgIds()) == len(found) == 9
    for image, entry in zip(coco.loadImgs(coco.getImgIds()), found):
        assert image["file_name"] == entry["path"]
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        instances = [
            (c + 1, instance)
            for c, prompt in enumerate(entry["prompts"])
            for instance in prompt["instances"]
        ]
        assert len(annotations) == len(instances)
        for annotation, (category, instance) in zip(annotations, instances):
            assert annotation["category_id"] == category
            assert annotation["score"] == instance["score"]
            assert annotation["area"] == mask_api.area(annotation["segmentation"])
            x0, y0, x1, y1 = instance["box"]
            assert annotation["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])


def make_tar(path: Path, folder: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for file in sorted(folder.rglob("*")):
            tar.add(file, str(file.relative_to(folder)), recursive=False)
        label = tarfile.TarInfo("a/0.json")
        label.size = 2
        tar.addfile(label, io.BytesIO(b"{}"))
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("s.tar", "w"), ("s.tar.gz", "w:gz"), ("s.tgz", "w:gz")]
)
def test_images_of_a_tar_file_are_those_of_its_folder(infer, folder, tmp_path, name, mode):
    tar = make_tar(tmp_path / name, folder, mode)
    expected = document_of(infer("--image", folder, check=True))
    found = document_of(infer("--image", tar, check=True))
    for entry in expected:
        entry["path"] = entry["path"].replace(str(folder), str(tar))
    assert found == expected


def test_names_in_a_tar_file_lead_nowhere_else(infer, tmp_path):
    picture = draw(tmp_path / "in" / "p.png", 1).read_bytes()
    tar_path = tmp_path / "t.tar"
    with tarfile.open(tar_path, "w") as tar:
        for name in ("../../up.png", "/abs.png", "ok/./p.png"):
            entry = tarfile.TarInfo(name)
            entry.size = len(picture)
            tar.addfile(entry, io.BytesIO(picture))
        link = tarfile.TarInfo("link.png")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        tar.addfile(link)
    overlays = tmp_path / "work" / "overlays"
    done = infer("--image", tar_path, "--overlay", overlays, check=True)
    assert len(document_of(done)) == 3
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    inside = [f"work/overlays/t/{name}" for name in ("abs.png", "ok/p.png", "up.png")]
    assert written == ["in/p.png", *inside]


def test_a_damaged_tar_file_gives_what_is_before_the_damage(infer, folder, tmp_path):
    tar = make_tar(tmp_path / "s.tar", folder)
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2])
    good = draw(tmp_path / "good.png", 3)
    done = infer("--image", tar, good, "--format", "jsonl")
    assert done.code == 2
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert 1 < len([line for line in lines if "prompts" in line]) < 10
    assert "prompts" in lines[-1], "an image of its own comes after the tar file"
    failed = [line["path"] for line in lines if "error" in line]
    assert failed
    assert all(path.startswith(str(tar)) for path in failed)


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_a_list_names_images(infer, folder, tmp_path, separator):
    paths = [str(path) for path in sorted(folder.rglob("*.*"))]
    listed = tmp_path / "list.txt"
    listed.write_text(separator.join([*paths, "", "missing.png"]), encoding="utf-8", newline="")
    done = infer("--images-from", listed)
    assert done.code == 2
    entries = json.loads(done.stdout)["images"]
    assert [entry["path"] for entry in entries] == [*paths, "missing.png"]
    assert [index for index, entry in enumerate(entries) if "error" in entry] == [9]
    piped = infer("--images-from", "-", input="\n".join(paths), check=True)
    assert len(document_of(piped)) == 9


def test_shards_are_parts_of_the_whole(infer, folder, tmp_path):
    paths = []
    for shard in range(4):
        output = tmp_path / f"{shard}.jsonl"
        infer("--image", folder, "--shard", f"{shard}/4", "--output", output, check=True)
        paths.append([line["path"] for line in read_lines(output)])
    assert sorted(map(len, paths)) == [2, 2, 2, 3]
    whole = [entry["path"] for entry in document_of(infer("--image", folder))]
    assert sorted(sum(paths, [])) == sorted(whole)


def test_a_shard_without_images_is_an_empty_result(infer, folder, tmp_path):
    output, lines = tmp_path / "r.json", tmp_path / "r.jsonl"
    infer("--image", folder, "--shard", "11/12", "--output", output, check=True)
    assert json.loads(output.read_text(encoding="utf-8"))["images"] == []
    infer("--image", folder, "--shard", "11/12", "--output", lines, check=True)
    assert read_lines(lines) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shard", "4/4"), "counted from 0"),
        (("--shard", "1"), "counted from 0"),
        (("--shard", "0/0"), "counted from 0"),
        (("--shard", "-1/2"), "counted from 0"),
        (("--device", "0,0"), "names GPU 0 twice"),
        (("--device", "x"), "expected a GPU counted from 0"),
        (("--format", "parquet"), "name one with --output"),
        (("--resume",), "name a file with --output"),
        (("--images-from", "nowhere.txt"), "there is no such file"),
    ],
)
def test_what_cannot_be_is_refused(infer, folder, options, message):
    done = infer("--image", folder, *options)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr


def test_no_image_is_refused(run, graphs):
    done = run("infer", "--model", graphs, "--text", "x")
    assert done.code == 2
    assert "--images-from" in done.stderr


def test_earlier_results_are_not_overwritten(infer, folder, tmp_path):
    output = tmp_path / "r.jsonl"
    infer("--image", folder, "--output", output, check=True)
    before = output.read_bytes()
    again = infer("--image", folder, "--output", output)
    assert again.code == 2
    assert "--resume" in again.stderr
    infer("--image", folder, "--output", output, "--resume", check=True)
    assert output.read_bytes() == before


def test_a_job_that_goes_on_does_what_is_new_or_changed(infer, folder, tmp_path):
    output = tmp_path / "r.jsonl"
    infer("--image", folder, "--output", output, check=True)
    first = {line["path"]: line for line in read_lines(output)}
    changed = folder / "a" / "0.png"
    draw(changed, 77, (99, 88))
    added = draw(folder / "c" / "new.png", 5)
    with output.open("a", encoding="utf-8") as file:
        file.write('{"version":1,"half')
    infer("--image", folder, "--output", output, "--resume", check=True)
    lines = read_lines(output)
    assert collections.Counter(line["path"] for line in lines) == collections.Counter(
        [*first, str(added)]
    )
    for line in lines:
        if line["path"] == str(changed):
            assert (line["width"], line["height"]) == (99, 88)
        elif line["path"] in first:
            assert line == first[line["path"]], "what was there has been computed again"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n', "line 1 is not a result"),
        ("plain text\n", "line 1 is not a result"),
        ('[1, 2]\n{"path": 3}\n', "line 1 is not a result"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(infer, folder, tmp_path, content, message):
    output = tmp_path / "r.jsonl"
    output.write_text(content, encoding="utf-8")
    done = infer("--image", folder, "--output", output, "--resume")
    assert done.code == 2
    assert message in done.stderr
    assert output.read_text(encoding="utf-8") == content


def test_results_of_other_prompts_are_not_mixed(infer, folder, tmp_path):
    output = tmp_path / "r.jsonl"
    infer("--image", folder, "--output", output, check=True)
    before = output.read_bytes()
    done = infer("--image", folder, "--output", output, "--resume", "--text", "triangle")
    assert done.code == 2
    assert "differs from this job in its prompts" in done.stderr
    assert output.read_bytes() == before


def start(program, graphs, *arguments, threshold=0.0001, **options) -> subprocess.Popen:
    command = [program, "infer", "--model", graphs, "--threshold", threshold, "--threads", "1"]
    command += [word for text in TEXTS for word in ("--text", text)]
    return subprocess.Popen(
        [str(word) for word in (*command, *arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def wait_for_lines(path: Path, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def many(tmp_path) -> Path:
    root = tmp_path / "many"
    for i in range(max(60, 8 * KILLS)):
        draw(root / f"{i:03}.png", i)
    return root


@pytest.mark.parametrize("form", ["jsonl", "json", "coco"])
def test_a_job_killed_at_any_moment_has_every_image_once(program, graphs, many, tmp_path, form):
    output = tmp_path / f"r.{form}"
    arguments = ("--image", many, "--output", output, "--format", form)
    moments = random.Random(form)

    def seconds_of(*job) -> float:
        began = time.monotonic()
        assert start(program, graphs, *job).wait() == 0
        return time.monotonic() - began

    # So that each process gets some way, and the job is done after about as many as are killed.
    beginning = seconds_of("--image", next(many.iterdir()), "--output", tmp_path / "one.jsonl")
    whole = seconds_of("--image", many, "--output", tmp_path / "whole.jsonl") - beginning
    progress = []
    for kill in range(KILLS):
        process = start(program, graphs, *arguments, *(("--resume",) if kill else ()))
        time.sleep(beginning * moments.uniform(0.5, 1) + moments.uniform(0, 2 * whole / KILLS))
        process.kill()
        process.communicate()
        lines = output if form == "jsonl" else tmp_path / f"r.{form}.partial"
        progress.append(lines.read_bytes().count(b"\n") if lines.exists() else 0)
    process = start(program, graphs, *arguments, "--resume")
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    if form == "jsonl":
        paths = [line["path"] for line in read_lines(output)]
    else:
        entries = json.loads(output.read_text(encoding="utf-8"))["images"]
        paths = [entry["path" if form == "json" else "file_name"] for entry in entries]
    assert sorted(paths) == sorted(str(path) for path in many.iterdir())
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"many", output.name, "one.jsonl", "whole.jsonl"}
    print("images done after each kill:", progress)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_job_has_what_was_done_and_goes_on(program, graphs, many, tmp_path, name):
    output, partial = tmp_path / "r.json", tmp_path / "r.json.partial"
    arguments = ("--image", many, "--output", output)
    process = start(program, graphs, *arguments)
    wait_for_lines(partial, 3, process)
    process.send_signal(signal.Signals[name])
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.Signals[name], errors
    assert f"stopped by {name}" in errors
    some = json.loads(output.read_text(encoding="utf-8"))["images"]
    assert 3 <= len(some) < len(list(many.iterdir()))
    assert len(read_lines(partial)) == len(some)
    refused = start(program, graphs, *arguments)
    assert "--resume" in refused.communicate()[1]
    assert refused.returncode == 2
    finished = start(program, graphs, *arguments, "--resume")
    errors = finished.communicate()[1]
    assert finished.returncode == 0, errors
    entries = json.loads(output.read_text(encoding="utf-8"))["images"]
    assert entries[: len(some)] == some
    assert [entry["path"] for entry in entries] == sorted(str(path) for path in many.iterdir())
    assert not partial.exists()


def test_a_signal_before_the_first_result_leaves_nothing(program, graphs, many, tmp_path):
    output = tmp_path / "out" / "r.json"
    output.parent.mkdir()
    process = start(program, graphs, "--image", many, "--output", output)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert not list(output.parent.iterdir())


def workers_of(process: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text(encoding="utf-8").split()]


def test_a_worker_that_is_killed_is_replaced(program, graphs, many, tmp_path):
    output = tmp_path / "r.jsonl"
    process = start(program, graphs, "--image", many, "--output", output)
    wait_for_lines(output, 5, process)
    (worker,) = workers_of(process)
    os.kill(worker, signal.SIGKILL)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert "going on with another one" in errors
    lines = read_lines(output)
    assert [line["path"] for line in lines] == sorted(str(path) for path in many.iterdir())
    assert not [line for line in lines if "error" in line]


def test_a_job_ends_with_the_process_that_started_it(program, graphs, many, tmp_path):
    output = tmp_path / "r.jsonl"
    process = start(program, graphs, "--image", many, "--output", output)
    wait_for_lines(output, 1, process)
    (worker,) = workers_of(process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}/task").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{worker}/task").exists()


POISON = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

/* Reading a file whose name says "poison" is the end of the process. */
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = va_arg(rest, int);
  va_end(rest);
  if (strstr(path, "poison") != NULL) raise(SIGSEGV);
  return ((int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags, mode);
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_images_that_kill_their_worker_are_errors_and_the_others_are_done(
    program, graphs, many, tmp_path
):
    source, library = tmp_path / "poison.c", tmp_path / "killer.so"
    source.write_text(POISON, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    for name in ("010-poison.png", "031-poison.png", "999-poison.png"):
        draw(many / name, 4)
    output = tmp_path / "r.jsonl"
    preload = {"env": os.environ | {"LD_PRELOAD": str(library)}}
    process = start(program, graphs, "--image", many, "--output", output, **preload)
    errors = process.communicate()[1]
    assert process.returncode == 1, errors
    lines = read_lines(output)
    assert [line["path"] for line in lines] == sorted(str(path) for path in many.iterdir())
    failed = [line for line in lines if "error" in line]
    assert ["poison" in line["path"] for line in failed] == [True] * 3
    assert all("died of SIGSEGV, 2 times" in line["error"] for line in failed)
    # Also when such an image is the only one.
    alone = start(program, graphs, "--image", many / "999-poison.png", **preload)
    assert "died of SIGSEGV" in alone.communicate()[1]
    assert alone.returncode == 1
    # They have their rows and are not tried again, however often the job is started.
    again = start(program, graphs, "--image", many, "--output", output, "--resume", **preload)
    errors = again.communicate()[1]
    assert again.returncode == 0, errors
    assert read_lines(output) == lines


def test_two_jobs_do_not_write_to_one_file(program, graphs, many, tmp_path):
    output = tmp_path / "r.jsonl"
    first = start(program, graphs, "--image", many, "--output", output)
    wait_for_lines(output, 1, first)
    first.send_signal(signal.SIGSTOP)
    (worker,) = workers_of(first)
    os.kill(worker, signal.SIGSTOP)
    second = start(program, graphs, "--image", many, "--output", output, "--resume")
    errors = second.communicate()[1]
    assert second.returncode == 2
    assert "another process is writing to it" in errors
    os.kill(worker, signal.SIGCONT)
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert len(read_lines(output)) == len(list(many.iterdir()))


def peak_memory(process: subprocess.Popen) -> int:
    """Highest memory of the worker in kB, waiting for its end."""
    peak = 0
    while process.poll() is None:
        for pid in workers_of(process) if process.poll() is None else []:
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            except OSError:
                continue
            peak = max(
                [peak, *(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)]
            )
        time.sleep(0.01)
    return peak


def test_memory_does_not_grow_with_the_number_of_images(program, graphs, tmp_path):
    picture = draw(tmp_path / "big.png", 1, (1600, 1200))
    peaks = []
    for count in (8, 56):
        listed = tmp_path / f"{count}.txt"
        listed.write_text(f"{picture}\n" * count, encoding="utf-8")
        process = start(
            program, graphs, "--images-from", listed, "--format", "jsonl", "--io-threads", 2
        )
        peaks.append(peak_memory(process))
        assert process.returncode == 0
    # An image is 5.8 MB: 48 more of them would be 276 MB.
    assert peaks[1] < peaks[0] + 100_000

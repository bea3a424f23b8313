"""What the program writes: never over an input or a device, never half, never left behind."""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import goldens
import pytest

IMAGES = goldens.ROOT / "test_images"
CAT = IMAGES / "cat.jpg"
ROCKET = IMAGES / "rocket.jpg"
PNG = b"\x89PNG\r\n\x1a\n"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make device nodes")
as_user = pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")


@pytest.fixture
def infer(run, exported):
    """infer(*arguments): runs the program on tiny_a with one text."""

    def call(*arguments, **options):
        model = ("--model", exported("hf", "tiny_a"))
        return run("infer", *model, "--text", "ears of a cat", *arguments, **options)

    return call


@pytest.fixture
def cat_png(tmp_path, run, exported) -> Path:
    """A PNG of the user's."""
    path = tmp_path / "input" / "cat.png"
    path.parent.mkdir()
    options = ("--model", exported("hf", "tiny_a"), "--image", CAT, "--text", "x", "--overlay")
    run("infer", *options, path, check=True)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_document(text: str, code: int = 0) -> dict:
    document = json.loads(text)
    assert ("error" in document["images"][0]) == (code != 0)
    return document


@as_root
def test_a_device_is_written_through(infer, tmp_path):
    device = tmp_path / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    for arguments in (("--output", device), ("--output", tmp_path / "r", "--overlay", device)):
        done = infer("--image", CAT, *arguments)
        assert done.code == 0, done.stderr
        assert stat.S_ISCHR(device.stat().st_mode)
        assert device.stat().st_rdev == os.makedev(1, 3)


@pytest.fixture
def open_folder():
    """A folder that other users can enter; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def as_nobody(program):
    """as_nobody(*arguments): runs the program as a user without rights of its own."""

    def call(*arguments) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", program, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@as_root
@as_user
def test_dev_null_works_for_ordinary_users(as_nobody, exported, open_folder):
    model = shutil.copytree(exported("hf", "tiny_a"), open_folder / "model")
    model.chmod(0o755)
    done = as_nobody("infer", "--model", model, "--image", CAT, "--text", "x", "--output=/dev/null")
    assert done.returncode == 0, done.stderr


def test_a_pipe_is_written_through(infer, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        done = infer("--image", CAT, "--output", pipe)
        received = reader.communicate(timeout=60)[0]
    assert done.code == 0, done.stderr
    assert_document(received)
    assert pipe.is_fifo()


def test_links_are_followed_and_stay(infer, tmp_path):
    (tmp_path / "old.json").write_text("old", encoding="utf-8")
    (tmp_path / "link.json").symlink_to("old.json")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "overlay.png")
    outputs = ("--output", tmp_path / "link.json", "--overlay", tmp_path / "dangling.png")
    assert infer("--image", CAT, *outputs).code == 0
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "dangling.png").is_symlink()
    assert_document((tmp_path / "old.json").read_text(encoding="utf-8"))
    assert (tmp_path / "overlay.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_gets_the_document_and_nothing_else(infer, tmp_path, name):
    done = infer("--image", CAT, "--output", name, cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert_document(done.stdout)
    assert not list(tmp_path.iterdir())


def test_standard_output_that_is_a_file_is_appended_to(program, exported, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.write(b"before\n")
        file.flush()
        command = [program, "infer", "--model", exported("hf", "tiny_a"), "--image", CAT]
        command += ["--text", "x", "--output", "/dev/stdout"]
        subprocess.run(command, stdout=file, check=True)
    first, _, rest = log.read_text(encoding="utf-8").partition("\n")
    assert first == "before"
    assert_document(rest)


def test_an_overlay_goes_to_standard_output_when_the_result_does_not(program, exported, tmp_path):
    command = [program, "infer", "--model", exported("hf", "tiny_a"), "--image", CAT]
    command += ["--text", "x", "--overlay", "-"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert b"--output" in done.stderr
    command += ["--output", tmp_path / "r.json"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith(PNG)
    assert done.stdout.endswith(b"IEND\xaeB`\x82")


def test_an_output_that_is_an_input_is_refused(infer, cat_png, tmp_path):
    folder = cat_png.parent
    (tmp_path / "link.png").symlink_to(cat_png)
    (tmp_path / "hard.png").hardlink_to(cat_png)
    (tmp_path / "again").symlink_to(folder, target_is_directory=True)
    before = content(tmp_path)
    names = [cat_png, tmp_path / "link.png", tmp_path / "hard.png", tmp_path / "again/cat.png"]
    cases = [(option, name) for name in names for option in ("--overlay", "--output")]
    cases += [("--overlay", folder), ("--overlay", tmp_path / "again")]
    for option, name in cases:
        done = infer("--image", cat_png, option, name)
        assert done.code == 2, (option, name, done.stdout)
        assert "would overwrite the input --image" in done.stderr
        assert done.stdout == ""
    done = infer("--image", folder, "--overlay", folder)
    assert done.code == 2
    assert content(tmp_path) == before


def test_an_output_that_is_a_part_of_the_model_is_refused(run, exported, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(exported("hf", "tiny_a"), model)
    config = tmp_path / "config.yaml"
    config.write_text("infer:\n  threshold: 0.4\n", encoding="utf-8")
    before = content(tmp_path)
    names = ["vision_encoder.onnx", "detector.tokenizer.json"]
    names += [name for name in before if name.endswith(".data")]
    for path in [*(model / Path(name).name for name in names), config]:
        options = ("--image", CAT, "--text", "x", "--output", path, "--config", config)
        done = run("infer", "--model", model, *options)
        assert done.code == 2, done.stdout
        assert "would overwrite the input" in done.stderr
    assert content(tmp_path) == before
    # A result of an earlier run in the model's folder is no input.
    (model / "r.json").write_text("old", encoding="utf-8")
    options = ("--image", CAT, "--text", "x", "--output", model / "r.json")
    assert run("infer", "--model", model, *options).code == 0


def test_outputs_that_are_one_file_are_refused(infer, tmp_path):
    same = tmp_path / "same.png"
    done = infer("--image", CAT, "--output", same, "--overlay", same)
    assert done.code == 2
    assert "would overwrite the output" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_export_over_its_checkpoint_is_refused(run, checkpoint, tmp_path):
    source = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("hf", "tiny_a"), source)
    graphs = tmp_path / "graphs"
    graphs.mkdir()
    (graphs / "detector.tokenizer.json").symlink_to(source / "tokenizer.json")
    (graphs / "vision_encoder.onnx").hardlink_to(source / "model.safetensors")
    before = content(tmp_path)
    arguments = ("export", "--checkpoint", source, "--component")
    for component, output in [
        ("all", graphs),
        ("detector", graphs / "detector.onnx"),
        ("vision_encoder", graphs / "vision_encoder.onnx"),
    ]:
        done = run(*arguments, component, "--output", output)
        assert done.code == 2, done.stdout
        assert "would overwrite the input" in done.stderr
    assert content(tmp_path) == before
    # Graphs may lie beside their checkpoint, and be exported there again.
    for _ in range(2):
        run(*arguments, "all", "--output", source, check=True)


def test_a_build_over_its_graphs_is_refused(run, exported, tmp_path):
    graphs = tmp_path / "graphs"
    shutil.copytree(exported("hf", "tiny_a"), graphs)
    (tmp_path / "x.engine").symlink_to(graphs / "vision_encoder.onnx")
    before = content(tmp_path)
    graph = ("--onnx", graphs / "vision_encoder.onnx")
    done = run("build", *graph, "--output", tmp_path / "x.engine")
    assert done.code == 2
    assert "would overwrite the input graph" in done.stderr
    assert content(tmp_path) == before


@as_root
@as_user
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_cannot_be_written_is_refused_before_anything_is_loaded(as_nobody, open_folder, what):
    target = open_folder / "locked" / "v.onnx"
    target.parent.mkdir()
    target.write_text("old", encoding="utf-8")
    target.parent.chmod(0o777 if what == "file" else 0o755)
    target.chmod(0o644 if what == "file" else 0o666)
    arguments = ("--component", "vision_encoder", "--output", target)
    done = as_nobody("export", "--checkpoint", open_folder / "none", *arguments)
    assert done.returncode == 2, done.stderr
    assert "v.onnx" in done.stderr
    assert "cannot be written" in done.stderr
    assert target.read_text(encoding="utf-8") == "old"


def test_outputs_keep_permissions_and_new_ones_follow_the_umask(infer, tmp_path):
    old = tmp_path / "old.json"
    old.write_text("old", encoding="utf-8")
    old.chmod(0o600)
    assert infer("--image", CAT, "--output", old, "--overlay", tmp_path / "o.png").code == 0
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "o.png").stat().st_mode) == 0o666 & ~umask


def test_the_longest_names_are_written(infer, cat_png, tmp_path):
    longest = cat_png.rename(cat_png.with_name("x" * 251 + ".png"))
    result = tmp_path / ("r" * 250 + ".json")
    outputs = ("--overlay", tmp_path / "overlays", "--output", result)
    done = infer("--image", longest, *outputs)
    assert done.code == 0, done.stderr
    assert [path.name for path in (tmp_path / "overlays").iterdir()] == [longest.name]
    assert_document(result.read_text(encoding="utf-8"))


def test_an_overlay_that_cannot_be_written_is_an_error_of_its_image(infer, tmp_path):
    overlays, result = tmp_path / "overlays", tmp_path / "r.json"
    (overlays / "cat.png").mkdir(parents=True)
    done = infer("--image", CAT, ROCKET, "--overlay", overlays, "--output", result)
    assert done.code == 2, done.stderr
    cat, rocket = json.loads(result.read_text(encoding="utf-8"))["images"]
    assert "cat.png" in cat["error"]
    assert cat["error"] in done.stderr
    assert len(cat["prompts"]) == 1, "what was found is lost with the overlay"
    assert "error" not in rocket
    assert (overlays / "rocket.png").read_bytes().startswith(PNG)


def limit_file_size(size: int):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_leaves_the_old_results(infer, tmp_path):
    overlay, result = tmp_path / "o.png", tmp_path / "r.json"
    result.write_text("old", encoding="utf-8")
    done = infer(
        *("--image", CAT, "--overlay", overlay, "--output", result),
        preexec_fn=limit_file_size(100000),
    )
    assert done.code == 1, done.stderr
    assert "o.png: writing failed: File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert assert_document(result.read_text(encoding="utf-8"), 1)["images"][0]["prompts"]


def test_an_export_onto_a_full_disk_leaves_everything_as_it_was(run, checkpoint, tmp_path):
    source = checkpoint("hf", "tiny_a")
    graphs = tmp_path / "new" / "graphs"
    arguments = ("export", "--checkpoint", source, "--component", "all", "--output", graphs)
    done = run(*arguments, preexec_fn=limit_file_size(50000))
    assert done.code == 1, done.stderr
    assert "writing failed" in done.stderr
    assert not list(tmp_path.iterdir())
    run(*arguments, check=True)
    before = content(tmp_path)
    assert run(*arguments, preexec_fn=limit_file_size(50000)).code == 1
    assert content(tmp_path) == before


def start_export(program, output: Path, **options) -> subprocess.Popen:
    """An export that has begun to write; it is slowed down to be caught."""
    command = [program, "export", "--checkpoint", goldens.ROOT / "models/tiny"]
    command += ["--component", "all", "--output", output]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)
    deadline = time.monotonic() + 60
    while not list(output.glob(".sam3trt-*.tmp")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.0002)
    return process


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_an_export_and_leaves_nothing(program, tmp_path, name):
    number = signal.Signals[name]
    output = tmp_path / "new" / "graphs"
    process = start_export(program, output)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == -number, errors
    assert f"stopped by {name}" in errors
    assert not list(tmp_path.iterdir())


def test_an_ignored_signal_stays_ignored(program, tmp_path):
    process = start_export(
        program, tmp_path, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    process.send_signal(signal.SIGHUP)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    assert (tmp_path / "vision_encoder.onnx").is_file()


def test_what_a_killed_run_leaves_is_removed_by_the_next(program, run, tmp_path, exported):
    output = tmp_path / "graphs"
    for _ in range(2):
        process = start_export(program, output)
        process.kill()
        process.communicate()
        left = [path.name for path in output.iterdir()]
        assert left
        assert all(name.startswith(".sam3trt-") for name in left)
        refused = run("infer", "--model", output, "--image", CAT, "--text", "x")
        assert refused.code == 2, "there is no model yet"
        assert not list(output.iterdir())
    process = start_export(program, output)
    process.kill()
    process.communicate()
    source = goldens.ROOT / "models/tiny"
    arguments = ("--checkpoint", source, "--component", "all", "--output", output)
    run("export", *arguments, check=True)
    assert not [path for path in output.iterdir() if path.name.startswith(".")]


def test_what_a_killed_run_leaves_in_the_cache_is_removed_by_the_next(run, tmp_path):
    for name in ("", "reference", "timing"):
        folder = tmp_path / "sam3trt" / name / ".sam3trt-0123456789ab.tmp"
        folder.mkdir(parents=True)
        (folder / "typed.onnx").write_bytes(b"half")
        (folder.parent / ".sam3trt-ba9876543210.tmp").write_bytes(b"half")
        (folder.parent / "kept").write_bytes(b"whole")
    run("inspect", goldens.ROOT / "models/tiny", env={"XDG_CACHE_HOME": tmp_path}, check=True)
    assert sorted(content(tmp_path)) == [
        "sam3trt/kept",
        "sam3trt/reference/kept",
        "sam3trt/timing/kept",
    ]
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_reader_that_goes_away_ends_the_program_quietly(program):
    command = f"{program} inspect {goldens.ROOT / 'models/tiny'} --tensors --json"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() in ("0", str(128 + signal.SIGPIPE))
    assert done.stderr == ""


def test_a_folder_gives_its_images(infer, tmp_path):
    folder = tmp_path / "images"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    shutil.copy(CAT, folder / "b.jpg")
    shutil.copy(CAT, folder / "sub/deep/a.JPG")
    shutil.copy(CAT, folder / ".hidden/c.jpg")
    shutil.copy(CAT, folder / "._b.jpg")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    overlays = tmp_path / "overlays"
    done = infer("--image", folder, "--overlay", overlays)
    assert done.code == 0, done.stderr
    paths = [image["path"] for image in json.loads(done.stdout)["images"]]
    assert paths == [str(folder / "b.jpg"), str(folder / "sub/deep/a.JPG")]
    assert sorted(content(overlays)) == ["b.png", "sub/deep/a.png"]


def test_a_pattern_gives_what_fits_it(infer, tmp_path):
    for name in ("b.jpg", "a.jpg", "c.jpeg", "odd[1].jpg"):
        shutil.copy(CAT, tmp_path / name)

    def paths(pattern: str) -> list[str]:
        done = infer("--image", tmp_path / pattern)
        assert done.code == 0, done.stderr
        return [Path(image["path"]).name for image in json.loads(done.stdout)["images"]]

    assert paths("[ab]*.jpg") == ["a.jpg", "b.jpg"]
    assert paths("odd[1].jpg") == ["odd[1].jpg"], "a file of that name comes before the pattern"


@pytest.mark.parametrize("name", ["missing.jpg", "none*.jpg", "empty"])
def test_no_image_at_all_is_refused_before_the_model_is_loaded(infer, tmp_path, name):
    (tmp_path / "empty").mkdir()
    done = infer("--image", tmp_path / name, "--verbose")
    assert done.code == 2
    assert done.stdout == ""
    assert name in done.stderr
    assert "loading" not in done.stderr


@pytest.mark.parametrize("box", ["0.1,0.17,0.35,0.5", "0,0,1,1", "10,10,10.5,80"])
def test_a_box_smaller_than_a_pixel_is_said(infer, box):
    done = infer("--image", CAT, "--box", box)
    assert done.code == 0, done.stderr
    assert f"--box {box}" in done.stderr
    assert "in pixels" in done.stderr


def test_values_of_several_options_are_told_apart(infer, tmp_path):
    result = tmp_path / "r.json"
    run = infer("--image", CAT, ROCKET, "--text", "build", "infer", "--output", result)
    assert run.code == 0, run.stderr
    for image in json.loads(result.read_text(encoding="utf-8"))["images"]:
        assert [p["text"] for p in image["prompts"]] == ["ears of a cat", "build", "infer"]
    done = infer("--image", CAT, "--outptu", result)
    assert done.code == 2
    assert "unknown option '--outptu'" in done.stderr

"""`sam3trt infer` as a user meets it: results, files written, bad input, exit codes."""

import json
import os
import pty
import shutil
import struct
import subprocess
from pathlib import Path

import goldens
import pytest

IMAGES = goldens.ROOT / "test_images"
CAT = IMAGES / "cat.jpg"
ROCKET = IMAGES / "rocket.jpg"


@pytest.fixture
def infer(program, exported):
    """infer(*arguments): runs the program on tiny_a, unless another model is named."""

    def run(*arguments, model=None) -> subprocess.CompletedProcess:
        command = [program, "infer", *arguments]
        if model is None and "--encoder-engine" not in arguments:
            model = exported("hf", "tiny_a")
        if model:
            command += ["--model", model]
        return subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False
        )

    return run


def document(run: subprocess.CompletedProcess, code: int = 0) -> dict:
    assert run.returncode == code, run.stderr
    return json.loads(run.stdout)


def assert_refused(run: subprocess.CompletedProcess, code: int, *parts: str) -> None:
    assert run.returncode == code, run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("sam3trt: error: ")
    for part in parts:
        assert part in run.stderr


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", data[16:24])


def copy_model(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def test_several_images_and_prompts_give_what_single_runs_give(infer):
    texts = ["ears of a cat", "a rocket launch", "red"]
    box = "130,20,330,280"
    together = document(infer("--image", CAT, ROCKET, "--text", *texts, "--box", box))
    assert [image["path"] for image in together["images"]] == [str(CAT), str(ROCKET)]
    found = 0
    for image in together["images"]:
        assert [prompt["text"] for prompt in image["prompts"]] == texts
        for prompt in image["prompts"]:
            alone = document(
                infer("--image", image["path"], "--text", prompt["text"], "--box", box)
            )["images"][0]["prompts"][0]
            assert alone["boxes"] == prompt["boxes"] == [[130, 20, 330, 280]]
            assert len(alone["instances"]) == len(prompt["instances"])
            for a, b in zip(alone["instances"], prompt["instances"], strict=True):
                # Batches may round differently; scores are written with 6 digits.
                assert a["score"] == pytest.approx(b["score"], abs=1e-5)
                assert a["box"] == pytest.approx(b["box"], abs=0.01)
                assert a["area"] == pytest.approx(b["area"], rel=1e-3)
            found += len(prompt["instances"])
    assert found > 0


def test_the_document_has_the_form_of_the_interface(infer):
    run = infer(
        *("--image", CAT, "--text", "ears of a cat", "--threshold", "0.1"),
        *("--box", "-5,20,330,280", "--negative-box", "1.5,2,30,40"),
    )
    result = document(run)
    assert list(result) == ["version", "backend", "semantics", "images"]
    assert (result["version"], result["backend"], result["semantics"]) == (1, "openvino", "hf")
    (image,) = result["images"]
    assert list(image) == ["path", "width", "height", "prompts", "timings_ms"]
    assert (image["width"], image["height"]) == (451, 300)
    stages = ["decode", "preprocess", "vision_encoder", "detector", "postprocess"]
    assert list(image["timings_ms"]) == stages
    assert all(time > 0 for time in image["timings_ms"].values())
    (prompt,) = image["prompts"]
    assert prompt["boxes"] == [[-5, 20, 330, 280], [1.5, 2, 30, 40]]
    assert prompt["box_labels"] == [1, 0]
    scores = [instance["score"] for instance in prompt["instances"]]
    assert scores == sorted(scores, reverse=True)
    assert 0.1 < scores[-1] <= scores[0] <= prompt["presence"] <= 1
    assert prompt["instances"][0]["mask"]["size"] == [300, 451]


def test_thresholds_decide_what_is_kept(infer):
    def instances(*options):
        run = infer("--image", CAT, "--text", "ears of a cat", *options)
        return document(run)["images"][0]["prompts"][0]["instances"]

    many = instances("--threshold", "0")
    assert len(many) == 24  # every query
    some = instances("--threshold", "0.5")
    assert [i["score"] for i in some] == [i["score"] for i in many if i["score"] > 0.5]
    assert not instances("--threshold", "1")
    for high, low in zip(instances("--mask-threshold", "0.9"), some, strict=True):
        assert high["score"] == low["score"]
        assert high["area"] < low["area"]


def test_the_two_engine_options_give_what_the_folder_gives(infer, exported):
    folder = exported("hf", "tiny_a")
    options = ("--image", CAT, "--text", "red")
    by_folder = document(infer(*options))["images"][0]["prompts"]
    files = ("--encoder-engine", folder / "vision_encoder.onnx")
    files += ("--detector-engine", folder / "detector.onnx")
    assert document(infer(*options, *files))["images"][0]["prompts"] == by_folder


def test_output_and_overlay_are_written(infer, tmp_path):
    output, overlay = tmp_path / "results.json", tmp_path / "out.png"
    options = ("--image", CAT, "--text", "ears of a cat", "--output", output)
    run = infer(*options, "--overlay", overlay)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{CAT}: 'ears of a cat': 4 instances\n"
    assert run.stderr == ""
    found = json.loads(output.read_text(encoding="utf-8"))["images"][0]
    assert len(found["prompts"][0]["instances"]) == 4
    assert png_size(overlay) == (451, 300)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.png", "results.json"]
    again = document(infer(*options, "--json"))
    assert again["images"][0]["prompts"] == found["prompts"]


def test_overlays_of_several_images_go_into_a_folder(infer, tmp_path):
    folder = tmp_path / "new" / "overlays"
    run = infer("--image", CAT, ROCKET, "--text", "red", "--overlay", folder)
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["cat.png", "rocket.png"]
    assert png_size(folder / "rocket.png") == (640, 427)


def test_images_that_cannot_be_read_are_entries_and_the_others_are_done(infer, tmp_path):
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(CAT.read_bytes()[:5000])
    text = tmp_path / "text.png"
    text.write_text("not a picture", encoding="utf-8")
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    bad = [truncated, text, tmp_path / "missing.jpg", pipe]
    overlays = tmp_path / "overlays"
    run = infer("--image", *bad[:2], CAT, *bad[2:], "--text", "red", "--overlay", overlays)
    result = document(run, code=2)
    assert [image["path"] for image in result["images"]] == [
        str(path) for path in [*bad[:2], CAT, *bad[2:]]
    ]
    for image, path in zip(result["images"], [*bad[:2], None, *bad[2:]], strict=True):
        if path is None:
            assert image["prompts"]
        else:
            assert list(image) == ["path", "error"]
            assert str(path) in image["error"]
            assert image["error"] in run.stderr
    assert [path.name for path in overlays.iterdir()] == ["cat.png"]


def test_a_box_outside_one_image_is_an_entry(infer):
    run = infer("--image", CAT, ROCKET, "--box", "500,10,600,100")
    cat, rocket = document(run, code=2)["images"]
    assert "500,10,600,100 lies outside the image of 451x300" in cat["error"]
    assert rocket["prompts"][0]["text"] is None
    assert f"{CAT}: box" in run.stderr


BAD_OPTIONS = {
    "no prompt": ([], "--text or --box"),
    "empty text": (["--text", ""], "is empty"),
    "white space": (["--text", "dog", "--text", " \t"], "is empty"),
    "empty text with a box": (["--text", "", "--box", "1,2,3,4"], "leave the text out"),
    "short box": (["--box", "1,2,3"], "--box 1,2,3: expected four numbers"),
    "no number": (["--negative-box", "1,2,3,x"], "--negative-box 1,2,3,x: expected four"),
    "inverted box": (["--box", "30,2,3,40"], "x0 < x1"),
    "nan box": (["--box", "nan,2,3,40"], "finite"),
    "threshold": (["--text", "a", "--threshold", "1.5"], "--threshold"),
    "nan threshold": (["--text", "a", "--mask-threshold", "nan"], "threshold"),
    "other semantics": (["--text", "a", "--semantics", "meta"], "export the checkpoint again"),
    "unknown semantics": (["--text", "a", "--semantics", "x"], "--semantics"),
    "unknown backend": (["--text", "a", "--backend", "x"], "--backend"),
    "overlay type": (["--text", "a", "--overlay", "x.bmp"], ".png, .jpg, .jpeg or .webp"),
    "overlay typing error": (["--text", "a", "--overlay", "x.pngg"], "a folder with a /"),
    "output folder": (["--text", "a", "--output", "/nowhere/at/all.json"], "/nowhere/at"),
}


@pytest.mark.parametrize("options, message", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options_are_refused_before_anything_is_written(infer, tmp_path, options, message):
    output = [] if "--output" in options else ["--output", tmp_path / "results.json"]
    overlay = [] if "--overlay" in options else ["--overlay", tmp_path / "out.png"]
    assert_refused(infer("--image", CAT, *options, *output, *overlay), 2, message)
    assert not list(tmp_path.iterdir())


def test_text_that_is_not_utf8_is_refused(infer):
    assert_refused(infer("--image", CAT, "--text", os.fsdecode(b"caf\xe9")), 2, "UTF-8")


def test_one_overlay_file_for_several_images_is_refused(infer, tmp_path):
    run = infer("--image", CAT, ROCKET, "--text", "a", "--overlay", tmp_path / "out.png")
    assert_refused(run, 2, "name a folder")
    run = infer("--image", CAT, CAT, "--text", "a", "--overlay", tmp_path / "folder")
    assert_refused(run, 2, "both be drawn to")
    assert not list(tmp_path.iterdir())


def test_tensorrt_without_a_gpu_is_unavailable(infer):
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has an NVIDIA GPU")
    run = infer("--image", CAT, "--text", "a", "--backend", "tensorrt")
    assert_refused(run, 3, "libcuda.so.1", "openvino")


def test_an_engine_without_its_manifest_is_refused(infer, tmp_path):
    (tmp_path / "vision_encoder.engine").write_bytes(b"")
    run = infer("--image", CAT, "--text", "a", model=tmp_path)
    assert_refused(run, 2, "vision_encoder.engine.json is missing")


def test_folders_that_hold_no_model_are_refused(infer, checkpoint, tmp_path):
    options = ("--image", CAT, "--text", "a")
    assert_refused(infer(*options, model=tmp_path / "missing"), 2, "found nothing")
    assert_refused(infer(*options, model=CAT), 2, "found a file")
    run = infer(*options, model=checkpoint("hf", "tiny_a"))
    assert_refused(run, 2, "holds no vision_encoder", "sam3trt export")


def test_parts_of_different_models_are_refused(infer, exported, tmp_path):
    options = ("--image", CAT, "--text", "a")
    first, second = exported("hf", "tiny_a"), exported("hf", "tiny_b")
    files = ("--encoder-engine", first / "vision_encoder.onnx")
    files += ("--detector-engine", second / "detector.onnx")
    assert_refused(infer(*options, *files), 2, "detector.onnx: another checkpoint_sha256")
    mixed = copy_model(first, tmp_path / "mixed")
    name = "detector.mask_head.onnx"
    shutil.copy(second / name, mixed / name)
    assert_refused(infer(*options, model=mixed), 2, f"{name}: another checkpoint_sha256")
    shutil.copy(second / "detector.onnx", mixed / "second.onnx")
    assert_refused(infer(*options, model=mixed), 2, "2 files of the detector", "second.onnx")


def test_incomplete_and_damaged_models_are_refused(infer, exported, tmp_path):
    options = ("--image", CAT, "--text", "a")
    source = exported("hf", "tiny_a")
    missing = copy_model(source, tmp_path / "missing")
    (missing / "detector.text_encoder.onnx").unlink()
    (missing / "detector.tokenizer.json").unlink()
    run = infer(*options, model=missing)
    assert_refused(run, 2, "the text_encoder is missing", "the tokenizer is missing")
    for name in ("vision_encoder.onnx", "detector.mask_head.onnx"):
        truncated = copy_model(source, tmp_path / f"truncated {name}")
        (truncated / name).write_bytes((source / name).read_bytes()[:-1000])
        assert_refused(infer(*options, model=truncated), 2, f"{name}: not an ONNX model")
    tokenizer = copy_model(source, tmp_path / "tokenizer")
    (tokenizer / "detector.tokenizer.json").write_text("{}", encoding="utf-8")
    assert_refused(infer(*options, model=tokenizer), 2, "detector.tokenizer.json")


def test_an_existing_result_survives_a_failure(infer, tmp_path):
    output = tmp_path / "results.json"
    output.write_text("before", encoding="utf-8")
    run = infer(
        "--image", CAT, "--text", "a", "--output", output, "--overlay", tmp_path / "a/b.png"
    )
    assert_refused(run, 2, "there is no folder")
    assert output.read_text(encoding="utf-8") == "before"


def test_the_progress_bar_appears_on_a_terminal_only(program, exported):
    command = [program, "infer", "--model", exported("hf", "tiny_a"), "--text", "a"]
    command += ["--image", CAT, ROCKET]
    quiet = subprocess.run(command, capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
    master, terminal = pty.openpty()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(master, 65536).decode()
    os.close(master)
    # At most ten drawings a second: a fast machine skips the steps between the first and the last.
    assert "0/2" in shown
    assert "2/2" in shown

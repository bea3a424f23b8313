"""`sam3trt bench` without a GPU: whole runs on the CPU, and what it refuses."""

import json
import shutil
from pathlib import Path

import goldens
import pytest
import rtx


@pytest.fixture(scope="module")
def model(exported):
    return exported("hf", "tiny_a")


def test_the_runs_that_are_asked_for_are_timed(run, model):
    options = ("--warm-up", 1, "--iterations", 3, "--threshold", 0.2, "--json")
    result = run("bench", "--model", model, "--runs", "1x2", "1x1", *options, check=True)
    session = json.loads(result.stdout)["session"]
    assert session["backend"] == "openvino"
    assert [(r["images"], r["prompts"]) for r in session["runs"]] == [(1, 2), (1, 1)]
    for timed in session["runs"]:
        found, nothing = timed["total"], timed["nothing_found"]
        assert 0 < found["median_ms"] <= found["p95_ms"]
        assert timed["images_per_s"] == pytest.approx(1000 / found["median_ms"], abs=0.1)
        assert nothing["instances"] == 0 < nothing["total"]["median_ms"]


def test_without_runs_those_that_the_model_takes_are_timed(run, model):
    result = run("bench", "--model", model, "--warm-up", 1, "--iterations", 1, check=True)
    assert "on the GPU" not in result.stdout  # stages are timed there only
    lines = result.stdout.splitlines()
    assert lines[0] == "whole runs in openvino, pixels in memory to run lengths"
    head = next(i for i, line in enumerate(lines) if line.startswith("images prompts"))
    timed = [tuple(map(int, line.split()[:2])) for line in lines[head + 1 :]]
    assert timed == [(1, 1), (1, 2), (1, 4), (1, 16)]  # the CPU takes one picture at a time


@pytest.mark.parametrize("text", ["1y1", "0x1", "1x", "x1", "1x1x1", "-1x1", "1x99999"])
def test_a_run_that_is_none_is_refused(run, model, text):
    result = run("bench", "--model", model, f"--runs={text}")
    assert result.code == 2
    assert f"--runs {text}: expected pictures x prompts" in result.stderr
    assert result.stdout == ""


def test_more_pictures_than_the_model_takes_are_refused(run, model):
    result = run("bench", "--model", model, "--runs", "8x1", "--json")
    assert result.code == 2
    assert "--runs 8x1: this model takes 1 at once" in result.stderr
    assert result.stdout == ""


def test_files_are_timed_beside_pixels_in_memory(run, model, tmp_path):
    photo = goldens.ROOT / "test_images/cat.jpg"
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(photo, tmp_path / name)
    arguments = ("bench", "--model", model, "--files", tmp_path, "--io-threads", 1)
    files = json.loads(run(*arguments, "--json", check=True).stdout)["files"]
    assert (files["backend"], files["images"], files["sessions"]) == ("openvino", 3, 1)
    for source in ("pixels_in_memory", "files", "files_and_overlays"):
        speed = files[source]
        assert 0 < speed["lowest"] <= speed["images_per_s"] <= speed["highest"]
    assert "files and overlays" in run(*arguments, check=True).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]
    (tmp_path / "d.jpg").write_bytes(b"\xff\xd8\xff broken")
    broken = run(*arguments)
    assert broken.code == 2
    assert "d.jpg" in broken.stderr


def test_bench_needs_a_model_or_an_engine(run):
    result = run("bench")
    assert result.code == 2
    assert "bench needs --model or --engine" in result.stderr


@pytest.mark.skipif(rtx.trt is None, reason=rtx.REASON)
@pytest.mark.parametrize("damage", ["changed", "longer", "shorter"])
def test_engines_that_are_not_what_their_manifest_says_are_not_loaded(run, model, tmp_path, damage):
    libraries = {"SAM3TRT_TENSORRT_DIR": str(Path(rtx.tensorrt_rtx_libs.__file__).parent)}
    engine = tmp_path / "mask_head.engine"
    graph = model / "detector.mask_head.onnx"
    options = ("--target", "rtx", "--compute-capability", "8.9", "--output", engine)
    run("build", "--onnx", graph, *options, env=libraries, check=True)
    content = engine.read_bytes()
    middle = len(content) // 2
    engine.write_bytes(
        {
            "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "longer": content + b"more",
            "shorter": content[:middle],
        }[damage]
    )
    result = run("bench", "--engine", engine, "--allow-unverified", env=libraries)
    assert result.code == 2
    assert f"{engine}: is not the engine that its manifest describes" in result.stderr
    assert result.stdout == ""


def test_a_clip_is_timed_with_clicks_a_text_both_and_objects_that_come_and_go(run, exported):
    options = ("--video", "--frames", 30, "--objects", 2, "--json")
    result = run("bench", "--model", exported("hf", "video_a"), *options, check=True)
    video = json.loads(result.stdout)["video"]
    assert (video["backend"], video["frames"]) == ("openvino", 30)
    runs = {entry["prompts"]: entry for entry in video["runs"]}
    assert list(runs) == ["clicks", "text", "text and clicks", "clicks that come and go"]
    for name, timed in runs.items():
        most = timed["objects_on_a_frame"] if name == "text and clicks" else 2  # the text's, too
        assert timed["objects"] == 2 and most >= timed["objects_on_a_frame"] >= 0
        assert 0 < timed["frame"]["median_ms"] <= timed["frame"]["p95_ms"]
        assert timed["first_frame_ms"] > 0
        assert timed["first_frame_of_another_clip_ms"] > 0
        assert [sample["frame"] for sample in timed["memory"]] == list(range(30))
        assert all(sample["host_bytes"] > 0 for sample in timed["memory"])
    assert runs["clicks"]["objects_on_a_frame"] > 0
    assert runs["text and clicks"]["objects_on_a_frame"] > 0


def test_a_clip_can_be_timed_live(run, exported):
    options = ("--video", "--frames", 21, "--objects", 1, "--prompts", "both", "--live", "--json")
    result = run("bench", "--model", exported("hf", "video_a"), *options, check=True)
    (timed,) = json.loads(result.stdout)["video"]["runs"]
    assert timed["prompts"] == "text and clicks"
    assert timed["objects_on_a_frame"] > 0


def test_a_clip_that_is_too_short_is_refused(run, exported):
    result = run("bench", "--model", exported("hf", "video_a"), "--video", "--frames", 20)
    assert result.code == 2
    assert "--frames 20" in result.stderr
    assert run("bench", "--engine", "x.engine", "--video").code == 2

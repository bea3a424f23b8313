"""The build command, with NVIDIA's TensorRT-RTX, whose compiler needs no GPU, and without a GPU."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import goldens
import onnx
import pytest
import rtx
from onnx import TensorProto, helper

GRAPHS = ("vision_encoder", "detector", "detector.text_encoder", "detector.geometry_encoder")
GRAPHS += ("detector.mask_head",)
RTX = ("--target", "rtx", "--compute-capability", "8.9")
needs_rtx = pytest.mark.skipif(rtx.trt is None, reason=rtx.REASON)


@pytest.fixture
def build(run):
    """build(*arguments): with the libraries of PyPI's TensorRT-RTX."""

    def call(*arguments, **options):
        folder = Path(rtx.tensorrt_rtx_libs.__file__).parent if rtx.trt else "/nonexistent"
        return run("build", *arguments, env={"SAM3TRT_TENSORRT_DIR": str(folder)}, **options)

    return call


@pytest.fixture
def graphs(tiny_detector_graphs, tmp_path):
    """A copy of the exported graphs, because FP8 leaves its calibration beside them."""
    return Path(shutil.copytree(tiny_detector_graphs, tmp_path / "graphs"))


@needs_rtx
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "fp8"])
def test_a_folder_of_graphs_becomes_a_folder_of_engines(build, graphs, tmp_path, precision):
    engines = tmp_path / "engines"
    done = build("--onnx", graphs, "--output", engines, f"--{precision}", *RTX, "--json")
    assert done.code == 0, done.stderr
    report = json.loads(done.stdout)["engines"]
    assert [Path(entry["engine"]).stem for entry in report] == list(GRAPHS)
    for entry in report:
        manifest = json.loads(Path(entry["engine"] + ".json").read_text(encoding="utf-8"))
        assert manifest["precision"] == precision
        assert manifest["flavour"] == "TensorRT-RTX"
        assert manifest["compute_capability"] == "8.9"
        assert manifest["plan_bytes"] == Path(entry["engine"]).stat().st_size
        assert manifest["verification"] == {"state": "none"}  # nothing here can run it
    names = {path.name for path in engines.iterdir()}
    assert "detector.tokenizer.json" in names
    assert len(names) == 2 * len(GRAPHS) + 1


@needs_rtx
def test_engines_that_are_built_side_by_side_are_those_that_are_built_in_turn(
    build, graphs, tmp_path
):
    reports = {}
    for jobs in (1, 3):
        command = ("--onnx", graphs, "--output", tmp_path / f"{jobs}", *RTX, "--jobs", jobs)
        reports[jobs] = json.loads(build(*command, "--json", check=True).stdout)["engines"]
    for alone, beside in zip(reports[1], reports[3], strict=True):
        assert Path(alone["engine"]).name == Path(beside["engine"]).name
        assert alone["recipe"] == beside["recipe"]
        sizes = [Path(entry["engine"]).stat().st_size for entry in (alone, beside)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.01)
    assert {path.name for path in (tmp_path / "3").iterdir()} == {
        path.name for path in (tmp_path / "1").iterdir()
    }


@needs_rtx
def test_an_error_of_one_of_several_is_the_error_of_the_build(build, graphs, tmp_path):
    model = onnx.load(graphs / "detector.mask_head.onnx", load_external_data=False)
    model.graph.node[-1].op_type = "NoSuchOperator"
    onnx.save(model, graphs / "detector.mask_head.onnx")
    done = build("--onnx", graphs, "--output", tmp_path / "engines", *RTX, "--jobs", 3)
    assert done.code == 2
    assert "NoSuchOperator" in done.stderr
    assert done.stderr.count("error:") == 1
    assert not (tmp_path / "engines/detector.mask_head.engine").exists()


def snapshot(folder) -> dict:
    """Which files there are, and whether any was replaced."""
    engines = [path for path in folder.iterdir() if ".engine" in path.name]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in engines}


@needs_rtx
def test_the_same_again_leaves_the_engines_as_they_are(build, graphs, tmp_path):
    engines = tmp_path / "engines"
    command = ("--onnx", graphs, "--output", engines, "--fp16", *RTX)
    first = json.loads(build(*command, "--json", check=True).stdout)
    assert not any(entry["up_to_date"] for entry in first["engines"])
    before = snapshot(engines)
    again = json.loads(build(*command, "--json", check=True).stdout)
    assert snapshot(engines) == before
    assert all(entry["up_to_date"] for entry in again["engines"])
    assert [entry["recipe"] for entry in again["engines"]] == [
        entry["recipe"] for entry in first["engines"]
    ]
    damaged = engines / "detector.mask_head.engine"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    text = build(*command, check=True).stdout
    assert text.count("it is up to date (--force builds it again)") == len(GRAPHS) - 1
    after = snapshot(engines)
    assert {name for name in after if after[name] != before[name]} == {
        damaged.name,
        damaged.name + ".json",
    }


@needs_rtx
def test_another_request_is_built(build, graphs, tmp_path):
    output = tmp_path / "m.engine"
    command = ("--onnx", graphs / "detector.mask_head.onnx", "--output", output, *RTX)
    build(*command, check=True)
    for other in (("--max-prompts", 2), ("--fp32",), ("--optimization-level", 2)):
        assert "up to date" not in build(*command, *other, check=True).stdout
        assert "up to date" in build(*command, *other, check=True).stdout
    assert "up to date" not in build(*command, *other, "--force", check=True).stdout


@needs_rtx
def test_inspect_shows_what_an_engine_is(build, run, graphs, tmp_path):
    output = tmp_path / "m.engine"
    build("--onnx", graphs / "detector.mask_head.onnx", "--output", output, *RTX, check=True)
    described = json.loads(run("inspect", output, "--json", check=True).stdout)
    assert described["kind"] == "engine"
    assert described["component"] == "mask_head"
    assert described["attentions"] == 1
    assert described["verification"]["state"] == "none"
    table = run("inspect", output, check=True).stdout
    assert "TensorRT engine of the mask_head" in table
    assert "fpn_feat_0" in table
    assert "shapes of profile 2 of 2" in table


@needs_rtx
def test_a_detector_brings_its_parts(build, graphs, tmp_path):
    output = tmp_path / "new" / "sam3_detector.engine"
    done = build("--onnx", graphs / "detector.onnx", "--output", output, "--fp16", *RTX)
    assert done.code == 0, done.stderr
    names = {path.name for path in output.parent.iterdir() if path.suffix == ".engine"}
    parts = ("", ".text_encoder", ".geometry_encoder", ".mask_head")
    assert names == {f"sam3_detector{part}.engine" for part in parts}
    assert (output.parent / "sam3_detector.tokenizer.json").is_file()


@needs_rtx
def test_fp8_calibrates_graphs_whose_weights_lie_in_a_file_beside_them(build, graphs, tmp_path):
    path = graphs / "vision_encoder.onnx"
    command = ("--onnx", path, "--output", tmp_path / "v.engine", "--fp8", *RTX)
    build(*command, check=True)
    inside = json.loads((graphs / "vision_encoder.onnx.calibration.json").read_text("utf-8"))
    model = onnx.load(path)
    path.unlink()
    (graphs / "vision_encoder.onnx.calibration.json").unlink()
    onnx.save(
        model, path, save_as_external_data=True, location=path.name + ".data", size_threshold=1024
    )
    assert path.with_name(path.name + ".data").stat().st_size > 1 << 20
    build(*command, "--force", check=True)
    beside = json.loads((graphs / "vision_encoder.onnx.calibration.json").read_text("utf-8"))
    assert beside["amax"] == inside["amax"]
    assert not list(graphs.glob(".sam3trt-*"))


@needs_rtx
def test_fp8_calibration_depends_on_the_images_and_on_nothing_else(build, graphs, tmp_path):
    calibration = graphs / "vision_encoder.onnx.calibration.json"

    def calibrate(*options, cwd=None) -> dict:
        arguments = ("--onnx", graphs / "vision_encoder.onnx", "--fp8", *RTX)
        done = build(*arguments, "--output", tmp_path / "v.engine", *options, check=True, cwd=cwd)
        assert "warning" not in done.stderr
        manifest = json.loads((tmp_path / "v.engine.json").read_text(encoding="utf-8"))
        made = json.loads(calibration.read_text(encoding="utf-8"))
        assert (
            manifest["calibration_sha256"] == hashlib.sha256(calibration.read_bytes()).hexdigest()
        )
        return made

    first = calibrate(cwd=tmp_path)  # where there is no folder test_images
    assert len(first["amax"]) == 6 * 4  # four products in each of six blocks
    assert len(first["images"]) == 3 + 3  # the photographs inside the program, and drawn ones
    inode = calibration.stat().st_ino
    assert calibrate(cwd=goldens.ROOT) == first
    assert calibration.stat().st_ino == inode  # not made again
    calibration.unlink()
    photographs = ("cat.jpg", "example.jpg", "rocket.jpg")
    paths = [goldens.ROOT / "test_images" / name for name in photographs]
    assert calibrate("--image", *paths) == first
    one = calibrate("--image", paths[0])
    assert one["images"] != first["images"]
    assert one["amax"] != first["amax"]
    assert calibrate() == first
    assert not list(graphs.glob(".sam3trt-*"))
    assert not [path for path in graphs.iterdir() if ".calibration.onnx" in path.name]


@needs_rtx
def test_a_folder_with_two_models_is_refused_in_the_words_of_build(build, graphs, tmp_path):
    shutil.copy(graphs / "vision_encoder.onnx", graphs / "second.onnx")
    done = build("--onnx", graphs, "--output", tmp_path / "engines", *RTX)
    assert done.code == 2
    assert "holds 2 files of the vision_encoder" in done.stderr
    assert "build the graphs one by one" in done.stderr
    assert "--encoder-engine" not in done.stderr
    assert not (tmp_path / "engines").exists()


@needs_rtx
def test_limits_become_the_profiles(build, graphs, tmp_path):
    limits = ("--max-prompts", 5, "--max-boxes", 3)

    def profiles(part: str) -> list[dict]:
        output = tmp_path / f"{part}.engine"
        graph = graphs / f"detector.{part}.onnx"
        build("--onnx", graph, "--output", output, *limits, *RTX, check=True)
        return json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))["profiles"]

    (text,) = (profile["input_ids"] for profile in profiles("text_encoder"))
    assert text == {"min": [1, 32], "opt": [1, 32], "max": [5, 32]}
    one, several = (profile["prompt_index"] for profile in profiles("mask_head"))
    assert one == {"min": [1], "opt": [1], "max": [1]}
    assert several == {"min": [1], "opt": [4], "max": [4]}


@needs_rtx
@pytest.mark.parametrize(
    "component",
    ["tracker_neck", "mask_prompt", "memory_attention", "sam_decoder", "memory_encoder"],
)
def test_a_component_of_clicks_and_videos_becomes_an_engine(build, exported, tmp_path, component):
    output = tmp_path / f"{component}.engine"
    graph = exported("hf", "video_a") / f"{component}.onnx"
    limits = ("--max-objects", 5, "--max-pointers", 7)
    build("--onnx", graph, "--output", output, *limits, *RTX, check=True)
    manifest = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
    assert manifest["component"] == component
    if component != "memory_attention":
        return
    one, several = manifest["profiles"]
    assert one["memory_pointers"]["min"][:2] == [1, 0]
    assert several["memory_pointers"]["max"][:2] == [5, 7]
    assert several["memory_features"]["opt"][0] == 4


@needs_rtx
def test_a_folder_with_a_tracker_becomes_all_engines(build, run, exported, tmp_path):
    engines = tmp_path / "engines"
    build("--onnx", exported("hf", "video_a"), "--output", engines, *RTX, check=True)
    names = {path.name for path in engines.glob("*.engine")}
    graphs = exported("hf", "video_a").glob("*.onnx")
    assert names == {f"{path.stem}.engine" for path in graphs}
    assert len(names) == 10


@needs_rtx
def test_a_graph_that_is_damaged_is_refused_and_nothing_is_left(build, graphs, tmp_path):
    graph = graphs / "detector.text_encoder.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    done = build("--onnx", graph, "--output", tmp_path / "t.engine", *RTX)
    assert done.code == 2
    assert graph.name in done.stderr
    assert not list(tmp_path.glob("t.engine*"))


def save_foreign_graph(path, shape):
    """y = relu(x), as any other program may have written it."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))


@needs_rtx
def test_a_graph_of_another_program_is_built_with_a_warning(build, run, tmp_path):
    save_foreign_graph(tmp_path / "foreign.onnx", ["N", 4])
    output = tmp_path / "f.engine"
    done = build("--onnx", tmp_path / "foreign.onnx", "--output", output, "--max-batch", 3, *RTX)
    assert done.code == 0, done.stderr
    assert "nothing verifies its results" in done.stderr
    manifest = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
    assert manifest["component"] == ""
    assert manifest["verification"] == {"state": "none"}
    one, several = (profile["x"] for profile in manifest["profiles"])
    assert one == {"min": [1, 4], "opt": [1, 4], "max": [1, 4]}
    assert several == {"min": [1, 4], "opt": [3, 4], "max": [3, 4]}
    assert "another program's graph" in run("inspect", output, check=True).stdout


@needs_rtx
@pytest.mark.parametrize(
    ("shape", "option", "message"),
    [([1, 4], "--fp8", "--fp32 or --fp16 only"), ([1, "N"], "--fp16", "only the first axis")],
)
def test_what_a_graph_of_another_program_cannot_have(build, tmp_path, shape, option, message):
    save_foreign_graph(tmp_path / "foreign.onnx", shape)
    output = tmp_path / "f.engine"
    done = build("--onnx", tmp_path / "foreign.onnx", "--output", output, option, *RTX)
    assert done.code == 2
    assert message in done.stderr
    assert not list(tmp_path.glob("f.engine*"))


@needs_rtx
def test_ctrl_c_stops_a_build_and_leaves_nothing_half_written(program, graphs, tmp_path):
    engines = tmp_path / "engines"
    command = [program, "build", "--onnx", graphs, "--output", engines, "--fp16", *RTX]
    folder = Path(rtx.tensorrt_rtx_libs.__file__).parent
    variables = os.environ | {"SAM3TRT_TENSORRT_DIR": str(folder)}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(engines.glob("vision_encoder.engine.json")):  # the first of five
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGINT, errors
    assert "stopped by SIGINT" in errors
    names = sorted(path.name for path in engines.iterdir())
    assert names == ["vision_encoder.engine", "vision_encoder.engine.json"]


def test_without_a_gpu_build_says_what_is_missing(run, tiny_detector_graphs, tmp_path):
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has an NVIDIA GPU")
    done = run("build", "--onnx", tiny_detector_graphs, "--output", tmp_path / "engines", "--fp16")
    assert done.code == 3
    assert "libcuda.so.1" in done.stderr


def test_wrong_options_are_refused(run, tiny_detector_graphs, tmp_path):
    graph = tiny_detector_graphs / "vision_encoder.onnx"
    cases = [
        (("--fp16", "--fp8"), tmp_path / "x.engine", "one of --fp32"),
        (("--compute-capability", "8.9"), tmp_path / "x.engine", "--target rtx"),
        (("--target", "rtx", "--compute-capability", "eight"), tmp_path / "x.engine", "'eight'"),
        ((), tmp_path / "x.plan", ".engine"),
    ]
    for options, output, message in cases:
        done = run("build", "--onnx", graph, "--output", output, *options)
        assert done.code == 2, done.stderr
        assert message in done.stderr
    done = run("build", "--onnx", tmp_path / "none.onnx", "--output", tmp_path / "x.engine")
    assert done.code == 2
    assert "none.onnx" in done.stderr


@needs_rtx
def test_engines_are_not_run_without_what_proves_them(build, run, graphs, tmp_path):
    engines = tmp_path / "engines"
    build("--onnx", graphs, "--output", engines, *RTX, check=True)
    (engines / "vision_encoder.engine.json").unlink()
    picture = Path(__file__).resolve().parents[2] / "test_images/cat.jpg"
    done = run("infer", "--model", engines, "--image", picture, "--text", "red circle")
    assert done.code == 2
    assert "vision_encoder.engine.json is missing" in done.stderr

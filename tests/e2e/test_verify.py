"""Engines that are wrong are refused: damaged graphs stand in for broken engines, on the CPU."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import goldens
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

TEXTS = ("--text", "red circle", "blue square")


@pytest.fixture(scope="module")
def graphs(tiny_detector_graphs):
    return tiny_detector_graphs


@pytest.fixture
def damaged(graphs, tmp_path):
    """damaged(file, change): a copy of the model in which change(arrays, nodes) was applied; arrays
    holds the initialisers by name, nodes the nodes by name."""

    def make(file: str, change) -> Path:
        folder = tmp_path / "damaged"
        shutil.copytree(graphs, folder)
        model = onnx.load(str(folder / file))
        arrays = {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}
        before = {name: array.copy() for name, array in arrays.items()}
        change(arrays, {node.name: node for node in model.graph.node})
        changed = 0
        for tensor in model.graph.initializer:
            if not np.array_equal(arrays[tensor.name], before[tensor.name]):
                tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))
                changed += 1
        assert changed == 1
        onnx.save(model, str(folder / file))
        return folder

    return make


@pytest.fixture
def verify(run, graphs):
    def call(model: Path, *options) -> tuple[int, dict]:
        done = run("verify", "--model", model, "--reference", graphs, *TEXTS, *options, "--json")
        return done.code, json.loads(done.stdout)

    return call


def failing(report: dict) -> set[str]:
    return {entry["output"] for entry in report["outputs"] if entry["verdict"] != "passed"}


def test_the_same_graphs_pass_exactly(verify, graphs):
    code, report = verify(graphs)
    assert code == 0
    assert report["passed"]
    assert {entry["deviation"] for entry in report["outputs"]} == {0}
    assert len(report["outputs"]) == 12
    assert report["result"]["matched"] > 3
    assert report["result"]["lost"] == report["result"]["gained"] == 0


def test_a_wrong_attention_scale_is_refused(verify, damaged):
    def scale_queries(arrays, nodes):
        weight = arrays[nodes["/vision/blocks.2/attn/qkv/matmul"].input[1]]
        weight[:, : weight.shape[1] // 3] *= 1.5

    code, report = verify(damaged("vision_encoder.onnx", scale_queries))
    assert code == 4
    assert failing(report) == {"fpn_feat_0", "fpn_feat_1", "fpn_feat_2"}


def test_a_flipped_rotary_embedding_is_refused(verify, damaged):
    def flip(arrays, _):
        arrays["/vision/rope/global/sin"] *= -1

    code, report = verify(damaged("vision_encoder.onnx", flip))
    assert code == 4
    assert "fpn_feat_2" in failing(report)


def test_a_zeroed_attention_head_is_refused(verify, damaged):
    def zero_head(arrays, nodes):
        arrays[nodes["/vision/blocks.5/attn/proj/matmul"].input[1]][:32] = 0

    code, report = verify(damaged("vision_encoder.onnx", zero_head))
    assert code == 4
    assert "fpn_feat_2" in failing(report)


def test_a_damaged_detector_is_told_apart_from_the_stages_around_it(verify, damaged):
    def scale(arrays, nodes):
        name = next(
            i
            for n in sorted(nodes)
            if n.startswith("/decoder/layers.1/mlp")
            for i in nodes[n].input
            if i in arrays and arrays[i].ndim == 2
        )
        arrays[name] *= 1.3

    code, report = verify(damaged("detector.onnx", scale))
    assert code == 4
    stages = {e["component"] for e in report["outputs"] if e["verdict"] != "passed"}
    assert stages == {"detector"}


def test_numbers_that_are_not_finite_are_refused(verify, damaged):
    def overflow(arrays, nodes):
        arrays[nodes["/vision/blocks.3/mlp/fc1/matmul"].input[1]][0, 0] = np.inf

    code, report = verify(damaged("vision_encoder.onnx", overflow))
    assert code == 4
    assert not any(e["finite"] for e in report["outputs"] if e["component"] == "vision_encoder")
    assert "non-finite" in report["result"]["problems"][0]


def test_lost_instances_are_reported(verify, damaged):
    def never_present(arrays, nodes):
        biases = [name for name in nodes["/presence/mlp/layer2"].input if name in arrays]
        arrays[biases[0]] -= 20

    code, report = verify(damaged("detector.onnx", never_present))
    assert code == 4
    assert report["result"]["lost"] > 3
    assert any("lost" in problem for problem in report["result"]["problems"])


BOOK = goldens.ROOT / "configs/precision/recipes.json"


def test_a_checkpoint_that_rounding_alone_changes_is_judged_by_its_stages(
    run, exported, type_graph, tmp_path
):
    # Random weights, some of whose many finds are decided by the last bits of bfloat16.
    reference = exported("hf", "tiny_c")
    typed = tmp_path / "typed"
    typed.mkdir()
    for graph in reference.glob("*.onnx"):
        type_graph("bf16", graph, typed / graph.name)
    shutil.copy(reference / "detector.tokenizer.json", typed)
    photo = ("--image", goldens.ROOT / "test_images/cat.jpg")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run("verify", "--model", typed, "--reference", reference, *photo, "--json", env=cache)
    report = json.loads(done.stdout)
    assert done.code == 0
    assert report["end_to_end_undecidable"]
    assert report["result"]["problems"]  # which ones depends on the processor
    assert not failing(report)
    empty = json.loads(BOOK.read_text(encoding="utf-8"))
    for variant in empty["precisions"]["bf16"]["variants"]:
        variant["name"] += "_of_another_book"
    (tmp_path / "book.json").write_text(json.dumps(empty), encoding="utf-8")
    model = ("--model", typed, "--reference", reference, *photo, "--json")
    done = run("verify", *model, "--recipes", tmp_path / "book.json", env=cache)
    assert done.code == 4  # how weights were rounded is not known
    assert not json.loads(done.stdout)["end_to_end_undecidable"]
    kept = list((tmp_path / "cache/sam3trt").iterdir())
    assert [path.name for path in kept] == ["reference"]  # no typed graphs are left


def test_the_table_ends_with_the_verdict(run, graphs):
    done = run("verify", "--model", graphs, "--reference", graphs, *TEXTS)
    assert done.code == 0
    assert done.stdout.splitlines()[-1] == "passed"
    assert "fpn_feat_0" in done.stdout


def test_graphs_of_another_checkpoint_are_no_reference(run, graphs, exported):
    done = run("verify", "--model", graphs, "--reference", exported("hf", "tiny_a"))
    assert done.code == 2
    assert "another checkpoint" in done.stderr


def test_graphs_alone_cannot_be_verified(run, graphs):
    done = run("verify", "--model", graphs)
    assert done.code == 2
    assert "--reference" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_verification_at_once_and_leaves_nothing(program, graphs, tmp_path, number):
    command = [program, "verify", "--model", graphs, "--reference", graphs, "--verbose"]
    with subprocess.Popen(
        command,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = iter(process.stderr.readline, "")
        assert any("running the float32 reference" in line for line in lines)
        time.sleep(0.5)  # somewhere in loading or running, which takes many seconds
        assert process.poll() is None
        begin = time.monotonic()
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1]
        seconds = time.monotonic() - begin
    assert process.returncode == -number, errors
    assert seconds < 10
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".tensors"]
    assert not left


def test_a_model_may_be_named_by_its_files(run, graphs):
    files = ("--encoder-engine", graphs / "vision_encoder.onnx")
    files += ("--detector-engine", graphs / "detector.onnx")
    done = run("verify", *files)
    assert done.code == 2
    assert "--reference" in done.stderr
    done = run("verify", *files, "--reference", graphs, *TEXTS, "--json")
    assert done.code == 0
    assert json.loads(done.stdout)["passed"]
    done = run("verify", "--model", graphs, graphs, "--reference", graphs)
    assert done.code == 2
    assert "--published" in done.stderr


def test_nothing_found_on_either_side_is_never_just_passed(run, damaged):
    def never_present(arrays, nodes):
        biases = [name for name in nodes["/presence/mlp/layer2"].input if name in arrays]
        arrays[biases[0]] -= 20

    blind = damaged("detector.onnx", never_present)
    done = run("verify", "--model", blind, "--reference", blind, *TEXTS, "--json")
    assert done.code == 0
    result = json.loads(done.stdout)["result"]
    assert result["verdict"] == "nothing compared"
    assert result["matched"] == 0
    done = run("verify", "--model", blind, "--reference", blind, *TEXTS)
    assert "0 instances compared" in done.stdout
    assert done.stdout.splitlines()[-1] == "passed stage by stage, 0 instances compared"

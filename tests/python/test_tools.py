"""export, build and verify from Python: the program's files and reports, progress, Ctrl-C."""

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import sam3trt

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "models/tiny"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_export_writes_what_the_program_writes(graphs, tmp_path):
    told = []
    written = sam3trt.export(
        CHECKPOINT, tmp_path / "graphs", progress=lambda *news: told.append(news)
    )
    assert files_in(tmp_path / "graphs") == files_in(graphs)
    assert {path.name for path in written} == set(files_in(graphs))
    assert ("detector.onnx", 1.0) in told
    assert all(0 <= done <= 1 for _, done in told)


def test_one_component_is_exported_to_a_file(graphs, tmp_path):
    output = tmp_path / "encoder.onnx"
    assert sam3trt.export(str(CHECKPOINT), str(output), "vision_encoder") == [output]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checkpoint": ROOT / "none"}, "none"),
        ({"component": "head"}, "--component head: unknown"),
        ({"semantics": "other"}, "semantics: expected one of None, 'hf', 'meta'"),
        ({"tokenizer": ROOT / "README.md"}, "README.md"),
    ],
)
def test_wrong_exports_are_refused(tmp_path, arguments, message):
    arguments = {"checkpoint": CHECKPOINT, "output": tmp_path / "graphs"} | arguments
    with pytest.raises(sam3trt.BadInputError, match=message):
        sam3trt.export(**arguments)
    assert not (tmp_path / "graphs").exists()


def test_an_error_in_progress_ends_the_export_and_leaves_nothing(tmp_path):
    def fail(what, done):
        raise LookupError(what)

    with pytest.raises(LookupError, match="onnx"):
        sam3trt.export(CHECKPOINT, tmp_path / "graphs", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_called_in_the_calling_thread(tmp_path):
    threads = set()
    sam3trt.export(
        CHECKPOINT,
        tmp_path / "encoder.onnx",
        "vision_encoder",
        progress=lambda *news: threads.add(threading.get_ident()),
    )
    assert threads == {threading.get_ident()}


def test_verify_gives_the_programs_report(graphs, drawn):
    told = []
    report = sam3trt.verify(
        graphs,
        images=[drawn[0]],
        texts=["red circle"],
        reference=graphs,
        progress=lambda *news: told.append(news),
    )
    assert report["passed"] and report["backend"] == "openvino"
    assert report["outputs"] and report["result"]
    assert told[-1][0] == "reference"


def test_graphs_alone_are_nothing_to_verify(graphs):
    with pytest.raises(sam3trt.BadInputError, match="holds graphs; name the folder of engines"):
        sam3trt.verify(graphs)
    with pytest.raises(TypeError, match="images: expected a list of paths"):
        sam3trt.verify(graphs, images="image.jpg", reference=graphs)


def test_ctrl_c_while_a_message_is_logged_is_not_lost(graphs):
    class Interrupted(logging.Handler):
        def emit(self, record):
            raise KeyboardInterrupt

    logger = logging.getLogger("sam3trt")
    handler, level = Interrupted(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(KeyboardInterrupt):
            sam3trt.verify(graphs, reference=graphs)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_ctrl_c_ends_a_verification_and_python_goes_on(graphs, tmp_path):
    script = """
        import os, signal, sys, threading, time
        import sam3trt
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
        begin = time.perf_counter()
        try:
            while True:
                sam3trt.verify(sys.argv[1], reference=sys.argv[1])
        except KeyboardInterrupt:
            print("interrupted", time.perf_counter() - begin < 60)
        print(sam3trt.Segmenter(sys.argv[1]).backend)
    """
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(graphs)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=180,
        check=False,
    )
    assert done.stdout.split() == ["interrupted", "True", "openvino"], done.stderr


def test_ctrl_c_ends_an_export_and_leaves_nothing(tmp_path):
    def interrupt(what, done):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sam3trt.export(CHECKPOINT, tmp_path / "graphs", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int8"}, "precision: expected 'fp32'"),
        ({"target": "other"}, "target: expected one of"),
        ({"max_batch": 0}, "max_batch: expected 1 to 4096"),
        ({"max_boxes": 5000}, "max_boxes: expected 1 to 4096"),
        ({"optimization_level": 6}, "optimization_level: expected 0 to 5"),
        ({"target": "rtx", "compute_capability": "89"}, "expected something like '8.9'"),
        ({"output": "file.onnx", "onnx": "graph.onnx"}, "a name that ends in .engine"),
    ],
)
def test_wrong_builds_are_refused(graphs, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = {"onnx": graphs, "output": tmp_path / "engines"} | arguments
    with pytest.raises(sam3trt.BadInputError, match=message):
        sam3trt.build(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_build_without_a_gpu_is_unavailable(graphs, tmp_path):
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    with pytest.raises(sam3trt.UnavailableError):
        sam3trt.build(graphs, tmp_path / "engines")
    assert list(tmp_path.iterdir()) == []


def test_an_engine_of_tensorrt_rtx_is_built_from_its_package(graphs, tmp_path):
    if importlib.util.find_spec("tensorrt_rtx_libs") is None:
        pytest.skip("tensorrt-rtx-cu13-libs is not installed here")
    told = []

    def build(**options) -> dict:
        return sam3trt.build(
            graphs / "detector.mask_head.onnx",
            tmp_path / "mask_head.engine",
            target="rtx",
            compute_capability="8.9",
            progress=lambda *news: told.append(news),
            **options,
        )

    report = build()
    assert report["engines"][0]["engine"] == str(tmp_path / "mask_head.engine")
    assert (tmp_path / "mask_head.engine").is_file()
    assert told and told[-1][0] == "mask_head.engine"
    assert not report["engines"][0]["up_to_date"]
    assert build()["engines"][0]["up_to_date"]
    assert not build(force=True)["engines"][0]["up_to_date"]


def test_the_librarys_messages_go_to_logging(tmp_path, caplog):
    with caplog.at_level("INFO", logger="sam3trt"):
        sam3trt.export(CHECKPOINT, tmp_path / "encoder.onnx", "vision_encoder")
    messages = [record.getMessage() for record in caplog.records if record.name == "sam3trt"]
    assert f"writing {tmp_path / 'encoder.onnx'}" in messages


def test_the_command_finds_tensorrt_among_the_packages():
    if importlib.util.find_spec("tensorrt_rtx_libs") is None:
        pytest.skip("tensorrt-rtx-cu13-libs is not installed here")
    command = [Path(sys.executable).parent / "sam3trt", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["TensorRT-RTX"]["ok"]
    assert "site-packages/tensorrt_rtx_libs/" in checks["TensorRT-RTX"]["detail"]


def test_cublaslt_is_found_among_the_packages(tmp_path, monkeypatch):
    places = [tmp_path / name / "nvidia" for name in ("one", "two")]
    for folder in (places[0] / "cublas/lib", places[1] / "cu13/lib", places[1] / "cublas/lib"):
        folder.mkdir(parents=True)
    assert cublaslt_folders_in(places, monkeypatch) == []
    (places[0] / "cublas/lib/libcublasLt.so.12").touch()
    (places[1] / "cu13/lib/libcublasLt.so.13").touch()
    assert cublaslt_folders_in(places, monkeypatch) == [
        places[1] / "cu13/lib",
        places[0] / "cublas/lib",
    ]
    assert cublaslt_folders_in(None, monkeypatch) == []


def cublaslt_folders_in(places, monkeypatch):
    """What is found where the namespace "nvidia" has these folders, or is missing."""
    spec = None if places is None else SimpleNamespace(submodule_search_locations=places)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: spec)
        return sam3trt._tensorrt.cublaslt_folders()

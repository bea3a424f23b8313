"""The frame of the command line: usage errors, configuration files, inspect and doctor."""

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import goldens
import pytest

COMMANDS = [
    "download",
    "export",
    "build",
    "infer",
    "track",
    "serve",
    "triton-repository",
    "verify",
    "bench",
    "inspect",
    "doctor",
]


def assert_usage_error(result, *texts):
    """Exit code 2 and nothing on standard output; `texts` in the message."""
    assert result.code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("sam3trt: error: ")
    for text in texts:
        assert text in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(run, command):
    result = run(command, "--help", check=True)
    assert f"Example:\n  sam3trt {command} " in result.stdout
    for option in ("--config", "--json", "--verbose"):
        assert option in result.stdout


def test_the_program_lists_its_commands_and_its_version(run):
    listing = run("--help", check=True).stdout
    assert all(f"\n  {command} " in listing for command in COMMANDS)
    assert run("--version", check=True).stdout.startswith("sam3trt ")


def test_usage_errors_name_the_nearest_known_name(run):
    assert_usage_error(run(), "no command given")
    assert_usage_error(run("exprt"), "unknown command 'exprt' (did you mean 'export'?)")
    assert_usage_error(run("quux"), "unknown command 'quux'; 'sam3trt --help'")
    assert_usage_error(
        run("infer", "--treshold=3"), "unknown option '--treshold' (did you mean '--threshold'?)"
    )
    assert_usage_error(run("infer", "--image"), "--image", "see 'sam3trt infer --help'")
    assert_usage_error(run("export"), "--checkpoint is required", "see 'sam3trt export --help'")
    assert_usage_error(run("inspect", "a", "b"), "b")
    assert_usage_error(run("doctor", "--config"), "--config")


def test_a_full_standard_output_is_an_error(program):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([program, "doctor"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"writing to standard output failed" in done.stderr


@pytest.fixture
def config(tmp_path):
    """config(text): a configuration file."""

    def write(text: str):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


def test_a_configuration_gives_options_and_flags_win(run, config, tmp_path):
    path = config(f"infer:\n  model: {tmp_path}/from_file\n  text: [cat, dog]\n  threshold: 0.4\n")
    result = run("infer", "--image", "a.png", "--config", path)
    assert_usage_error(result, "from_file")
    result = run("infer", "--image", "a.png", "--config", path, "--model", tmp_path / "from_flag")
    assert_usage_error(result, "from_flag")
    # --encoder-engine excludes --model, so the file's model is not used beside it.
    result = run("infer", "--image", "a.png", f"--config={path}", "--encoder-engine", "e.onnx")
    assert "from_file" not in result.stderr


def test_a_configuration_can_give_required_options(run, config, tmp_path):
    path = config(f"export:\n  checkpoint: {tmp_path}/none\n  component: all\n  output: out\n")
    assert_usage_error(run("export", "--config", path), f"{tmp_path}/none")


def test_the_shipped_configuration_is_valid(run):
    path = goldens.ROOT / "configs/sam3_trt.yaml"
    result = run("doctor", "--config", path)
    assert result.code == 0, result.stderr


def test_all_problems_of_a_configuration_are_listed_with_their_lines(run, config):
    path = config(
        "infer:\n  modl: x\n  threshold: high\n  output: [a, b]\n  verbose: yes\nexprt:\n  a: b\n"
        "download:\n  token: secret\n  timeout: 1.5\n"
    )
    result = run("doctor", "--config", path)
    assert_usage_error(
        result,
        f"{path}:2: unknown key 'modl' of 'infer' (did you mean 'model'?)",
        f"{path}:3: 'threshold': expected a number, found 'high'",
        f"{path}:4: 'output': expected one value, found a list",
        f"{path}:5: 'verbose': expected true or false, found 'yes'",
        f"{path}:6: unknown command 'exprt' (did you mean 'export'?)",
        f"{path}:9: unknown key 'token' of 'download'",
        f"{path}:10: 'timeout': expected a whole number, found '1.5'",
    )


def test_a_value_out_of_range_names_its_line(run, config):
    path = config("infer:\n  text: cat\n  threshold: 7\n")
    assert_usage_error(run("infer", "--image=a", "--config", path), "--threshold", f"({path}:3)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", ":1: expected a map of commands, found a list"),
        ("infer: 3\n", ":1: 'infer': expected a map of options, found a single value"),
        ("infer:\n  text:\n", ":2: 'text': expected a value or a list of values, found nothing"),
        ("infer:\n  text: []\n", "found an empty list"),
        ("infer:\n  text: {a: b}\n", "found a map"),
        ("infer:\n  text: [[a]]\n", ":2: 'text': expected single values in the list"),
        ("infer:\n  text: a\n  text: b\n", ":3: 'text' appears twice"),
        ("? [a]\n: b\n", "expected a name before ':'"),
        ("a: [b\n", "no YAML"),
        ("infer: &x\n  text: *x\n", "found a map"),
        ("[" * 60_000, "no YAML"),
        ("{a: " * 15_000, "no YAML"),
        ("#" * 70_000, "larger than 64 KiB"),
    ],
)
def test_hostile_configurations_are_refused(run, config, text, expected):
    assert_usage_error(run("doctor", "--config", config(text)), expected)


def test_a_missing_configuration_is_named(run, tmp_path):
    assert_usage_error(run("doctor", "--config", tmp_path / "none.yaml"), "none.yaml")
    assert_usage_error(run("doctor", "--config", tmp_path), "cannot be read")


def test_doctor_says_that_the_cpu_path_works(run, tmp_path):
    document = json.loads(run("doctor", "--json", check=True).stdout)
    assert document["ready"] is True
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["OpenVINO (CPU backend)"]["ok"]
    assert not checks["hub token"]["ok"]
    assert "HF_TOKEN" in checks["hub token"]["fix"]
    table = run("doctor", env={"HF_TOKEN": "hf_secret"}, check=True).stdout
    assert "from HF_TOKEN" in table
    assert "hf_secret" not in table


NO_GPU = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")


def fake_tensorrt() -> Path:
    default = goldens.ROOT / "build/tests/libfake_tensorrt.so"
    return Path(os.environ.get("SAM3TRT_FAKE_TENSORRT", default))


@pytest.fixture
def tensorrt(tmp_path):
    """tensorrt(name=version, ...): a folder of libraries that look like TensorRT; dots in names are
    given as underscores."""
    library = fake_tensorrt()

    def make(**versions: int) -> dict[str, str]:
        for name, version in versions.items():
            path = tmp_path / name.replace("_so_", ".so.")
            shutil.copy(library, path)
            path.with_name(f"{path.name}.version").write_text(str(version), encoding="utf-8")
        return {"SAM3TRT_TENSORRT_DIR": str(tmp_path)}

    return make


def doctor(run, env: dict) -> tuple[dict, dict, str]:
    """The checks by name, what is said of engines, and the last line."""
    document = json.loads(run("doctor", "--json", env=env, check=True).stdout)
    text = run("doctor", env=env, check=True).stdout
    return {c["name"]: c for c in document["checks"]}, document["engines"], text.splitlines()[-1]


@NO_GPU
def test_doctor_says_at_its_end_that_engines_need_a_gpu(run, tensorrt):
    checks, engines, last = doctor(run, tensorrt())
    assert not checks["NVIDIA GPU"]["ok"]
    assert "install NVIDIA's driver" in checks["NVIDIA GPU"]["fix"]
    assert not checks["TensorRT"]["ok"]
    assert "SAM3TRT_TENSORRT_DIR names" in checks["TensorRT"]["detail"]
    assert engines["build"] is engines["run"] is engines["build_rtx"] is False
    assert engines["reason"].startswith("NVIDIA GPU: ")
    start = "ready: exports and runs on the CPU; cannot build or run engines (NVIDIA GPU: "
    assert last.startswith(start)


def test_doctor_says_what_a_missing_cublaslt_costs(run, tmp_path):
    env = {"SAM3TRT_CUBLASLT_DIR": str(tmp_path)}
    checks, _, _ = doctor(run, env)
    assert not checks["cuBLASLt"]["ok"]
    assert checks["cuBLASLt"]["detail"].startswith(f"it is not in {tmp_path}")
    assert checks["cuBLASLt"]["fix"].startswith("only makes engines faster: install libcublas-13-0")
    shutil.copy(fake_tensorrt(), tmp_path / "libcublasLt.so.13")
    checks, _, _ = doctor(run, env)
    assert checks["cuBLASLt"]["detail"] == f"{tmp_path}/libcublasLt.so.13 is not cuBLASLt"


@NO_GPU
def test_doctor_names_a_tensorrt_that_is_too_old(run, tensorrt):
    env = tensorrt(libnvinfer_so_10=100300, libnvonnxparser_so_10=100300)
    checks, _, _ = doctor(run, env)
    assert not checks["TensorRT 10"]["ok"]
    assert "is version 10.3.0, older than 10.6.0" in checks["TensorRT 10"]["detail"]
    assert env["SAM3TRT_TENSORRT_DIR"] in checks["TensorRT 10"]["detail"]
    assert "install libnvinfer10" in checks["TensorRT 10"]["fix"]


@NO_GPU
def test_doctor_names_a_missing_parser(run, tensorrt):
    checks, _, _ = doctor(run, tensorrt(libnvinfer_so_10=100600))
    assert checks["TensorRT 10"]["ok"]
    assert not checks["TensorRT 10 builder"]["ok"]
    assert "libnvonnxparser.so.10 is not in" in checks["TensorRT 10 builder"]["detail"]


@NO_GPU
def test_doctor_says_that_engines_of_tensorrt_rtx_can_be_built(run, tensorrt):
    libraries = {"libtensorrt_rtx_so_1": 10701, "libtensorrt_onnxparser_rtx_so_1": 10701}
    _, engines, last = doctor(run, tensorrt(**libraries))
    assert engines["build_rtx"] is True
    assert last.endswith("; builds engines for TensorRT-RTX")


def test_an_old_tensorrt_is_refused_before_it_is_used(run, tensorrt, exported, tmp_path):
    libraries = {"libtensorrt_rtx_so_1": 10600, "libtensorrt_onnxparser_rtx_so_1": 10600}
    graph = exported("hf", "tiny_a") / "detector.mask_head.onnx"
    options = ("--target", "rtx", "--compute-capability", "8.9", "--output", tmp_path / "x.engine")
    result = run("build", "--onnx", graph, *options, env=tensorrt(**libraries))
    assert result.code == 3
    assert "is version 1.6.0, older than 1.7.0, the oldest that is supported" in result.stderr


@pytest.mark.parametrize(("semantics", "format_name"), [("hf", "safetensors"), ("meta", "torch")])
def test_inspect_describes_a_checkpoint(run, checkpoint, semantics, format_name):
    folder = checkpoint(semantics, "tiny_a")
    path = folder / "sam3.pt" if semantics == "meta" else folder
    document = json.loads(run("inspect", path, "--json", check=True).stdout)
    assert document["kind"] == "checkpoint"
    assert format_name in document["format"]
    assert document["problem"] is None
    assert document["config"]["vision_encoder"]["image_size"] == 168
    assert document["config"]["semantics"] == semantics
    parts = document["parts"].values()
    for total in ("tensors", "parameters", "bytes"):
        assert sum(part[total] for part in parts) == document[total] > 0
    text = run("inspect", path, "--tensors", check=True).stdout
    assert "complete SAM 3 image model" in text
    assert text.count("\n") > document["tensors"]


def test_inspect_describes_any_safetensors_file(run, tmp_path):
    header = json.dumps({"a.b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "other.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    document = json.loads(run("inspect", path, "--json", check=True).stdout)
    assert document["dtypes"] == {"f32": {"tensors": 1, "parameters": 2, "bytes": 8}}
    assert document["config"] is None
    assert document["problem"]


def test_inspect_describes_a_graph(run, exported):
    path = exported("hf", "tiny_a") / "vision_encoder.onnx"
    document = json.loads(run("inspect", path, "--json", check=True).stdout)
    assert document["kind"] == "graph"
    assert document["metadata"]["sam3trt.component"] == "vision_encoder"
    assert document["metadata"]["sam3trt.config"]["image_size"] == 168
    assert document["inputs"] == [
        {"name": "pixel_values", "dtype": "f32", "shape": [-1, 3, 168, 168]}
    ]
    assert sum(document["operators"].values()) == document["nodes"]
    assert "vision_encoder" in run("inspect", path, check=True).stdout


def test_inspect_refuses_what_it_does_not_know(run, tmp_path):
    assert_usage_error(run("inspect", tmp_path / "none"), "there is no such file or folder")
    (tmp_path / "text").write_text("hello")
    assert_usage_error(run("inspect", tmp_path / "text"), "expected a checkpoint folder")
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 100)
    assert_usage_error(run("inspect", tmp_path / "bad.onnx"), "bad.onnx")
    assert_usage_error(run("inspect", tmp_path), str(tmp_path))
    (tmp_path / "x.engine").write_bytes(b"engine")
    assert_usage_error(run("inspect", tmp_path / "x.engine"), "x.engine.json is missing")

"""`sam3trt triton-repository` as a user meets it: the files, what is kept, bad input."""

import ast
import json
import re

import pytest
import run_server

DETECTS = ["sam3/1/model.py", "sam3/1/sam3trt_triton.py", "sam3/config.pbtxt"]
TRACKS = [name.replace("sam3/", "sam3_video/") for name in DETECTS]


def files_of(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in paths)


def parse(text: str) -> dict:
    """Protobuf's text format as far as it is used: each field is a list of its values."""
    text = re.sub(r"(\"(?:[^\"\\]|\\.)*\")|#[^\n]*", lambda match: match[1] or "", text)
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][\w]*|-?[\d.]+|[{}\[\]:,]', text)
    assert "".join(tokens) == re.sub(r'("(?:[^"\\]|\\.)*")|\s', lambda match: match[1] or "", text)
    fields, rest = message(tokens)
    assert rest == []
    return fields


def message(tokens: list[str]) -> tuple[dict, list[str]]:
    fields: dict[str, list] = {}
    while tokens and tokens[0] != "}":
        name, *tokens = tokens
        assert re.fullmatch(r"\w+", name), name
        if tokens[0] == ":":
            tokens = tokens[1:]
        values, tokens = value(tokens)
        fields.setdefault(name, []).extend(values)
        if tokens and tokens[0] == ",":
            tokens = tokens[1:]
    return fields, tokens


def value(tokens: list[str]) -> tuple[list, list[str]]:
    first, *tokens = tokens
    if first == "{":
        fields, tokens = message(tokens)
        assert tokens[0] == "}"
        return [fields], tokens[1:]
    if first == "[":
        values = []
        while tokens[0] != "]":
            some, tokens = value(tokens)
            values += some
            assert tokens[0] in (",", "]")
            if tokens[0] == ",":
                tokens = tokens[1:]
        return values, tokens[1:]
    assert first not in "]}:,"
    return [ast.literal_eval(first) if first[0] in '"-0123456789' else first], tokens


@pytest.fixture
def write(run, tmp_path):
    """write(model, *arguments): the repository that was written, or is not, in tmp_path."""

    def call(model, *arguments, **options):
        output = tmp_path / "repository"
        return output, run(
            "triton-repository", "--model", model, "--output", output, *arguments, **options
        )

    return call


def parameters_of(config: dict) -> dict:
    return {one["key"][0]: one["value"][0]["string_value"][0] for one in config["parameters"]}


def test_a_model_that_detects_is_one_model_for_triton(write, tiny_detector_graphs):
    output, result = write(tiny_detector_graphs, check=True)
    assert files_of(output) == DETECTS
    assert sorted(result.stdout.split()) == [str(output / name) for name in DETECTS]
    config = parse((output / "sam3/config.pbtxt").read_text(encoding="utf-8"))
    assert (config["name"], config["backend"]) == (["sam3"], ["python"])
    assert config["instance_group"] == [{"count": [1], "kind": ["KIND_CPU"]}]
    assert parameters_of(config) == {
        "model": str(tiny_detector_graphs),
        "allow_unverified": "false",
    }


def test_a_model_that_tracks_is_two(write, exported):
    output, result = write(exported("hf", "video_a"), "--json", check=True)
    assert files_of(output) == sorted(DETECTS + TRACKS)
    paths = [file["path"] for file in json.loads(result.stdout)["files"]]
    assert sorted(paths) == [str(output / name) for name in sorted(DETECTS + TRACKS)]
    config = parse((output / "sam3_video/config.pbtxt").read_text(encoding="utf-8"))
    assert config["name"] == ["sam3_video"]
    assert list(config["sequence_batching"][0]) == ["max_sequence_idle_microseconds", "oldest"]


def test_the_own_backend_needs_no_python(write, exported):
    output, _ = write(exported("hf", "video_a"), "--backend", "sam3trt", check=True)
    assert files_of(output) == ["sam3/config.pbtxt", "sam3_video/config.pbtxt"]
    # Triton asks for the folder of a version.
    assert (output / "sam3/1").is_dir() and (output / "sam3_video/1").is_dir()
    for name in ("sam3", "sam3_video"):
        config = parse((output / name / "config.pbtxt").read_text(encoding="utf-8"))
        assert config["backend"] == ["sam3trt"]


def test_the_python_is_valid(write, exported):
    output, _ = write(exported("hf", "video_a"), check=True)
    for path in output.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_tensors_are_those_of_the_server(write, program, tiny_detector_graphs):
    output, _ = write(tiny_detector_graphs, check=True)
    config = parse((output / "sam3/config.pbtxt").read_text(encoding="utf-8"))
    with run_server.serve(program, tiny_detector_graphs) as server:
        metadata = server.get("/v2/models/sam3").json
    for fields, known in [("input", "inputs"), ("output", "outputs")]:
        found = [
            {
                "name": one["name"][0],
                "datatype": one["data_type"][0].removeprefix("TYPE_").replace("STRING", "BYTES"),
                "shape": one["dims"],
            }
            for one in config[fields]
        ]
        assert found == metadata[known]
    # What is optional can be left out; the image cannot.
    assert [one["name"][0] for one in config["input"] if "optional" not in one] == ["image"]
    # Triton would take the first dimension of every tensor for that of a batch.
    assert config["max_batch_size"] == [0]


def test_the_model_may_be_elsewhere_on_the_server(write, tiny_detector_graphs):
    output, _ = write(tiny_detector_graphs, "--model-on-server", "/models/a b", check=True)
    config = parse((output / "sam3/config.pbtxt").read_text(encoding="utf-8"))
    assert parameters_of(config)["model"] == "/models/a b"


def test_it_is_written_again_but_not_over_changes(write, tiny_detector_graphs):
    output, _ = write(tiny_detector_graphs, check=True)
    write(tiny_detector_graphs, "--model-on-server", "/elsewhere", check=True)
    config = output / "sam3/config.pbtxt"
    assert "/elsewhere" in config.read_text(encoding="utf-8")
    changed = config.read_text(encoding="utf-8").replace("256", "16")
    config.write_text(changed, encoding="utf-8")
    _, result = write(tiny_detector_graphs)
    assert result.code == 2
    assert f"{config}: was not written by" in result.stderr
    assert config.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("model", ["missing", "empty", "file"])
def test_what_is_not_a_model_is_refused(write, tmp_path, model):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    output, result = write(tmp_path / model)
    assert result.code == 2
    assert result.stderr.startswith("sam3trt: error: ")
    assert str(tmp_path / model) in result.stderr
    assert not output.exists()


def test_an_output_that_is_a_file_is_refused(write, tiny_detector_graphs, tmp_path):
    (tmp_path / "repository").write_text("mine", encoding="utf-8")
    output, result = write(tiny_detector_graphs)
    assert result.code == 2
    assert str(output) in result.stderr
    assert output.read_text(encoding="utf-8") == "mine"

"""`sam3trt export` and `inspect` on checkpoints as people who train them leave them."""

import json
import pickle
import shutil
import zipfile

import numpy as np
import onnx
import pytest
import tiny_detector
from tiny_detector import TINY, files, write_safetensors

POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 3439938512\n"
)


@pytest.fixture(scope="module")
def hf():
    """The detector alone, by the names of Sam3Model."""
    return tiny_detector.tensors()


@pytest.fixture(scope="module")
def meta(hf):
    return files.hf_to_meta(hf, tiny_detector.config())


@pytest.fixture
def folder(tmp_path):
    """folder(tensors): a Hugging Face folder of models/tiny with these weights."""

    def make(tensors=None):
        path = tmp_path / "model"
        path.mkdir()
        tiny_detector.write_files(path)
        if tensors is not None:
            write_safetensors(path / "model.safetensors", tensors)
        return path

    return make


@pytest.fixture
def torch_file(tmp_path):
    def make(tensors, name="x.pt"):
        files.write_torch_zip(tmp_path / name, tensors)
        return tmp_path / name

    return make


@pytest.fixture
def try_export(run, tmp_path):
    """try_export(checkpoint): a run that writes the graph of the mask head to tmp_path/out."""

    def call(checkpoint, *arguments, component="mask_head", **options):
        output = tmp_path / "out" / "graph.onnx"
        return run(
            *("export", "--checkpoint", checkpoint, "--component", component, "--output", output),
            *arguments,
            **options,
        )

    return call


def weights_of(path):
    model = onnx.load(path)
    return {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.fixture(scope="module")
def expected(program, tmp_path_factory):
    """The weights of models/tiny's mask head, exported from the checkpoint itself."""
    import subprocess

    path = tmp_path_factory.mktemp("expected") / "graph.onnx"
    arguments = ["export", "--checkpoint", TINY, "--component", "mask_head", "--output", path]
    subprocess.run([program, *arguments], check=True, capture_output=True)
    return weights_of(path)


def assert_exported(result, tmp_path, expected):
    assert result.code == 0, result.stderr
    found = weights_of(tmp_path / "out/graph.onnx")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def assert_refused(result, tmp_path, *words):
    """One error of one screen that says all of this, and nothing was written."""
    assert result.code == 2, result.stderr
    assert len(result.stderr.splitlines()) <= 26
    for word in words:
        assert word in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.model.", "_orig_mod.module."]
)
def test_wrapped_names_load_in_both_formats(
    hf, meta, folder, torch_file, try_export, tmp_path, expected, prefix
):
    wrapped = torch_file({prefix + name: values for name, values in meta.items()})
    assert_exported(try_export(wrapped), tmp_path, expected)
    shutil.rmtree(tmp_path / "out")
    wrapped = folder({prefix + name: values for name, values in hf.items()})
    assert_exported(try_export(wrapped), tmp_path, expected)


def test_real_rotation_tables_and_double_precision_load(
    meta, torch_file, try_export, tmp_path, expected
):
    tensors = {}
    for name, values in meta.items():
        if name.endswith(".attn.freqs_cis"):
            tensors[name + "_real"] = np.ascontiguousarray(values.real)
            tensors[name + "_imag"] = np.ascontiguousarray(values.imag)
        tensors[name] = values.astype(np.float64) if values.dtype.kind == "f" else values
    assert_exported(try_export(torch_file(tensors)), tmp_path, expected)


def test_a_copy_of_averaged_weights_is_left_and_it_is_said(
    hf, folder, try_export, tmp_path, expected
):
    both = {"model." + name: values for name, values in hf.items()}
    both |= {"model_ema." + name: values * 2 for name, values in hf.items()}
    result = try_export(folder(both))
    assert_exported(result, tmp_path, expected)
    assert 'the one under "model." is taken, not "model_ema."' in result.stderr


def test_weights_that_are_not_finite_are_refused_and_named(hf, folder, run, tmp_path):
    broken = dict(hf)
    name = "detr_decoder.layers.2.mlp.fc1.weight"
    broken[name] = np.full_like(broken[name], np.nan)
    other = "text_projection.bias"
    broken[other] = broken[other].copy()
    broken[other][3] = -np.inf
    path = folder(broken)
    output = tmp_path / "out"
    result = run("export", "--checkpoint", path, "--component", "all", "--output", output)
    count = broken[name].size
    line = f"{name}: {count} of {count} values, the first at index 0"
    assert_refused(result, tmp_path, "2 with NaN or infinity", line, f"{other}: 1 of ", "index 3")

    result = run("inspect", path)
    assert result.code == 0
    assert "weights with NaN or infinity, for which 'sam3trt export' refuses it: 2" in result.stdout
    assert name in result.stdout
    document = json.loads(run("inspect", path, "--json", check=True).stdout)
    assert {
        "name": other,
        "shape": list(hf[other].shape),
        "count": 1,
        "first_index": 3,
    } in document["non_finite_weights"]
    document = json.loads(run("inspect", TINY, "--json", check=True).stdout)
    assert document["non_finite_weights"] == []


def test_a_double_beyond_float_is_not_finite_either(hf, folder, try_export, tmp_path):
    wide = {name: v.astype(np.float64) if v.dtype.kind == "f" else v for name, v in hf.items()}
    wide["text_projection.bias"][1] = 1e39
    assert_refused(try_export(folder(wide)), tmp_path, "text_projection.bias: 1 of ", "index 1")


def test_many_broken_weights_stay_one_screen(hf, folder, try_export, tmp_path):
    broken = {name: v * np.float32(np.nan) if v.dtype.kind == "f" else v for name, v in hf.items()}
    assert_refused(try_export(folder(broken)), tmp_path, "with NaN or infinity", "more")


def test_a_model_without_mask_head_is_named(meta, hf, folder, torch_file, try_export, tmp_path):
    boxes = {name: v for name, v in meta.items() if "segmentation_head." not in name}
    words = ("has no mask head (segmentation_head.*)", "enable_segmentation: False")
    assert_refused(try_export(torch_file(boxes)), tmp_path, *words)
    boxes = {name: v for name, v in hf.items() if not name.startswith("mask_decoder.")}
    assert_refused(try_export(folder(boxes)), tmp_path, "has no mask head (mask_decoder.*)")


def test_adapters_are_named(hf, folder, try_export, tmp_path):
    some = hf["detr_decoder.layers.0.mlp.fc1.weight"]
    path = folder()
    name = "base_model.model.detr_decoder.layers.0.mlp.fc1.lora_"
    write_safetensors(
        path / "adapter_model.safetensors",
        {name + "A.weight": some[:2], name + "B.weight": some[:, :2]},
    )
    words = ("LoRA", "merge_and_unload()")
    assert_refused(try_export(path / "adapter_model.safetensors"), tmp_path, *words)
    (path / "adapter_config.json").write_text("{}")
    assert_refused(try_export(path), tmp_path, "adapter_config.json", *words)


def test_quantised_weights_are_named(hf, folder, try_export, tmp_path):
    tensors = dict(hf)
    name = "detr_decoder.layers.0.mlp.fc1.weight"
    tensors[name] = np.zeros(hf[name].shape, np.int8)
    tensors[name.removesuffix("weight") + "SCB"] = np.zeros(hf[name].shape[0], np.float32)
    assert_refused(try_export(folder(tensors)), tmp_path, "holds quantised weights", "fc1.SCB")


def test_what_stands_in_place_of_a_file_is_named(folder, try_export, tmp_path):
    path = folder()
    weights = path / "model.safetensors"
    cases = {
        POINTER: ("is a Git LFS pointer", "git lfs pull", "sam3trt download"),
        "<!DOCTYPE html><html><body>Sign in": ("is a web page",),
        '{"error":"Access to model facebook/sam3 is restricted"}': ("is restricted",),
        "": ("is empty",),
    }
    for content, words in cases.items():
        weights.write_text(content)
        assert_refused(try_export(path), tmp_path, str(weights), *words)
    shutil.copy(TINY / "model.safetensors", weights)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        good = (path / name).read_bytes()
        for content, words in cases.items():
            (path / name).write_text(content)
            result = try_export(path, component="detector")
            assert_refused(result, tmp_path, str(path / name), words[0])
        (path / name).write_bytes(good)


def test_programs_and_pickled_modules_are_named(torch_file, meta, try_export, tmp_path):
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("script/data.pkl", "x")
        archive.writestr("script/code/__torch__/model.py", "x" * 99, zipfile.ZIP_DEFLATED)
        archive.writestr("script/constants.pkl", "x")
    assert_refused(try_export(path), tmp_path, "is a TorchScript archive")
    path = tmp_path / "module.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02csam3.model.sam3_image\nSam3Image\nq\x00)\x81}b.")
    assert_refused(try_export(path), tmp_path, "Sam3Image", "whole pickled model", "state_dict()")
    path.write_bytes(pickle.dumps({"a": 1}, protocol=4))
    assert_refused(try_export(path), tmp_path, "torch.save(model.state_dict(), FILE)")


def test_other_products_are_named(tiny_graphs, try_export, tmp_path):
    assert_refused(try_export(tiny_graphs / "mask_head.onnx"), tmp_path, "cannot be opened")
    graph = tiny_graphs / "vision_encoder.onnx"
    assert_refused(try_export(graph), tmp_path, "is an ONNX graph")
    (tmp_path / "x.engine").write_bytes(b"ftrt" + bytes(100))
    assert_refused(try_export(tmp_path / "x.engine"), tmp_path, "is a TensorRT engine")


def test_long_lists_of_names_stay_one_screen(hf, folder, try_export, tmp_path):
    strange = {"x." + n if n.startswith("detr_") else n: v for n, v in hf.items()}
    result = try_export(folder(strange))
    assert_refused(result, tmp_path, "missing", "unknown", "... and ", "more")
    assert "unmodified" not in result.stderr


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"resample": 3}, "resample: 3 (bicubic) is not supported"),
        ({"do_resize": False}, "do_resize: false is not supported"),
        ({"do_center_crop": True, "crop_size": {"height": 9, "width": 9}}, "do_center_crop"),
        ({"size": {"height": 512, "width": 512}}, "size.height: expected the model's image_size"),
        ({"size": {"longest_edge": 336}}, "size.longest_edge"),
    ],
)
def test_preprocessing_that_is_not_reproduced_is_refused(
    hf, folder, try_export, tmp_path, change, word
):
    path = folder(hf)
    config = json.loads((path / "preprocessor_config.json").read_text()) | change
    (path / "preprocessor_config.json").write_text(json.dumps(config))
    assert_refused(try_export(path), tmp_path, "preprocessor_config.json", word)


def test_a_training_checkpoint_with_its_optimizer_loads(
    meta, torch_file, try_export, tmp_path, expected
):
    # What torch.save writes for {"model": state dict, "optimizer": ..., "epoch": 3}.
    path = torch_file(meta)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    state = entries[name]
    begin = 2 if state[0] == 0x80 else 0
    epoch = b"X\x05\x00\x00\x00epochK\x03s"
    optimizer = b"X\x09\x00\x00\x00optimizer}X\x0c\x00\x00\x00param_groups]ss"
    model = b"X\x05\x00\x00\x00model" + state[begin:].removesuffix(b".") + b"s"
    entries[name] = b"\x80\x02}" + epoch + optimizer + model + b"."
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    assert_exported(try_export(path), tmp_path, expected)

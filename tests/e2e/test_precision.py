"""Typed graphs: valid, as exact as their types allow, and accepted by NVIDIA's compiler.

SAM3TRT_TYPE_GRAPH names the program that types graphs; the default is build/tests/type_graph.
"""

import json
import subprocess
import sys
from pathlib import Path

import fused_attention
import goldens
import graphs
import numpy as np
import onnx
import onnxruntime
import pytest
import rounding
import rtx
from conftest import REFERENCES
from onnx import TensorProto
from PIL import Image

# Largest 1 - cosine of any output against float32, four prompts through all five graphs. Measured
# on the five references: fp16 4.6e-6 and bf16 2.7e-4 (pred_masks of tiny_c), fp8 8.6e-3
# (semantic_seg of tiny_a). The weights are random; each limit is about three times the measure.
LIMITS = {"fp16": 1.4e-5, "bf16": 8e-4, "fp8": 2.5e-2}
OUTPUTS = (
    "fpn_feat_0",
    "fpn_feat_1",
    "fpn_feat_2",
    "geometry_features",
    "encoder_hidden_states",
    "query_features",
    "pred_boxes",
    "pred_logits",
    "presence_logits",
    "pred_masks",
    "semantic_seg",
)
SAFER = (
    "fp16_tf32_decoder",
    "fp16_fp32_decoder",
    "fp16_trt_attention",
    "fp16_fp32_residual",
    "fp16_fp32_softmax",
    "fp16_fp32_attention",
    "fp16_fp32_blocks",
    "bf16_fp32_decoder",
    "bf16_trt_attention",
    "bf16_fp32_softmax",
    "bf16_fp32_blocks",
)
FP8 = ("fp8", "fp8_fp16_early_qkv", "fp8_fp16_qkv", "fp8_mlp", "fp8_fc1")
TINY = goldens.ROOT / "models/tiny"


class RoundedGraphs(graphs.Graphs):
    """The five graphs of a folder with the roundings of their types."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.sessions = {
            name: onnxruntime.InferenceSession(
                rounding.with_roundings(folder / file).SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
            )
            for name, file in graphs.FILES.items()
        }


@pytest.fixture(scope="session")
def calibration(exported, type_graph, tmp_path_factory):
    """calibration(semantics, name): the file with the maxima over the reference's photographs."""
    made = {}

    def make(semantics: str, name: str) -> Path:
        if (semantics, name) in made:
            return made[semantics, name]
        data = goldens.Goldens(semantics, name)
        folder = tmp_path_factory.mktemp(f"calibration_{semantics}_{name}")
        source = folder / "vision_encoder.onnx"
        source.write_bytes((exported(semantics, name) / source.name).read_bytes())
        measured = folder / "measured"
        measured.mkdir()
        type_graph("--calibrate", "fp8", source, measured / "calibrate.onnx")
        session = onnxruntime.InferenceSession(
            str(measured / "calibrate.onnx"), providers=["CPUExecutionProvider"]
        )
        path = Path(f"{source}.calibration.json")
        document = json.loads(path.read_text(encoding="utf-8"))
        outputs = [value.name for value in session.get_outputs() if value.name.endswith("/amax")]
        runs = [
            session.run(outputs, {"pixel_values": data.pixel_values(image)})
            for image in sorted({prompt.image for prompt in data.prompts()})
        ]
        largest = np.array(runs, np.float64).max(axis=0)
        keys = [output.removesuffix("/amax") for output in outputs]
        document |= {"runs": len(runs), "amax": dict(zip(keys, largest.tolist()))}
        path.write_text(json.dumps(document), encoding="utf-8")
        made[semantics, name] = path
        return path

    return make


@pytest.fixture(scope="session")
def typed(exported, type_graph, calibration, tmp_path_factory):
    """typed(semantics, name, recipe): the folder of the typed graphs and a report for each."""
    made = {}

    def make(semantics: str, name: str, recipe: str) -> tuple[Path, dict]:
        key = (semantics, name, recipe)
        if key not in made:
            source = exported(semantics, name)
            folder = tmp_path_factory.mktemp("_".join(key))
            reports = {}
            for component, file in graphs.FILES.items():
                arguments = [recipe, source / file, folder / file]
                if recipe in FP8 and component == "vision_encoder":
                    arguments.append(calibration(semantics, name))
                reports[component] = type_graph(*arguments)
            made[key] = folder, reports
        return made[key]

    return make


@pytest.fixture(scope="session")
def float32(exported):
    """float32(semantics, name): prompts of the reference, and all tensors in float32."""
    made = {}

    def run(semantics: str, name: str) -> tuple:
        if (semantics, name) not in made:
            data = goldens.Goldens(semantics, name)
            prompts = data.prompts()[:4]
            images = sorted({prompt.image for prompt in prompts})
            slots = max(1, *(len(prompt.boxes) for prompt in prompts))
            arguments = (data, prompts, images, slots)
            chain = graphs.Graphs(exported(semantics, name))
            made[semantics, name] = arguments, chain.run_prompts(*arguments)
        return made[semantics, name]

    return run


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """1 - cosine."""
    a, b = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))


def distances(folder: Path, reference: tuple) -> dict[str, float]:
    arguments, expected = reference
    found = RoundedGraphs(folder).run_prompts(*arguments)
    return {name: distance(found[name], expected[name]) for name in OUTPUTS}


@pytest.mark.parametrize("recipe", ["fp16", "bf16", "fp8"])
@pytest.mark.parametrize("semantics, name", REFERENCES)
def test_outputs_stay_as_close_to_float32_as_the_type_allows(
    typed, float32, semantics, name, recipe
):
    found = distances(typed(semantics, name, recipe)[0], float32(semantics, name))
    wrong = {key: value for key, value in found.items() if not value < LIMITS[recipe]}
    assert not wrong


@pytest.mark.parametrize("recipe", SAFER + FP8[1:])
def test_safer_recipes_are_no_worse_than_the_default(typed, float32, recipe):
    """The vision features; later stages add noise of their own to the comparison."""
    default = recipe.split("_")[0]
    reference = float32("hf", "tiny_a")
    found = distances(typed("hf", "tiny_a", recipe)[0], reference)
    limit = distances(typed("hf", "tiny_a", default)[0], reference)
    for level in ("fpn_feat_0", "fpn_feat_1", "fpn_feat_2"):
        assert found[level] < 1.05 * limit[level], level


def test_fp32_is_exact(typed, float32):
    arguments, expected = float32("hf", "tiny_a")
    found = graphs.Graphs(typed("hf", "tiny_a", "fp32")[0]).run_prompts(*arguments)
    for name in OUTPUTS:
        np.testing.assert_array_equal(found[name], expected[name])


def test_a_wrong_calibration_shows(typed, float32, type_graph, calibration, exported, tmp_path):
    """A quarter of the true maxima saturates: the distance must leave the limit."""
    source = calibration("hf", "tiny_a")
    document = json.loads(source.read_text(encoding="utf-8"))
    document["amax"] = {key: value / 4 for key, value in document["amax"].items()}
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(document), encoding="utf-8")
    for file in graphs.FILES.values():
        (tmp_path / file).write_bytes((typed("hf", "tiny_a", "fp8")[0] / file).read_bytes())
    file = graphs.FILES["vision_encoder"]
    type_graph("fp8", exported("hf", "tiny_a") / file, tmp_path / file, wrong)
    assert distances(tmp_path, float32("hf", "tiny_a"))["fpn_feat_2"] > LIMITS["fp8"]


@pytest.mark.parametrize("recipe", ["fp16", "bf16", "fp8"])
@pytest.mark.parametrize("semantics, name", REFERENCES)
def test_every_rule_of_a_default_recipe_is_used(typed, semantics, name, recipe):
    _, reports = typed(semantics, name, recipe)
    assert {key: report["unused"] for key, report in reports.items()} == {
        key: [] for key in reports
    }


@pytest.mark.parametrize("recipe", ["fp32", "fp16", "bf16", *SAFER, *FP8])
def test_typed_graphs_pass_the_onnx_checker(typed, recipe):
    folder, _ = typed("hf", "tiny_a", recipe)
    for file in graphs.FILES.values():
        onnx.checker.check_model(str(folder / file), full_check=True)


@pytest.mark.parametrize("recipe", ["fp16", "bf16", "fp8"])
def test_no_float32_stands_between_the_products_of_an_attention(typed, recipe):
    """TensorRT fuses MatMul, Softmax, MatMul only when all of them have one 16-bit type."""
    folder, _ = typed("hf", "tiny_a", recipe)
    for component, count in (("vision_encoder", 4), ("detector", 13), ("mask_head", 1)):
        model = onnx.load(str(folder / graphs.FILES[component]))
        makers = {output: node for node in model.graph.node for output in node.output}
        softmaxes = [node for node in model.graph.node if node.op_type == "Softmax"]
        assert len(softmaxes) == count
        for node in softmaxes:
            scores = makers[node.input[0]]
            if scores.op_type == "Add":
                scores = makers[scores.input[0]]
            (mix,) = [user for user in model.graph.node if node.output[0] in user.input]
            assert (scores.op_type, mix.op_type) == ("MatMul", "MatMul"), node.name


@pytest.mark.skipif(rtx.trt is None, reason=rtx.REASON)
class TestTensorRtRtx:
    @pytest.mark.parametrize("file", graphs.FILES.values())
    @pytest.mark.parametrize("recipe", ["fp16", "bf16"])
    @pytest.mark.parametrize("semantics, name", REFERENCES[:3])
    def test_compiles_typed_graphs(self, typed, semantics, name, recipe, file):
        assert rtx.compile_graph(typed(semantics, name, recipe)[0] / file) > 0

    @pytest.mark.parametrize("recipe", FP8)
    @pytest.mark.parametrize("semantics, name", REFERENCES[:3])
    def test_compiles_fp8(self, typed, semantics, name, recipe):
        folder, reports = typed(semantics, name, recipe)
        assert reports["vision_encoder"]["fp8_products"] > 0
        assert rtx.compile_graph(folder / graphs.FILES["vision_encoder"]) > 0

    @pytest.mark.parametrize("recipe", SAFER)
    def test_compiles_safer_recipes(self, typed, recipe):
        folder, _ = typed("hf", "tiny_a", recipe)
        for component in ("vision_encoder", "mask_head"):
            assert rtx.compile_graph(folder / graphs.FILES[component]) > 0

    def test_refuses_a_graph_that_lacks_a_cast(self, typed, tmp_path):
        model = onnx.load(str(typed("hf", "tiny_a", "fp16")[0] / graphs.FILES["vision_encoder"]))
        cast = next(
            node for node in model.graph.node if node.name == "/vision/blocks.0/norm1/to_f16"
        )
        for node in model.graph.node:
            node.input[:] = [
                cast.input[0] if name == cast.output[0] else name for name in node.input
            ]
        model.graph.node.remove(cast)
        onnx.save(model, str(tmp_path / "broken.onnx"))
        with pytest.raises(rtx.CompileError):
            rtx.compile_graph(tmp_path / "broken.onnx")


def run_rounded(model, inputs):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def narrow_type(recipe):
    return TensorProto.BFLOAT16 if recipe.startswith("bf16") else TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("name", "recipe", "limit"),
    # Measured 6.0e-7, 2.8e-7 and 2.3e-5: the kernel rounds less than separate operators do.
    [("tiny_a", "fp16", 2e-6), ("tiny_b", "fp16", 2e-6), ("tiny_a", "bf16", 7e-5)],
)
def test_the_fused_attention_stands_for_the_operators_it_replaces(
    exported, type_graph, typed, tmp_path, name, recipe, limit
):
    file = graphs.FILES["vision_encoder"]
    report = type_graph("--fused", recipe, exported("hf", name) / file, tmp_path / file)
    fused = onnx.load(tmp_path / file)
    folder, plain_report = typed("hf", name, recipe)
    plain = onnx.load(folder / file)
    attentions = sum(node.op_type == "Softmax" for node in plain.graph.node)
    assert len(fused_attention.nodes(fused, fused_attention.ROTARY)) == attentions > 0
    assert (
        report["low_attentions"] == plain_report["vision_encoder"]["low_attentions"] == attentions
    )
    for operator in (fused_attention.PATCHES, fused_attention.WINDOW_MAP):
        assert len(fused_attention.nodes(fused, operator)) == 1
    names = {node.name for node in fused.graph.node}
    replaced = ("/vision/patch_embed", "/vision/to_windows/order", "/vision/from_windows/order")
    assert names.isdisjoint(replaced)
    assert report["own_operators"] == attentions + 2
    assert plain_report["vision_encoder"]["own_operators"] == 0
    standard = fused_attention.in_standard_operators(fused, narrow_type(recipe))
    onnx.save(standard, tmp_path / "standard.onnx")
    data = goldens.Goldens("hf", name)
    inputs = {"pixel_values": data.pixel_values(data.prompts()[0].image)}
    expected = run_rounded(rounding.with_roundings(folder / file), inputs)
    found = run_rounded(rounding.with_roundings(tmp_path / "standard.onnx"), inputs)
    for a, b in zip(found, expected, strict=True):
        assert distance(a, b) < limit


@pytest.mark.parametrize(
    ("name", "recipe", "of_a_block", "limit"),
    # Measured 7.5e-7 at most in float16, 4.3e-3 in FP8, whose weights have one scale, not one
    # per column. The MLP of tiny_a has a size that cuBLASLt does not take: it stays as it is.
    [
        ("tiny_a", "fp16_products", 2, 2e-6),
        ("tiny_b", "fp16_products", 3, 2e-6),
        ("tiny_b", "fp16_products_erf", 3, 2e-6),
        ("tiny_a", "fp8_products", 2, 1e-2),
        ("tiny_b", "fp8_products", 3, 1e-2),
        ("tiny_b", "fp8_products_fp16_early_qkv", 3, 1e-2),
    ],
)
def test_the_fused_products_stand_for_the_operators_they_replace(
    exported, type_graph, calibration, tmp_path, name, recipe, of_a_block, limit
):
    file = graphs.FILES["vision_encoder"]
    source = exported("hf", name) / file
    scales = [calibration("hf", name)] if recipe.startswith("fp8") else []
    report = type_graph("--fused", recipe, source, tmp_path / "fused.onnx", *scales)
    type_graph(recipe, source, tmp_path / "plain.onnx", *scales)
    fused = onnx.load(tmp_path / "fused.onnx")
    products = [node for node in fused.graph.node if node.op_type in fused_attention.PRODUCTS]
    blocks = len(fused_attention.nodes(fused, fused_attention.ROTARY))
    assert report["own_products"] == len(products) == of_a_block * blocks > 0
    standard = fused_attention.in_standard_operators(fused, TensorProto.FLOAT16)
    onnx.save(standard, tmp_path / "standard.onnx")
    data = goldens.Goldens("hf", name)
    inputs = {"pixel_values": data.pixel_values(data.prompts()[0].image)}
    expected = run_rounded(rounding.with_roundings(tmp_path / "plain.onnx"), inputs)
    found = run_rounded(rounding.with_roundings(tmp_path / "standard.onnx"), inputs)
    for a, b in zip(found, expected, strict=True):
        assert distance(a, b) < limit


@pytest.fixture(scope="session")
def detector_inputs(tiny_graphs, tmp_path_factory) -> dict[str, np.ndarray]:
    """Those of the trained small checkpoint for three texts on two drawn pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    draw = goldens.ROOT / "tools/tiny/draw_demo.py"
    subprocess.run([sys.executable, draw, folder], check=True)
    chain = graphs.Graphs(tiny_graphs)
    meta = chain.sessions["detector"].get_modelmeta().custom_metadata_map
    config = json.loads(meta["sam3trt.config"])
    side, grid, bins = (config[key] for key in ("image_size", "grid", "roi_size"))
    pictures = [
        np.asarray(Image.open(folder / name).resize((side, side)), np.float32) / 127.5 - 1
        for name in ("shapes.png", "shapes_photo.png")
    ]
    vocabulary = json.loads((TINY / "vocab.json").read_text(encoding="utf-8"))
    end = config["eos_token_id"]
    texts = [
        [config["bos_token_id"], *(vocabulary[f"{word}</w>"] for word in text.split()), end]
        for text in ("red circle", "blue square", "star")
    ]
    boxes = goldens.geometry_inputs(np.zeros((0, 4), np.float32), [], 1, grid, bins)
    tensors = {name: np.repeat(values, len(texts), axis=0) for name, values in boxes.items()}
    tensors["pixel_values"] = np.stack(pictures).transpose(0, 3, 1, 2)
    tensors["image_index"] = np.array([0, 1, 1], np.int64)
    tensors["input_ids"] = np.full((len(texts), config["context_length"]), end, np.int64)
    tensors["prompt_mask"] = np.zeros((len(texts), config["context_length"] + 2), np.float32)
    for row, ids in enumerate(texts):
        tensors["input_ids"][row, : len(ids)] = ids
        tensors["prompt_mask"][row, : len(ids)] = 1
    for component in ("vision_encoder", "text_encoder", "geometry_encoder"):
        tensors |= chain.run(component, tensors)
    return {value.name: tensors[value.name] for value in chain.sessions["detector"].get_inputs()}


@pytest.fixture(scope="session")
def typed_detector(tiny_graphs, type_graph, tmp_path_factory):
    """typed_detector(recipe, *options): the trained small checkpoint's detector, and a report."""
    made = {}

    def make(recipe: str, *options: str) -> tuple[Path, dict]:
        key = (recipe, *options)
        if key not in made:
            path = tmp_path_factory.mktemp("typed_detector") / "detector.onnx"
            report = type_graph(*options, recipe, tiny_graphs / graphs.FILES["detector"], path)
            made[key] = path, report
        return made[key]

    return make


def detector_distance(found, expected, inputs, folder) -> float:
    """Largest distance of any output from that of the graph in the file `expected`."""
    onnx.save(found, folder / "found.onnx")
    a = run_rounded(rounding.with_roundings(folder / "found.onnx"), inputs)
    b = run_rounded(rounding.with_roundings(expected), inputs)
    return max(distance(x, y) for x, y in zip(a, b, strict=True))


GRID_ATTENTION = [
    # Recipe; attentions in a narrow type: those to other things, those to the picture when not
    # fused; limit. Measured 7.6e-7, 7.5e-8, 2.6e-5 and 5.4e-6 (query_features).
    ("fp16", 12, 3, 1.5e-6),
    ("fp16_fp32_decoder", 6, 0, 2.3e-7),
    ("bf16", 12, 3, 8e-5),
    ("bf16_fp32_decoder", 6, 0, 1.6e-5),
]


@pytest.mark.parametrize(("recipe", "others", "plain_count", "limit"), GRID_ATTENTION)
def test_the_fused_attention_to_the_picture_stands_for_the_operators_it_replaces(
    typed_detector, detector_inputs, tmp_path, recipe, others, plain_count, limit
):
    path, report = typed_detector(recipe, "--fused")
    plain, plain_report = typed_detector(recipe)
    fused = onnx.load(path)
    config = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
    detector = config["detector_config"]
    layers = detector["detr_decoder_config"]["num_layers"]
    encoder_layers = detector["detr_encoder_config"]["num_layers"]
    assert len(fused_attention.nodes(fused, fused_attention.GRID)) == layers
    assert report["low_attentions"] == others + layers
    assert plain_report["low_attentions"] == others + plain_count
    assert len(fused_attention.nodes(fused, fused_attention.POSITION)) == layers
    assert len(fused_attention.nodes(fused, fused_attention.PLAIN)) == encoder_layers
    # Three a layer; the first layer normalises what comes in, and what was gathered of it.
    norms = len(fused_attention.nodes(fused, fused_attention.RESIDUAL_NORM))
    assert norms == 3 * encoder_layers - 2
    fused_count = 2 * layers + encoder_layers + norms
    assert (report["own_operators"], plain_report["own_operators"]) == (fused_count, 0)
    standard = fused_attention.in_standard_operators(fused, narrow_type(recipe))
    assert detector_distance(standard, plain, detector_inputs, tmp_path) < limit


def test_weights_of_rows_in_the_place_of_those_of_columns_show(
    typed_detector, detector_inputs, tmp_path
):
    path, _ = typed_detector("fp16", "--fused")
    plain, _ = typed_detector("fp16")
    fused = onnx.load(path)
    node = fused_attention.nodes(fused, fused_attention.GRID)[0]
    for row, column in zip(range(4, 8), range(8, 12), strict=True):
        node.input[row], node.input[column] = node.input[column], node.input[row]
    standard = fused_attention.in_standard_operators(fused, TensorProto.FLOAT16)
    # Measured 4.1e-4, one of three layers being wrong: what was learnt for both is alike.
    assert detector_distance(standard, plain, detector_inputs, tmp_path) > 1e-4


@pytest.mark.parametrize("recipe", [row[0] for row in GRID_ATTENTION])
def test_the_fused_attention_to_the_picture_takes_boxes_in_float32(typed_detector, recipe):
    fused = onnx.load(typed_detector(recipe, "--fused")[0])
    narrow = narrow_type(recipe)
    standard = fused_attention.in_standard_operators(fused, narrow)
    inferred = onnx.shape_inference.infer_shapes(standard, check_type=True, strict_mode=True)
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
    types |= {tensor.name: tensor.data_type for tensor in fused.graph.initializer}
    for node in fused_attention.nodes(fused, fused_attention.GRID):
        assert [types[name] for name in node.input[:4]] == [narrow] * 3 + [TensorProto.FLOAT]
        assert all(types[name] == TensorProto.FLOAT for name in node.input[4:])


@pytest.mark.parametrize(
    ("component", "name"),
    # Heads of 12, 8, 8 and 20 channels.
    [
        ("vision_encoder", "tiny_c"),
        ("detector", "tiny_a"),
        ("detector", "tiny_b"),
        ("detector", "tiny_c"),
    ],
)
def test_heads_without_a_kernel_are_left_to_tensorrt(
    exported, type_graph, typed, tmp_path, component, name
):
    file = graphs.FILES[component]
    type_graph("--fused", "fp16", exported("hf", name) / file, tmp_path / file)
    plain = onnx.load(typed("hf", name, "fp16")[0] / file)
    fused = onnx.load(tmp_path / file)
    for operator in (fused_attention.PLAIN, fused_attention.ROTARY, fused_attention.GRID):
        assert not fused_attention.nodes(fused, operator)
    attentions = fused_attention.nodes(plain, "Softmax")
    assert len(attentions) > 0
    assert fused_attention.nodes(fused, "Softmax") == attentions

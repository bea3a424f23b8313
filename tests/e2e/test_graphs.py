"""Exported graphs: valid ONNX, and the references' numbers under ONNX Runtime."""

import json
import subprocess

import goldens
import graphs
import numpy as np
import onnx
import pytest
from conftest import REFERENCES

LIMITS = json.loads((goldens.ROOT / "tests/parity/thresholds.json").read_text(encoding="utf-8"))
IMAGE_STAGES = ("pixel_values", "fpn_feat_0", "fpn_feat_1", "fpn_feat_2")
PROMPT_STAGES = (
    "encoder_hidden_states",
    "query_features",
    "pred_boxes",
    "pred_logits",
    "presence_logits",
    "pred_masks",
    "semantic_seg",
)


def problems_of_prompt(data: goldens.Goldens, prompt, tensors: dict, row: int) -> list[str]:
    """Stages of one prompt of a batch that miss the limits, as sentences."""
    found = {f"{prompt.key}/{stage}": tensors[stage][row] for stage in PROMPT_STAGES}
    image = tensors["image_index"][row]
    found |= {f"{prompt.image}/{stage}": tensors[stage][image] for stage in IMAGE_STAGES}
    context = tensors["input_ids"].shape[1]
    valid = int(tensors["prompt_mask"][row, :context].sum())
    found[f"{prompt.key}/text_features"] = tensors["text_features"][row, :valid]
    if f"{prompt.key}/geometry_features" in data.tensors:
        # The reference has no empty slots: the boxes, then the CLS token.
        rows = tensors["geometry_features"][row]
        found[f"{prompt.key}/geometry_features"] = np.concatenate(
            [rows[: len(prompt.boxes)], rows[-1:]]
        )
    problems = []
    for key, values in found.items():
        limit = LIMITS["stages"][key.rsplit("/", 1)[1]]["largest_error"]
        cosine, error = data.compare(key, values)
        if not (cosine > LIMITS["cosine"] and error < limit):
            problems.append(f"{key}: cosine {cosine:.8f}, largest error {error:.2e} of {limit:.0e}")
    return problems


@pytest.fixture(params=REFERENCES, ids=lambda reference: "-".join(reference))
def reference(request, exported):
    """Goldens and graphs of one tiny checkpoint."""
    semantics, name = request.param
    folder = exported(semantics, name)
    return goldens.Goldens(semantics, name), folder


def test_every_graph_passes_the_onnx_checker(reference):
    _, folder = reference
    for file in graphs.FILES.values():
        onnx.checker.check_model(str(folder / file), full_check=True)


def test_graphs_give_the_numbers_of_the_reference(reference):
    data, folder = reference
    chain = graphs.Graphs(folder)
    problems = []
    for prompt in data.prompts():
        slots = max(1, len(prompt.boxes))
        tensors = chain.run_prompts(data, [prompt], [prompt.image], slots)
        problems += problems_of_prompt(data, prompt, tensors, row=0)
    assert not problems, "\n".join(problems)


def test_a_batch_of_images_and_prompts_gives_the_same_numbers(reference):
    """Two images, three prompts of which two share an image, four box slots."""
    data, folder = reference
    prompts = data.prompts()
    first = next(p for p in prompts if len(p.boxes) > 1)
    other = next(p for p in prompts if p.image != first.image and not p.boxes)
    third = next(p for p in prompts if p.image in (first.image, other.image) and len(p.boxes) == 1)
    batch = [first, other, third]
    images = [other.image, first.image]
    tensors = graphs.Graphs(folder).run_prompts(data, batch, images, slots=4)
    problems = []
    for row, prompt in enumerate(batch):
        problems += problems_of_prompt(data, prompt, tensors, row)
    assert not problems, "\n".join(problems)


def test_the_mask_head_computes_only_the_queries_asked_for(reference):
    data, folder = reference
    chain = graphs.Graphs(folder)
    prompts = data.prompts()[:2]
    images = sorted({prompt.image for prompt in prompts})
    tensors = chain.run_prompts(data, prompts, images, slots=1)
    asked = {
        "prompt_index": np.array([1, 0, 1], np.int64),
        "image_index": tensors["image_index"][[1, 0, 1]],
        "query_index": np.array([[3, 0], [5, 5], [1, 2]], np.int64),
    }
    masks = chain.run("mask_head", tensors | asked)["pred_masks"]
    expected = tensors["pred_masks"][asked["prompt_index"][:, None], asked["query_index"]]
    limit = LIMITS["stages"]["pred_masks"]["largest_error"]
    np.testing.assert_allclose(masks, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("name", ["tiny_a", "tiny_b"])
def test_both_checkpoint_formats_give_the_same_graphs(
    program, checkpoint, exported, name, tmp_path
):
    """The same weights in the two formats, under one semantics: all but the checkpoint's hash."""
    command = [program, "export", "--checkpoint", checkpoint("hf", name), "--component", "all"]
    subprocess.run([*command, "--semantics", "meta", "--output", tmp_path], check=True)
    for file in graphs.FILES.values():
        models = [onnx.load(str(folder / file)) for folder in (tmp_path, exported("meta", name))]
        hashes = [
            entry
            for model in models
            for entry in model.metadata_props
            if entry.key == "sam3trt.checkpoint_sha256"
        ]
        assert len({entry.value for entry in hashes}) == 2
        for entry in hashes:
            entry.value = ""
        assert models[0] == models[1], file

"""sam3trt.compat.meta gives what the Sam3Processor of Meta's package gives.

Meta's own classes are put together at the small checkpoint's sizes and take its weights in Meta's
naming; the package's export takes the same file.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import sam3trt
import torch
from conftest import BOX, CHECKPOINT, OTHER, ROOT
from PIL import Image
from sam3trt.compat import meta as compat

sys.path.insert(0, str(ROOT / "tools/reference"))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meta")
    script = ROOT / "tools/reference/checkpoint_files.py"
    subprocess.run([sys.executable, script, CHECKPOINT, folder / "sam3.pt"], check=True)
    sam3trt.export(folder / "sam3.pt", folder / "graphs", tokenizer=CHECKPOINT)
    segmenter = sam3trt.Segmenter(folder / "graphs")
    assert segmenter.semantics == "meta"
    return compat.Sam3Processor(segmenter, device="cpu")


@pytest.fixture(scope="module")
def theirs():
    import checkpoint_files
    import meta_model
    import tiny_tokenizer
    from sam3.model.sam3_image_processor import Sam3Processor

    config = json.loads((CHECKPOINT / "config.json").read_text())["detector_config"]
    lines = (CHECKPOINT / "merges.txt").read_text().splitlines()[1:]
    merges = [tuple(line.split()) for line in lines if line]
    learn, tiny_tokenizer.learn_merges = tiny_tokenizer.learn_merges, lambda count: merges
    whole = checkpoint_files.read_safetensors(CHECKPOINT / "model.safetensors")
    prefix = "detector_model."
    weights = {n.removeprefix(prefix): v for n, v in whole.items() if n.startswith(prefix)}
    try:
        with meta_model.OnCpu():
            model = meta_model.build(config, len(merges))
    finally:
        tiny_tokenizer.learn_merges = learn
    converted = {
        name.removeprefix("detector."): torch.from_numpy(np.array(values, dtype=np.float32))
        for name, values in checkpoint_files.hf_to_meta(weights, config).items()
        if not name.endswith(".freqs_cis")
    }
    missing, unexpected = model.load_state_dict(converted, strict=False)
    assert not unexpected and all(name.endswith(".freqs_cis") for name in missing)
    side = config["vision_config"]["backbone_config"]["image_size"]
    with meta_model.OnCpu():
        yield Sam3Processor(model, resolution=side, device="cpu")


def in_parts(box):
    x0, y0, x1, y1 = box
    return [(x0 + x1) / 1280, (y0 + y1) / 880, (x1 - x0) / 640, (y1 - y0) / 440]


def text(processor, state):
    processor.set_text_prompt("triangle", state)


def box(processor, state):
    processor.add_geometric_prompt(in_parts(BOX), True, state)


def text_and_boxes(processor, state):
    processor.set_text_prompt(prompt="circle", state=state)
    processor.add_geometric_prompt(box=in_parts(BOX), label=True, state=state)
    processor.add_geometric_prompt(box=in_parts(OTHER), label=False, state=state)


def other_text_after_boxes(processor, state):
    text_and_boxes(processor, state)
    processor.set_text_prompt("red circle", state)


def after_a_reset(processor, state):
    text_and_boxes(processor, state)
    processor.reset_all_prompts(state)
    processor.set_text_prompt("blue star", state)


def other_threshold(processor, state):
    processor.set_text_prompt("triangle", state)
    processor.set_confidence_threshold(0.9, state)
    processor.confidence_threshold = 0.5


@pytest.mark.parametrize(
    "steps", [text, box, text_and_boxes, other_text_after_boxes, after_a_reset, other_threshold]
)
def test_the_same_steps_give_the_same(theirs, ours, drawn, steps):
    states = []
    for processor in (theirs, ours):
        state = processor.set_image(Image.open(drawn[1]).convert("RGB"))
        steps(processor, state)
        states.append(state)
    expected, found = states
    assert len(expected["scores"]) >= 1
    order = torch.argsort(expected["scores"], descending=True)
    for key in ("original_height", "original_width"):
        assert found[key] == expected[key]
    for key in ("masks", "boxes", "scores"):
        assert found[key].shape == expected[key].shape and found[key].dtype == expected[key].dtype
    assert torch.allclose(found["scores"], expected["scores"][order], atol=2e-3)
    assert torch.allclose(found["boxes"], expected["boxes"][order], atol=0.5)
    different = (found["masks"] != expected["masks"][order]).float().mean()
    assert different < 1e-3


def test_the_methods_take_the_same_arguments(theirs, ours):
    import inspect

    for name in (
        "set_image",
        "set_text_prompt",
        "add_geometric_prompt",
        "reset_all_prompts",
        "set_confidence_threshold",
    ):
        expected = inspect.signature(getattr(type(theirs), name)).parameters
        assert list(inspect.signature(getattr(type(ours), name)).parameters) == list(expected)

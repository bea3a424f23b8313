"""The random checkpoints of tools/reference: their names and shapes, and clips drawn alike."""

import hashlib
import itertools
import json
import re
import sys

import goldens
import numpy as np
import pytest

sys.path.insert(0, str(goldens.ROOT / "tools/reference"))
import checkpoint_files
import clip_scenes
import make_checkpoint
import sam3_tensors

LISTS = goldens.DATA / "checkpoint"
# Of all frames, one after the other; whoever draws others compares with goldens of other clips.
CLIPS = {
    "meadow": "f85be2cf49f002b064bb31b39352234c96f2b6772b0ea11a10bfcec4e8ee9209",
    "harbour": "bab70fe0b9f15ef91d2453bcd73ba7df0c73d04cf28bb1ab82740e617e0c9d4f",
    "corner": "8c77aecde1912577a229026b4cbbe0e226ad7ad7890431aacc8322ab27c2af6a",
}


def published(file: str, prefix: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a list in tests/data/checkpoint, `{0-2,4}` written out."""

    def numbers(text: str) -> list[str]:
        ranges = [part.partition("-") for part in text.split(",")]
        return [str(n) for a, _, b in ranges for n in range(int(a), int(b or a) + 1)]

    found = {}
    for line in (LISTS / file).read_text(encoding="utf-8").splitlines():
        if not line.startswith(prefix):
            continue
        name, _, shape = line.split()
        parts = re.split(r"\{([^}]*)\}", name)
        choices = [numbers(p) if i % 2 else [p] for i, p in enumerate(parts)]
        for chosen in itertools.product(*choices):
            found["".join(chosen)] = tuple(map(int, shape.split("x")))
    return found


def full_size() -> dict[str, tuple[int, ...]]:
    """The tracker's tensors at the sizes of the published model."""
    spec = json.loads((goldens.DATA / "configs/video_a.json").read_text(encoding="utf-8"))
    tracker, width = spec["tracker_config"], 256
    tracker |= {
        "num_maskmem": 7,
        "memory_attention_num_layers": 4,
        "memory_attention_hidden_size": width,
        "memory_attention_feed_forward_hidden_size": 2048,
        "memory_encoder_hidden_size": width,
        "mask_downsampler_embed_dim": width,
        "memory_fuser_num_layers": 2,
        "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 1024,
    }
    tracker["prompt_encoder_config"]["hidden_size"] = width
    tracker["mask_decoder_config"] |= {
        "hidden_size": width,
        "mlp_dim": 2048,
        "num_hidden_layers": 2,
        "iou_head_hidden_dim": width,
    }
    vision = spec["config"]["vision_config"] | {"fpn_hidden_size": width}
    vision["backbone_config"]["hidden_size"] = 1024
    return sam3_tensors.tracker_shapes(tracker, vision)


def test_the_tracker_of_random_checkpoints_has_the_published_tensors():
    shapes = full_size()
    assert shapes == published("hf_video_tensors.txt", "tracker_")


def test_the_tracker_of_random_checkpoints_has_metas_names():
    values = {name: np.broadcast_to(np.float32(0), shape) for name, shape in full_size().items()}
    found = {n: v.shape for n, v in checkpoint_files.tracker_to_meta(values).items()}
    assert found == published("meta_tensors.txt", "tracker.")


def test_the_matrix_that_is_stored_twice_is_the_same_twice():
    spec = json.loads((goldens.DATA / "configs/video_b.json").read_text(encoding="utf-8"))
    weights = make_checkpoint.make_weights(spec)
    names = [f"tracker_model.{part}.positional_embedding" for part in make_checkpoint.COPIES]
    assert np.array_equal(*(weights[name] for name in names))


@pytest.mark.parametrize("name", CLIPS)
def test_clips_are_drawn_the_same_everywhere(name, tmp_path):
    frames = clip_scenes.frames(clip_scenes.load(name))
    assert hashlib.sha256(frames.tobytes()).hexdigest() == CLIPS[name]
    clip_scenes.write_png(tmp_path / "0.png", frames[0])
    image = pytest.importorskip("PIL.Image", reason="Pillow is not there")
    assert np.array_equal(np.asarray(image.open(tmp_path / "0.png")), frames[0])

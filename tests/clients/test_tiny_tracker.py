"""The tool that trains the small checkpoint's tracker, for a few steps on the CPU."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sam3trt
from conftest import CHECKPOINT, ROOT
from safetensors import safe_open
from safetensors.torch import save_file

sys.path.insert(0, str(ROOT / "tools/tiny"))

import clip_pool  # noqa: E402
import staged_clips  # noqa: E402

DETECTOR = "detector_model."


def start(output: Path, steps: int, *more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools/tiny/train_tracker.py", "--output", output]
    command += ["--device", "cpu", "--steps", str(steps), "--clips", "2", "--objects", "2"]
    command += ["--frames", "3", "--images-part", "0", "--pool", "8", "--workers", "1"]
    command += ["--held-out", "2", "--minutes", "60", *more]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


def train(output: Path, steps: int, *more: str) -> None:
    done = start(output, steps, *more)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("tracker")
    train(output, 2)
    return output


def tensors(folder: Path) -> dict:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def test_the_detector_stays_bit_for_bit(trained):
    before, after = tensors(CHECKPOINT), tensors(trained / "model")
    own = {name.removeprefix(DETECTOR): value for name, value in before.items()}
    own = {name: value for name, value in own.items() if not name.startswith("tracker_")}
    for name, value in own.items():
        found = after[DETECTOR + name]
        assert found.dtype == value.dtype and found.equal(value), name
    assert sum(name.startswith(DETECTOR) for name in after) == len(own)


@pytest.mark.parametrize("name", ["Sam3TrackerModel", "Sam3TrackerVideoModel", "Sam3Model"])
def test_transformers_loads_the_checkpoint_without_a_tensor_left(trained, name):
    import transformers

    kind = getattr(transformers, name)
    _, found = kind.from_pretrained(trained / "model", output_loading_info=True)
    assert not any(found.values()), found


def test_the_program_exports_every_graph(trained, tmp_path):
    written = {path.name for path in sam3trt.export(trained / "model", tmp_path)}
    assert {"sam_decoder.onnx", "memory_attention.onnx", "memory_encoder.onnx"} <= written


def test_a_resumed_run_goes_on_where_it_was(trained):
    train(trained, 4, "--resume")
    lines = [json.loads(line) for line in (trained / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines][-1] == 4
    assert all("held_out_click_iou" in line for line in lines if line["step"] in (2, 4))


def test_a_run_that_begins_with_a_model_has_its_figures_first(trained, tmp_path):
    train(tmp_path, 1, "--begin", str(trained / "model"))
    first = json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[0])
    train(tmp_path / "other", 1, "--begin", str(CHECKPOINT))
    shipped = json.loads((tmp_path / "other/curve.jsonl").read_text().splitlines()[0])
    assert first["step"] == shipped["step"] == 0
    assert shipped["held_out_click_iou"] > first["held_out_click_iou"] + 0.3


def test_a_run_of_masks_alone_changes_what_makes_them_and_nothing_else(tmp_path):
    more = ("--masks-alone", "--stills", "1", "--rate", "1e-2", "--warmup", "1")
    train(tmp_path, 3, "--begin", str(CHECKPOINT), *more)
    before, after = tensors(CHECKPOINT), tensors(tmp_path / "model")
    changed = {name for name, value in after.items() if not value.equal(before[name])}
    own = ("tracker_model.mask_decoder.", "tracker_model.prompt_encoder.")
    own += ("tracker_neck.fpn_layers.0.", "tracker_neck.fpn_layers.1.")
    assert all(name.startswith(own) for name in changed), changed
    for part in ("tracker_model.mask_decoder.upscale", "tracker_neck.fpn_layers.0"):
        assert any(name.startswith(part) for name in changed), part


def test_stills_lie_among_clips_and_are_read_by_themselves(tmp_path):
    clips = clip_pool.Clips(tmp_path, 10, "image", 0.4)
    assert clips.still.sum() == 4 and not clips.still.all() and clips.still[:5].sum() == 2
    clips.ids[:] = clips.still[:, None, None, None]
    clips.ready[:] = 1
    rng = np.random.default_rng(0)
    shown = np.zeros((8, 1), int)
    for still in (False, True):
        assert (clips.read(rng, 8, shown, still)[0] == still).all()
    sides = clip_pool.FIELDS["tokens"][0][1:]
    store = clip_pool.Store(7, "cpu", lambda images: images.new_zeros(len(images), *sides).float())
    while store.take(clips, 3, rng):
        pass
    for still in (False, True):
        assert (store.read(rng, 8, shown, still)[0] == still).all()


def test_slots_of_a_pool_that_hold_what_is_not_wanted_now_are_drawn_again(tmp_path):
    clip_pool.Clips(tmp_path, 10, "image", 0.4).ready[:] = 3
    assert (clip_pool.Clips(tmp_path, 10, "image", 0.4).ready == 3).all()
    clips = clip_pool.Clips(tmp_path, 10, "image")
    assert (clips.ready == 0).sum() == 4 and not clips.still.any()


def test_a_share_of_stills_that_no_clip_falls_to_is_refused(tmp_path):
    done = start(tmp_path, 1, "--stills", "0.05")
    assert done.returncode != 0 and not done.stdout
    assert "--stills 0.05: not one of 8 clips" in done.stderr


def test_stills_are_scenes_that_have_nothing_to_do_with_one_another():
    images, ids = clip_pool.still_scenes(1, 0, 4, 96)
    again = clip_pool.still_scenes(1, 0, 4, 96)
    assert np.array_equal(images, again[0]) and np.array_equal(ids, again[1])
    assert images.shape == (4, 96, 96, 3) and ids.shape == (4, 96, 96)
    for a in range(4):
        assert ids[a].max() >= 0
        for b in range(a):
            assert not np.array_equal(images[a], images[b])


def test_weights_of_something_else_are_no_beginning(tmp_path):
    shutil.copytree(CHECKPOINT, tmp_path / "model")
    own = tensors(CHECKPOINT)
    kept = {name: value for name, value in own.items() if not name.startswith("tracker_neck.")}
    (tmp_path / "model/model.safetensors").unlink()
    save_file(kept, tmp_path / "model/model.safetensors")
    done = start(tmp_path / "out", 1, "--begin", str(tmp_path / "model"))
    assert done.returncode != 0
    assert "not the weights of this tracker; tensors missing: ['neck." in done.stderr


def test_a_training_clip_hides_things_and_shows_them_again():
    images, ids = staged_clips.training_clip(1, 0, clip_pool.FRAMES, 96)
    again = staged_clips.training_clip(1, 0, clip_pool.FRAMES, 96)
    assert np.array_equal(images, again[0]) and np.array_equal(ids, again[1])
    back = 0
    for index in range(30):
        _, ids = staged_clips.training_clip(1, index, clip_pool.FRAMES, 96)
        pixels = staged_clips.count_pixels(ids)
        assert (pixels.sum(1) == (ids >= 0).sum((1, 2))).all()
        for item in pixels.T:
            hidden = np.flatnonzero((item == 0) & (np.maximum.accumulate(item) > 20))
            back += bool(len(hidden) and (item[hidden[0] :] > 20).any())
    assert back >= 10


def test_a_store_takes_every_clip_once_and_gives_what_was_drawn(tmp_path):
    clips = clip_pool.Clips(tmp_path, 4, "image")
    for slot in range(3):
        clips.ids[slot], clips.pixels[slot], clips.ready[slot] = slot, 100 + slot, 1
        clips.values[slot] = 10 * slot
    sides = clip_pool.FIELDS["tokens"][0][1:]
    store = clip_pool.Store(
        5, "cpu", lambda images: images[:, :1, :1, :1].float().expand(-1, -1, *sides)[:, 0]
    )
    rng = np.random.default_rng(0)
    assert [store.take(clips, 2, rng) for _ in range(3)] == [2, 1, 0]
    ids, tokens, pixels = store.read(rng, 6, np.tile([0, 3, 7], (6, 1)))
    assert ids.shape[:2] == tokens.shape[:2] == pixels.shape[:2] == (6, 3)
    for row in range(6):
        slot = int(ids[row, 0, 0, 0])
        assert (ids[row] == slot).all() and (pixels[row] == 100 + slot).all()
        assert (tokens[row] == 10 * slot).all()

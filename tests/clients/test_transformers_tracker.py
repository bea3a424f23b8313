"""The classes of transformers for clicks and videos and ours, run by the same code.

The code is that of transformers' documentation: one function for each use, with the classes of
either package. What transformers' own code leaves out or does wrong (docs/video.md,
docs/objects.md) is put right here.
"""

import copy
import functools
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import sam3trt
import torch
import transformers
from conftest import BOX, CHECKPOINT, OTHER, ROOT, write_checkpoint
from PIL import Image
from sam3trt.compat import transformers as compat

sys.path.append(str(ROOT / "tools/reference"))
import clip_scenes  # noqa: E402
import video_reference  # noqa: E402

CLICK, OUTSIDE, SECOND = [96.0, 114.0], [40.0, 60.0], [400.0, 300.0]
TEXTS = ["red apple", "blue bird"]
torch.set_num_threads(1)  # more of them wait for each other beside OpenVINO's
PACKAGES = ("transformers", "sam3trt")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """checkpoints(name): the small checkpoint, or the random one of tests/data/configs."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        if name != "tiny":
            write_checkpoint(name, "hf", folder)
            return folder
        for path in CHECKPOINT.iterdir():
            (folder / path.name).symlink_to(path)
        # Where transformers looks for what it needs for videos.
        image = json.loads((CHECKPOINT / "preprocessor_config.json").read_text())
        video = image | {"video_processor_type": "Sam2VideoVideoProcessor"}
        del video["image_processor_type"]
        whole = {"image_processor": image, "video_processor": video}
        (folder / "processor_config.json").write_text(json.dumps(whole))
        return folder

    return make


@pytest.fixture(scope="module")
def models(checkpoints, tmp_path_factory):
    """models(package, checkpoint, kind): the model and the processor, as people load them."""

    @functools.cache
    def exported(checkpoint):
        folder = tmp_path_factory.mktemp(f"graphs_{checkpoint}")
        sam3trt.export(checkpoints(checkpoint), folder)
        return sam3trt.Segmenter(folder), folder

    @functools.cache
    def make(package, checkpoint, kind):
        if package == "sam3trt":
            segmenter, folder = exported(checkpoint)
            processor = getattr(compat, f"Sam3{kind}Processor").from_pretrained(folder)
            return getattr(compat, f"Sam3{kind}Model")(segmenter), processor
        path = checkpoints(checkpoint)
        model = getattr(transformers, f"Sam3{kind}Model").from_pretrained(path, dtype=torch.float32)
        put_right(model.eval(), kind)
        return model, getattr(transformers, f"Sam3{kind}Processor").from_pretrained(path)

    return make


def put_right(model, kind):
    if kind == "Tracker":  # the embedding that says that there is no memory, on the level it is for
        features = model.get_image_features

        def with_embedding(*arguments, **options):
            outputs = features(*arguments, **options)
            level = outputs.fpn_hidden_states[2] + model.no_memory_embedding
            outputs.fpn_hidden_states[2] = level
            return outputs

        model.get_image_features = with_embedding
    if kind == "TrackerVideo":  # pointers as wide as a memory are in one part, but a list of it
        pointers = model._process_object_pointers

        def flat(*arguments, **options):
            values, places = pointers(*arguments, **options)
            return (None if values is None else values.reshape(-1, 1, values.shape[-1])), places

        model._process_object_pointers = flat
    if kind == "Video":
        video_reference.use_kernels()
        video_reference.keep_own_ids(model)


@pytest.fixture(scope="module")
def images(drawn):
    return [Image.open(path).convert("RGB") for path in drawn]


def clip_of(name, count):
    clip = clip_scenes.load(name)
    return [clip_scenes.draw(clip, frame)[0] for frame in range(count)]


def iou(left, right):
    together = (left | right).sum()
    return 1.0 if together == 0 else float((left & right).sum() / together)


def assert_masks(expected, found, least=0.99):
    """bool tensors whose last two dimensions are pixels."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    left, right = (np.asarray(masks).reshape(-1, *masks.shape[-2:]) for masks in (expected, found))
    for index, (one, other) in enumerate(zip(left, right)):
        assert iou(one, other) > least, f"mask {index}"


def assert_tensors(expected, found, names, close=None):
    for name in names:
        left, right = expected[name], found[name]
        assert right.shape == left.shape and right.dtype == left.dtype, name
        if close is not None:
            assert torch.allclose(right, left, atol=close), name


def segment(model, processor, images, multimask_output=True, **prompts):
    inputs = processor(images=images, return_tensors="pt", **prompts).to(model.device)
    with torch.no_grad():
        outputs = model(**inputs, multimask_output=multimask_output)
    masks = processor.post_process_masks(outputs.pred_masks.cpu(), inputs["original_sizes"])
    return SimpleNamespace(inputs=inputs, outputs=outputs, masks=masks)


def assert_segmented(theirs, ours):
    names = [
        name
        for name in ("original_sizes", "input_points", "input_labels", "input_boxes")
        if name in theirs.inputs
    ]
    assert_tensors(theirs.inputs, ours.inputs, names)
    assert_tensors(theirs.outputs, ours.outputs, ["iou_scores"], close=2e-3)
    assert_tensors(theirs.outputs, ours.outputs, ["pred_masks"])
    assert_tensors(theirs.outputs, ours.outputs, ["object_score_logits"], close=0.02)
    assert len(theirs.masks) == len(ours.masks)
    for expected, found in zip(theirs.masks, ours.masks):
        assert_masks(expected, found)


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
@pytest.mark.parametrize(
    "prompts",
    [
        {"input_points": [[[CLICK]]], "input_labels": [[[1]]]},
        {"input_points": [[[CLICK, OUTSIDE]]], "input_labels": [[[1, 0]]]},
        {"input_boxes": [[BOX]]},
        {"input_boxes": [[BOX, OTHER]]},
        {"input_points": [[[CLICK], [SECOND]]], "input_labels": [[[1], [1]]]},
        {"input_points": [[[CLICK, OUTSIDE], [SECOND]]], "input_labels": [[[1, 0], [1]]]},
        {"input_points": [[[CLICK]]], "input_labels": [[[1]]], "input_boxes": [[BOX]]},
    ],
    ids=["click", "two clicks", "box", "boxes", "objects", "uneven clicks", "click and box"],
)
def test_objects_of_an_image_are_equal(models, images, prompts, multimask):
    theirs, ours = (
        segment(*models(package, "tiny", "Tracker"), images[0], multimask, **prompts)
        for package in PACKAGES
    )
    assert_segmented(theirs, ours)


def test_batches_are_equal(models, images):
    prompts = {
        "input_points": [[[CLICK], [SECOND]], [[CLICK], [SECOND, OUTSIDE]]],
        "input_labels": [[[1], [1]], [[1], [1, 0]]],
    }
    theirs, ours = (
        segment(*models(package, "tiny", "Tracker"), images, False, **prompts)
        for package in PACKAGES
    )
    assert_segmented(theirs, ours)


def refine(model, processor, image):
    first = segment(model, processor, image, input_points=[[[CLICK]]], input_labels=[[[1]]])
    best = torch.argmax(first.outputs.iou_scores.squeeze())
    inputs = processor(
        input_points=[[[CLICK, OUTSIDE]]],
        input_labels=[[[1, 0]]],
        original_sizes=first.inputs["original_sizes"],
        return_tensors="pt",
    ).to(model.device)
    with torch.no_grad():
        outputs = model(
            **inputs,
            input_masks=first.outputs.pred_masks[:, :, best],
            image_embeddings=first.outputs.image_embeddings,
            multimask_output=False,
        )
    masks = processor.post_process_masks(outputs.pred_masks.cpu(), inputs["original_sizes"])
    return SimpleNamespace(inputs=inputs, outputs=outputs, masks=masks)


def test_a_mask_is_refined_equally(models, images):
    theirs, ours = (refine(*models(package, "tiny", "Tracker"), images[0]) for package in PACKAGES)
    assert_segmented(theirs, ours)


def follow(model, processor, frames, first, later=None):
    """A whole video: clicks, a look at their frame, and all frames."""
    session = processor.init_video_session(video=frames, inference_device=model.device)
    # A copy, because transformers takes ids out of the list that it was given.
    processor.add_inputs_to_inference_session(session, **copy.deepcopy(first))
    outputs = model(inference_session=session, frame_idx=first["frame_idx"])
    size = [[session.video_height, session.video_width]]
    found = [(outputs.frame_idx, outputs.object_ids, outputs.pred_masks)]
    for output in model.propagate_in_video_iterator(session):
        masks = processor.post_process_masks([output.pred_masks], original_sizes=size)[0]
        found.append((output.frame_idx, list(session.obj_ids), masks))
    if later is not None:
        processor.add_inputs_to_inference_session(inference_session=session, **later)
        output = model(inference_session=session, frame_idx=later["frame_idx"])
        masks = processor.post_process_masks([output.pred_masks], original_sizes=size)[0]
        found.append((output.frame_idx, list(session.obj_ids), masks))
    return found


def stream(model, processor, frames, first):
    """Frame by frame, the length unknown."""
    session = processor.init_video_session(inference_device=model.device)
    found = []
    for index, frame in enumerate(frames):
        inputs = processor(images=frame, device=model.device, return_tensors="pt").to(model.device)
        if index == 0:
            processor.add_inputs_to_inference_session(
                session, original_size=inputs.original_sizes[0], **copy.deepcopy(first)
            )
        output = model(inference_session=session, frame=inputs.pixel_values[0])
        masks = processor.post_process_masks(
            [output.pred_masks], original_sizes=inputs.original_sizes
        )[0]
        found.append((output.frame_idx, list(session.obj_ids), masks))
    return found


def assert_followed(theirs, ours):
    assert [one[:2] for one in ours] == [one[:2] for one in theirs]
    for expected, found in zip(theirs, ours):
        assert_masks(expected[2] > 0, found[2] > 0)


TWO = {
    "frame_idx": 0,
    "obj_ids": [2, 3],
    "input_points": [[[[28, 34]], [[110, 42]]]],
    "input_labels": [[[1], [1]]],
}


@torch.inference_mode()
@pytest.mark.parametrize("use", [follow, stream])
@pytest.mark.parametrize(
    "first",
    [
        TWO,
        {"frame_idx": 0, "obj_ids": 1, "input_boxes": [[[92, 23, 128, 61]]]},
        TWO
        | {"input_points": [[[[28, 34], [5, 5]], [[110, 42]]]], "input_labels": [[[1, 0], [1]]]},
    ],
    ids=["two objects", "box", "uneven clicks"],
)
def test_objects_are_followed_equally(models, use, first):
    frames = clip_of("harbour", 20)
    theirs, ours = (
        use(*models(package, "video_a", "TrackerVideo"), frames, first) for package in PACKAGES
    )
    assert_followed(theirs, ours)


@torch.inference_mode()
def test_the_small_checkpoint_follows_equally(models, images):
    pixels = np.asarray(images[0])
    frames = [np.ascontiguousarray(pixels[i : i + 400, 3 * i : 3 * i + 560]) for i in range(5)]
    first = {
        "frame_idx": 0,
        "obj_ids": [1, 2],
        "input_points": [[[CLICK], [SECOND]]],
        "input_labels": [[[1], [1]]],
    }
    theirs, ours = (
        follow(*models(package, "tiny", "TrackerVideo"), frames, first) for package in PACKAGES
    )
    assert_followed(theirs, ours)


@torch.inference_mode()
def test_a_correction_of_the_last_frame_is_equal(models):
    later = {
        "frame_idx": 9,
        "obj_ids": 2,
        "input_points": [[[[50, 36], [74, 50]]]],
        "input_labels": [[[1, 0]]],
    }
    theirs, ours = (
        follow(*models(package, "video_a", "TrackerVideo"), clip_of("harbour", 10), TWO, later)
        for package in PACKAGES
    )
    assert_followed(theirs, ours)


def look_for(model, processor, frames):
    session = processor.init_video_session(
        video=frames,
        inference_device=model.device,
        processing_device="cpu",
        video_storage_device="cpu",
    )
    session = processor.add_text_prompt(inference_session=session, text=TEXTS)
    found = []
    for outputs in model.propagate_in_video_iterator(
        inference_session=session, max_frame_num_to_track=len(frames)
    ):
        found.append((outputs.frame_idx, processor.postprocess_outputs(session, outputs)))
    return found


def look_for_in_a_stream(model, processor, frames):
    session = processor.init_video_session(inference_device=model.device)
    session = processor.add_text_prompt(inference_session=session, text=TEXTS)
    found = []
    for frame in frames:
        inputs = processor(images=frame, device=model.device, return_tensors="pt")
        outputs = model(inference_session=session, frame=inputs.pixel_values[0], reverse=False)
        results = processor.postprocess_outputs(
            session, outputs, original_sizes=inputs.original_sizes
        )
        found.append((outputs.frame_idx, results))
    return found


@torch.inference_mode()
@pytest.mark.parametrize("use", [look_for, look_for_in_a_stream])
def test_texts_find_and_follow_equally(models, use):
    frames = clip_of("meadow", 32)
    theirs, ours = (use(*models(package, "video_a", "Video"), frames) for package in PACKAGES)
    assert [frame for frame, _ in ours] == [frame for frame, _ in theirs] == list(range(32))
    assert sum(len(results["object_ids"]) for _, results in theirs) > 60
    for (_, expected), (_, found) in zip(theirs, ours):
        assert set(found) == set(expected)
        assert torch.equal(found["object_ids"], expected["object_ids"])
        assert found["prompt_to_obj_ids"] == expected["prompt_to_obj_ids"]
        assert_tensors(expected, found, ["scores"], close=1e-3)
        assert_tensors(expected, found, ["boxes"], close=1.0)
        assert_masks(expected["masks"], found["masks"])


@pytest.mark.parametrize("kind", ["Tracker", "TrackerVideo", "Video"])
def test_the_methods_take_the_same_arguments(models, kind):
    import inspect

    methods = {
        "Tracker": ["__call__", "post_process_masks"],
        "TrackerVideo": [
            "__call__",
            "post_process_masks",
            "init_video_session",
            "add_inputs_to_inference_session",
            "propagate_in_video_iterator",
        ],
        "Video": [
            "__call__",
            "init_video_session",
            "add_text_prompt",
            "postprocess_outputs",
            "propagate_in_video_iterator",
        ],
    }[kind]
    ours = [getattr(compat, f"Sam3{kind}{part}") for part in ("Processor", "Model")]
    theirs = [getattr(transformers, f"Sam3{kind}{part}") for part in ("Processor", "Model")]
    for name in methods:
        for own, other in zip(ours, theirs):
            if not hasattr(own, name) or (name == "__call__" and own is ours[1]):
                continue
            expected = [
                parameter
                for parameter in inspect.signature(getattr(other, name)).parameters.values()
                if parameter.kind == parameter.POSITIONAL_OR_KEYWORD
            ]
            found = inspect.signature(getattr(own, name)).parameters
            takes_any = any(one.kind == one.VAR_KEYWORD for one in found.values())
            for parameter in expected:
                assert parameter.name in found or takes_any, f"{own.__name__}.{name}"
                if parameter.name in found:
                    assert found[parameter.name].default == parameter.default

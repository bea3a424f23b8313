"""Meta's interactive and video predictors and ours, run by the same code.

Meta's classes have the weights of a small random checkpoint and run on the CPU in float32; frames
are resized as sam3trt does it, because the package's loaders use other filters.
"""

import sys

import numpy as np
import pytest
import sam3trt
import torch
from conftest import ROOT, write_checkpoint
from PIL import Image
from sam3trt.compat import meta as compat

sys.path.append(str(ROOT / "tools/reference"))
import clip_scenes  # noqa: E402

torch.set_num_threads(1)  # more of them wait for each other beside OpenVINO's


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meta_video_a")
    write_checkpoint("video_a", "meta", folder)
    sam3trt.export(folder / "sam3.pt", folder / "graphs", tokenizer=folder)
    return sam3trt.Segmenter(folder / "graphs")


@pytest.fixture(scope="module")
def checkpoint():
    """Meta's classes with the same weights."""
    import meta_tracker

    with meta_tracker.OnCpu():
        yield meta_tracker.Checkpoint("video_a")


def clip_of(name):
    clip = clip_scenes.load(name)
    return list(clip_scenes.frames(clip)), (clip["height"], clip["width"])


def iou(left, right):
    together = (left | right).sum()
    return 1.0 if together == 0 else float((left & right).sum() / together)


@pytest.fixture
def predictors(checkpoint, segmenter, monkeypatch):
    """predictors(clip): Meta's and ours, and what each takes as the clip."""
    from make_meta_track_goldens import pixels
    from sam3.model import sam3_video_inference as module
    from sam3.model.sam3_video_predictor import Sam3VideoPredictor

    def make(name):
        frames, size = clip_of(name)
        images = torch.cat(pixels(frames, checkpoint.side, 0))
        monkeypatch.setattr(module, "load_resource_as_video_frames", lambda **_: (images, *size))
        model = checkpoint.video()
        model.__class__ = module.Sam3VideoInferenceWithInstanceInteractivity
        model.use_prev_mem_frame = model.use_stateless_refinement = False
        model.refinement_detector_cond_frame_removal_window = 16
        theirs = object.__new__(Sam3VideoPredictor)
        theirs.model = model
        theirs.async_loading_frames, theirs.video_loader_type = False, "cv2"
        theirs._get_session_stats = theirs._get_torch_and_gpu_properties = lambda: ""
        ours = compat.build_sam3_video_predictor(segmenter)
        return (theirs, "clip"), (ours, frames)

    return make


def start(predictor, resource):
    request = {"type": "start_session", "resource_path": resource}
    return predictor.handle_request(request=request)["session_id"]


def propagate(predictor, session_id, **more):
    outputs = {}
    request = {"type": "propagate_in_video", "session_id": session_id, **more}
    for response in predictor.handle_stream_request(request=request):
        outputs[response["frame_index"]] = response["outputs"]
    return outputs


def add(predictor, session_id, frame, **prompt):
    request = {"type": "add_prompt", "session_id": session_id, "frame_index": frame, **prompt}
    response = predictor.handle_request(request=request)
    assert response["frame_index"] == frame
    return response["outputs"]


def assert_outputs(expected, found, least=0.99):
    assert set(found) == set(expected)
    for name in ("out_obj_ids", "out_probs", "out_boxes_xywh", "out_binary_masks"):
        assert found[name].dtype == expected[name].dtype, name
        assert found[name].shape == expected[name].shape, name
    assert found["out_obj_ids"].tolist() == expected["out_obj_ids"].tolist()
    assert np.allclose(found["out_probs"], expected["out_probs"], atol=1e-3)
    assert np.allclose(found["out_boxes_xywh"], expected["out_boxes_xywh"], atol=0.03)
    for one, other in zip(expected["out_binary_masks"], found["out_binary_masks"]):
        assert iou(one, other) > least


@torch.inference_mode()
@pytest.mark.parametrize(
    ("clip", "frame", "prompt"),
    [
        ("meadow", 0, {"text": "red apple"}),
        ("corner", 0, {"text": "blue bird"}),
        ("harbour", 12, {"text": "blue bird"}),
        (
            "meadow",
            0,
            {
                "text": "red apple",
                "bounding_boxes": [[0.05, 0.1, 0.28, 0.33]],
                "bounding_box_labels": [1],
            },
        ),
    ],
    ids=["text", "text with a pause", "text in the middle", "text and box"],
)
def test_what_a_text_finds_is_equal(predictors, clip, frame, prompt):
    first, all_frames = [], []
    for predictor, resource in predictors(clip):
        session_id = start(predictor, resource)
        first.append(add(predictor, session_id, frame, **prompt))
        all_frames.append(propagate(predictor, session_id, propagation_direction="forward"))
        predictor.handle_request({"type": "reset_session", "session_id": session_id})
        predictor.handle_request({"type": "close_session", "session_id": session_id})
    assert len(first[0]["out_obj_ids"]) > 0
    assert_outputs(*first, least=0.9)  # ours as tracking begins with it
    assert list(all_frames[1]) == list(all_frames[0])
    for index, expected in all_frames[0].items():
        assert_outputs(expected, all_frames[1][index])


@torch.inference_mode()
def test_tracking_goes_on_backwards_equally(predictors):
    answers = []
    for predictor, resource in predictors("harbour"):
        session_id = start(predictor, resource)
        add(predictor, session_id, 12, text="blue bird")
        answers.append(propagate(predictor, session_id, propagation_direction="both"))
    assert list(answers[1]) == list(answers[0]) == [*range(12, 28), *range(11, -1, -1)]
    assert all(len(answers[0][index]["out_obj_ids"]) for index in range(12))
    for index, expected in answers[0].items():
        assert_outputs(expected, answers[1][index])


@torch.inference_mode()
def test_several_texts_in_a_session_are_as_in_sessions_of_their_own(predictors, segmenter):
    """Meta's sessions have one text each, and its evaluation goes through a video once for each
    text; ids apart, one session with all of them gives the same.
    """
    texts = ["red apple", "blue bird"]
    theirs = {}
    for text in texts:
        (predictor, resource), (_, frames) = predictors("meadow")
        session_id = start(predictor, resource)
        add(predictor, session_id, 0, text=text)
        theirs[text] = propagate(predictor, session_id, propagation_direction="forward")
    session = sam3trt.VideoSession(segmenter, frames)
    session.add(text=texts)
    ids = {}
    for result in session:
        for text in texts:
            expected = theirs[text][result.frame]
            found = [one for one in result if one.prompt == text]
            assert len(found) == len(expected["out_obj_ids"]), (result.frame, text)
            for index, one in enumerate(found):
                number = (text, int(expected["out_obj_ids"][index]))
                assert ids.setdefault(number, one.id) == one.id
                assert iou(one.mask, expected["out_binary_masks"][index]) > 0.99
    assert result.frame == 31 and {text for text, _ in ids} == set(texts)
    assert len(set(ids.values())) == len(ids)


@torch.inference_mode()
@pytest.mark.parametrize("hot_start", [4, 9])
@pytest.mark.parametrize(("clip", "text"), [("meadow", "red apple"), ("corner", "blue bird")])
def test_other_hot_starts_are_equal(predictors, segmenter, clip, text, hot_start):
    (predictor, resource), (_, frames) = predictors(clip)
    predictor.model.hotstart_delay = hot_start
    session_id = start(predictor, resource)
    add(predictor, session_id, 0, text=text)
    expected = propagate(predictor, session_id, propagation_direction="forward")
    session = sam3trt.VideoSession(segmenter, frames, hot_start=hot_start)
    session.add(text=text)
    results = list(session)
    assert [result.frame for result in results] == list(expected)
    assert any(len(result) for result in results)
    for result in results:
        outputs = expected[result.frame]
        assert result.ids.tolist() == outputs["out_obj_ids"].tolist(), result.frame
        for one, mask in zip(result, outputs["out_binary_masks"]):
            assert iou(one.mask, mask) > 0.99


@torch.inference_mode()
def test_removing_adding_and_refining_objects_is_equal(predictors):
    """The steps of Meta's example of the video predictor."""
    answers = []
    for predictor, resource in predictors("meadow"):
        session_id = start(predictor, resource)
        steps = [add(predictor, session_id, 0, text="red apple")]
        steps += propagate(predictor, session_id).values()
        ids = steps[-1]["out_obj_ids"].tolist()
        request = {"type": "remove_object", "session_id": session_id, "obj_id": ids[0]}
        assert predictor.handle_request(request) == {"is_success": True}
        steps += propagate(predictor, session_id).values()
        click = {"points": [[26 / 96, 54 / 72]], "point_labels": [1], "obj_id": 7}
        steps.append(add(predictor, session_id, 0, **click))
        steps += propagate(predictor, session_id).values()
        answers.append(steps)
    assert len(answers[0]) == len(answers[1])
    for index, (expected, found) in enumerate(zip(*answers)):
        assert_outputs(expected, found, least=0.9 if index == 0 else 0.98)


@torch.inference_mode()
def test_the_tracker_follows_clicks_equally(checkpoint, segmenter):
    """Meta's tracker on one clicked object; its state takes features that are there already."""
    from make_meta_track_goldens import Visual, pixels

    frames, (height, width) = clip_of("harbour")
    points, labels = torch.tensor([[28 / 136, 34 / 104]]), torch.tensor([1], dtype=torch.int32)
    reference = Visual(checkpoint)
    features = [reference.features(image) for image in pixels(frames, checkpoint.side, 0)]
    state = reference.tracker.init_state(
        video_height=height,
        video_width=width,
        num_frames=len(frames),
        offload_state_to_cpu=True,
        cached_features=dict(enumerate(features)),
    )
    own = compat.Sam3TrackerPredictor(segmenter)
    answers = []
    for tracker, inference_state in (
        (reference.tracker, state),
        (own, own.init_state(video_path=frames)),
    ):
        _, ids, _, masks = tracker.add_new_points_or_box(
            inference_state=inference_state, frame_idx=0, obj_id=1, points=points, labels=labels
        )
        found = [(0, list(ids), None, masks, None)]
        found += tracker.propagate_in_video(
            inference_state,
            start_frame_idx=0,
            max_frame_num_to_track=20,
            reverse=False,
            propagate_preflight=True,
        )
        answers.append([(one[0], list(one[1]), *one[2:]) for one in found])
    assert [one[:2] for one in answers[1]] == [one[:2] for one in answers[0]]
    for expected, found in zip(*answers):
        for one, other in zip(expected[2:4], found[2:4]):
            if one is not None:
                assert other.shape == one.shape and other.dtype == one.dtype
                assert iou(one > 0, other > 0) > 0.99
        if expected[4] is not None:
            assert found[4].shape == expected[4].shape


@torch.inference_mode()
@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize(
    "prompt",
    [
        {"point_coords": np.array([[28, 34]]), "point_labels": np.array([1])},
        {"point_coords": np.array([[28, 34], [90, 60]]), "point_labels": np.array([1, 0])},
        {"box": np.array([92, 23, 128, 61])},
        {"box": np.array([[92, 23, 128, 61], [10, 14, 50, 54]])},
        {
            "point_coords": np.array([[28, 34]]),
            "point_labels": np.array([0]),
            "box": np.array([10, 14, 50, 54]),
        },
    ],
    ids=["click", "clicks", "box", "boxes", "box and click"],
)
def test_the_interactive_predictor_is_equal(checkpoint, segmenter, prompt, multimask):
    from sam3.model.sam3_image_processor import Sam3Processor

    image = Image.fromarray(clip_of("harbour")[0][0])
    own = compat.build_sam3_image_model(checkpoint_path=segmenter, enable_inst_interactivity=True)
    answers = []
    for model, processor in (
        (checkpoint.interactive(), Sam3Processor),
        (own, compat.Sam3Processor),
    ):
        options = {} if model is own else {"resolution": checkpoint.side, "device": "cpu"}
        state = processor(model, **options).set_image(image)
        answers.append(model.predict_inst(state, multimask_output=multimask, **prompt))
    for expected, found in zip(*answers):
        assert found.shape == expected.shape and found.dtype == expected.dtype
    (masks, scores, logits), (own_masks, own_scores, own_logits) = answers
    assert np.allclose(own_scores, scores, atol=2e-3)
    assert np.allclose(own_logits, logits, atol=0.1)
    side = masks.shape[-2:]
    for one, other in zip(masks.reshape(-1, *side), own_masks.reshape(-1, *side)):
        assert iou(one > 0, other > 0) > 0.99
    again = {"mask_input": own_logits[:1]} if own_logits.ndim == 3 else None
    if again and "point_coords" in prompt and "box" not in prompt:
        refined, _, _ = own.predict_inst(state, multimask_output=False, **prompt, **again)
        assert refined.shape == (1, *side)

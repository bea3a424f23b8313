"""Meta's interactive and video predictors over a Segmenter.

tests/clients compares them with Meta's package itself.
"""

import numpy as np
import pytest
from clips import draw
from PIL import Image
from sam3trt import VideoSession
from sam3trt.compat import meta

CLICK = [28, 34]
REL_CLICK = [[28 / 136, 34 / 104]]


@pytest.fixture(scope="module")
def frames():
    """uint8 (104, 136, 3)."""
    return [draw("harbour", frame) for frame in range(6)]


class TestInteractive:
    @pytest.fixture
    def model(self, tracker):
        return meta.build_sam3_image_model(checkpoint_path=tracker, enable_inst_interactivity=True)

    def test_a_state_of_the_processor_takes_clicks(self, model, tracker, frames):
        state = meta.Sam3Processor(model, tensors="numpy").set_image(frames[0])
        masks, scores, logits = model.predict_inst(
            state, point_coords=np.array([CLICK]), point_labels=np.array([1])
        )
        expected = tracker.interact(frames[0], points=CLICK, multimask=True)[0].candidates
        assert masks.shape == (3, 104, 136) and masks.dtype == np.float32
        assert scores.shape == (3,) and logits.shape[0] == 3 and np.abs(logits).max() <= 32
        for mask, score, one in zip(masks, scores, expected):
            assert np.array_equal(mask > 0, one.mask) and score == pytest.approx(one.score)

    def test_the_best_logits_refine_the_mask(self, model, tracker, frames):
        predictor = model.inst_interactive_predictor
        predictor.set_image(Image.fromarray(frames[0]))
        clicks = {"point_coords": [CLICK], "point_labels": [1]}
        _, scores, logits = predictor.predict(**clicks)
        best = logits[np.argmax(scores)]
        masks, _, _ = predictor.predict(
            **clicks, mask_input=best[None, :, :], multimask_output=False
        )
        expected = tracker.interact(frames[0], points=CLICK, previous=best)
        assert masks.shape == (1, 104, 136) and np.array_equal(masks[0] > 0, expected[0].mask)

    def test_several_boxes_are_several_objects(self, model, frames):
        predictor = model.inst_interactive_predictor
        predictor.set_image(frames[0])
        boxes = np.array([[92, 23, 128, 61], [10, 14, 50, 54]])
        masks, scores, logits = predictor.predict(box=boxes, multimask_output=False)
        assert masks.shape == (2, 1, 104, 136) and scores.shape == (2, 1)
        one, _, _ = predictor.predict(box=boxes[1], multimask_output=False)
        assert np.array_equal(one, masks[1])

    def test_a_batch_of_images(self, model, frames):
        state = meta.Sam3Processor(model).set_image_batch([Image.fromarray(f) for f in frames[:2]])
        assert state["original_heights"] == [104, 104]
        points = [np.array([CLICK]), np.array([[CLICK], [[100, 40]]])]
        labels = [np.array([1]), np.array([[1], [1]])]
        masks, scores, logits = model.predict_inst_batch(
            state, points, labels, multimask_output=False
        )
        assert [one.shape for one in masks] == [(1, 104, 136), (2, 1, 104, 136)]
        assert len(scores) == len(logits) == 2

    def test_what_is_wrong_says_so(self, model, tracker, frames):
        predictor = model.inst_interactive_predictor
        with pytest.raises(RuntimeError, match="call set_image first"):
            predictor.predict(box=[1, 2, 30, 40])
        predictor.set_image(frames[0])
        with pytest.raises(ValueError, match="nothing to point at"):
            predictor.predict()
        with pytest.raises(ValueError, match="go with point_coords"):
            predictor.predict(point_coords=[CLICK])
        with pytest.raises(ValueError, match="as many objects in each"):
            predictor.predict([CLICK], [1], box=[[1, 2, 30, 40], [1, 2, 30, 50]])
        with pytest.raises(NotImplementedError, match="return_logits=True"):
            predictor.predict([CLICK], [1], return_logits=True)
        with pytest.raises(ValueError, match="checkpoint_path: name the folder"):
            meta.build_sam3_image_model()
        plain = meta.build_sam3_image_model(checkpoint_path=tracker)
        with pytest.raises(ValueError, match="enable_inst_interactivity=True"):
            plain.predict_inst({})
        with pytest.raises(ValueError, match="call set_image first"):
            model.predict_inst({}, box=[1, 2, 30, 40])


class TestVideos:
    @pytest.fixture
    def predictor(self, tracker):
        return meta.build_sam3_video_predictor(checkpoint_path=tracker)

    def ask(self, predictor, kind, session, **more):
        return predictor.handle_request({"type": kind, "session_id": session, **more})

    def start(self, predictor, video):
        request = {"type": "start_session", "resource_path": video}
        return predictor.handle_request(request)["session_id"]

    def run(self, predictor, session, **more):
        request = {"type": "propagate_in_video", "session_id": session, **more}
        return [
            (answer["frame_index"], answer["outputs"])
            for answer in predictor.handle_stream_request(request)
        ]

    def test_clicks_are_followed_both_ways(self, predictor, tracker, frames, tmp_path):
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(tmp_path / f"{index:05d}.png")
        session = self.start(predictor, str(tmp_path))
        prompt = {"frame_index": 2, "points": REL_CLICK, "point_labels": [1], "obj_id": 4}
        answer = self.ask(predictor, "add_prompt", session, **prompt)
        assert answer["frame_index"] == 2
        outputs = answer["outputs"]
        assert outputs["out_obj_ids"].tolist() == [4] and outputs["out_probs"].tolist() == [1.0]
        assert outputs["out_obj_ids"].dtype == np.int64
        assert outputs["out_binary_masks"].shape == (1, 104, 136)
        found = self.run(predictor, session)
        assert [frame for frame, _ in found] == [2, 3, 4, 5, 1, 0]
        expected = VideoSession(tracker)
        expected.add(4, points=CLICK, frame=2)
        (result,) = expected.step(frames[2], 2)
        mask = found[0][1]["out_binary_masks"][0]
        assert (mask & result[0].mask).sum() / (mask | result[0].mask).sum() > 0.9
        x, y, width, height = found[0][1]["out_boxes_xywh"][0] * [136, 104, 136, 104]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = [columns[0], rows[0], columns[-1] - columns[0], rows[-1] - rows[0]]
        assert np.allclose([x, y, width, height], box, atol=1e-3)

    def test_frames_are_run_again_only_after_a_change(self, predictor, frames, monkeypatch):
        session = self.start(predictor, frames)
        prompt = {"points": REL_CLICK, "point_labels": [1]}
        self.ask(predictor, "add_prompt", session, frame_index=0, obj_id=1, **prompt)
        first = self.run(predictor, session)
        steps = []
        step = VideoSession.step
        monkeypatch.setattr(VideoSession, "step", lambda *a: steps.append(a[-1]) or step(*a))
        again = self.run(predictor, session)
        assert steps == [] and len(again) == len(first) == 6
        for (_, one), (_, other) in zip(first, again):
            assert np.array_equal(one["out_binary_masks"], other["out_binary_masks"])
        self.ask(predictor, "add_prompt", session, frame_index=0, obj_id=2, **prompt)
        found = self.run(predictor, session, max_frame_num_to_track=3)
        assert [frame for frame, _ in found] == [0, 1, 2, 3] and steps == [0, 0, 1, 2, 3]
        assert {tuple(outputs["out_obj_ids"]) for _, outputs in found} == {(1, 2)}
        masks = found[0][1]["out_binary_masks"]
        assert not (masks[0] & masks[1]).any()  # a pixel is one object's
        self.ask(predictor, "remove_object", session, obj_id=1)
        assert all(
            out["out_obj_ids"].tolist() in ([2], []) for _, out in self.run(predictor, session)
        )

    def test_a_text_begins_anew_and_is_followed(self, predictor, tracker):
        clip = [draw("meadow", frame) for frame in range(20)]
        session = self.start(predictor, clip)
        self.ask(
            predictor,
            "add_prompt",
            session,
            frame_index=3,
            points=REL_CLICK,
            point_labels=[1],
            obj_id=9,
        )
        answer = self.ask(predictor, "add_prompt", session, frame_index=0, text="red apple")
        assert 9 not in answer["outputs"]["out_obj_ids"]
        found = self.run(predictor, session, propagation_direction="forward")
        expected = VideoSession(tracker, clip, length=20)
        expected.add(text="red apple")
        results = list(expected)
        assert [frame for frame, _ in found] == [result.frame for result in results]
        for (_, outputs), result in zip(found, results):
            assert outputs["out_obj_ids"].tolist() == result.ids.tolist()
            assert np.array_equal(outputs["out_binary_masks"], result.masks)
            assert np.allclose(outputs["out_probs"], result.scores)

    def test_sessions_end_and_begin_anew(self, predictor, frames):
        session = self.start(predictor, frames[0:1])
        with pytest.raises(RuntimeError, match="no prompts yet"):
            self.run(predictor, session)
        prompt = {"frame_index": 0, "points": REL_CLICK, "point_labels": [1], "obj_id": 1}
        self.ask(predictor, "add_prompt", session, **prompt)
        assert self.ask(predictor, "reset_session", session) == {"is_success": True}
        with pytest.raises(RuntimeError, match="no prompts yet"):
            self.run(predictor, session)
        for _ in range(2):
            assert self.ask(predictor, "close_session", session) == {"is_success": True}
        with pytest.raises(RuntimeError, match=f"Cannot find session {session}"):
            self.run(predictor, session)

    def test_what_is_wrong_says_so(self, predictor, tracker):
        session = self.start(predictor, [draw("meadow", frame) for frame in range(2)])
        ask = self.ask
        with pytest.raises(RuntimeError, match="invalid request type: cancel"):
            ask(predictor, "cancel", session)
        with pytest.raises(RuntimeError, match="invalid request type: add_prompt"):
            next(predictor.handle_stream_request({"type": "add_prompt"}))
        with pytest.raises(ValueError, match="give text, bounding_boxes or points"):
            ask(predictor, "add_prompt", session, frame_index=0)
        with pytest.raises(ValueError, match="expected 0 to 1, found 2"):
            ask(predictor, "add_prompt", session, frame_index=2, text="red apple")
        with pytest.raises(ValueError, match="need the obj_id"):
            ask(predictor, "add_prompt", session, frame_index=0, points=REL_CLICK)
        with pytest.raises(ValueError, match=r"in 0..1 of the frame"):
            boxes = {"bounding_boxes": [[1, 2, 30, 40]], "bounding_box_labels": [1]}
            ask(predictor, "add_prompt", session, frame_index=0, text="red apple", **boxes)
        answer = ask(predictor, "add_prompt", session, frame_index=0, text="red apple")
        number = int(answer["outputs"]["out_obj_ids"][0])
        click = {"points": REL_CLICK, "point_labels": [1], "obj_id": number}
        with pytest.raises(NotImplementedError, match="found by a text.*remove_object first"):
            ask(predictor, "add_prompt", session, frame_index=0, **click)
        with pytest.raises(RuntimeError, match="no object 99"):
            ask(predictor, "remove_object", session, obj_id=99)
        with pytest.raises(ValueError, match="propagation_direction"):
            self.run(predictor, session, propagation_direction="up")
        with pytest.raises(NotImplementedError, match="apply_temporal_disambiguation=False"):
            meta.build_sam3_video_predictor(tracker, apply_temporal_disambiguation=False)
        with pytest.raises(FileNotFoundError, match=r"'sam3.pt' is not a folder"):
            meta.build_sam3_video_predictor(checkpoint_path="sam3.pt")
        with pytest.warns(UserWarning, match="1 is used, not"), pytest.raises(FileNotFoundError):
            meta.build_sam3_video_predictor("sam3.pt", gpus_to_use=[1, 2])


class TestTracker:
    def test_points_boxes_and_masks_are_followed(self, tracker, frames):
        predictor = meta.build_sam3_video_model(checkpoint_path=tracker).tracker
        predictor._tensor = np.asarray
        state = predictor.init_state(video_path=frames)
        frame, ids, low, masks = predictor.add_new_points_or_box(
            inference_state=state, frame_idx=0, obj_id=1, points=REL_CLICK, labels=[1]
        )
        assert (frame, ids, low) == (0, [1], None) and masks.shape == (1, 1, 104, 136)
        box = np.array([92, 23, 128, 61], dtype=np.float32)
        predictor.add_new_points_or_box(state, 0, 3, box=box, rel_coordinates=False)
        _, ids, _, masks = predictor.add_new_mask(state, 0, 2, masks[0, 0] > 0)
        assert ids == [1, 3, 2]
        found = list(
            predictor.propagate_in_video(
                state, start_frame_idx=0, max_frame_num_to_track=3, reverse=False
            )
        )
        assert [one[0] for one in found] == [0, 1, 2, 3]
        _, ids, low, large, scores = found[-1]
        assert low.shape[:2] == (3, 1) and large.shape == (3, 1, 104, 136)
        assert scores.shape == (3, 1)
        assert predictor.remove_object(state, 3) == ([1, 2], [])
        with pytest.raises(RuntimeError, match="no object 3"):
            predictor.remove_object(state, 3, strict=True)
        predictor.clear_all_points_in_video(state)
        with pytest.raises(RuntimeError, match="No points are provided"):
            next(predictor.propagate_in_video(state, 0, 3, False))

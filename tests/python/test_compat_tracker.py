"""transformers' classes of the tracker over a Segmenter, against what those classes gave.

tests/clients runs the same code with transformers itself.
"""

import json

import numpy as np
import pytest
from clips import GOLDENS, decode, draw
from PIL import Image
from sam3trt.compat import transformers as compat
from sam3trt.compat.tensors import logits_of

RUNS = {
    run["name"]: run
    for run in json.loads((GOLDENS / "video_a.tracks.json").read_text(encoding="utf-8"))["runs"]
}
CLICK = [96.0, 114.0]
BOXES = [[34.0, 52.0, 158.0, 177.0], [340.0, 250.0, 467.0, 372.0]]


def iou(left, right):
    left, right = np.asarray(left, bool), np.asarray(right, bool)
    together = (left | right).sum()
    return 1.0 if together == 0 else (left & right).sum() / together


def probability(logit):
    return 1 / (1 + np.exp(-float(logit)))


@pytest.mark.parametrize("logit", [-30.0, -1.5, 0.0, 14.5561, 20.0, 30.0])
def test_the_logit_of_a_probability_can_be_told_where_float32_would_say_1(logit):
    assert logits_of([probability(logit)]) == pytest.approx([logit], abs=2e-3)


def test_logits_of_certain_probabilities_are_finite():
    assert np.isfinite(logits_of([0.0, 1.0])).all()


def frames_of(run):
    first, last = sorted((run["first"], run["last"]))
    return [draw(run["clip"], index) for index in range(last + 1)]


class TestImages:
    @pytest.fixture
    def model(self, segmenter):
        return compat.Sam3TrackerModel(segmenter)

    @pytest.fixture
    def processor(self, graphs):
        return compat.Sam3TrackerProcessor.from_pretrained(graphs)

    @pytest.fixture
    def image(self, drawn):
        return Image.open(drawn[0]).convert("RGB")

    def test_a_click_gives_three_masks_with_their_scores(self, model, processor, segmenter, image):
        inputs = processor(
            images=image, input_points=[[[CLICK]]], input_labels=[[[1]]], return_tensors="np"
        ).to(model.device)
        assert inputs.input_points.shape == (1, 1, 1, 2) and inputs.input_labels.dtype == np.int64
        outputs = model(**inputs)
        assert outputs.iou_scores.shape == (1, 1, 3) and outputs.iou_scores.dtype == np.float32
        assert outputs.object_score_logits.shape == (1, 1, 1)
        side = outputs.pred_masks.shape[-1]
        assert outputs.pred_masks.shape == (1, 1, 3, side, side)
        assert outputs[0] is outputs.iou_scores and outputs["pred_masks"] is outputs.pred_masks
        (masks,) = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])
        assert masks.shape == (1, 3, 440, 640) and masks.dtype == bool
        expected = segmenter.interact(image, points=CLICK, multimask=True)[0]
        for mask, score, one in zip(masks[0], outputs.iou_scores[0, 0], expected.candidates):
            assert iou(mask, one.mask) > 0.999 and score == pytest.approx(one.score)
        (logits,) = processor.post_process_masks(
            outputs.pred_masks, inputs["original_sizes"], binarize=False
        )
        assert logits.dtype == np.float32 and np.array_equal(logits > 0, masks)

    def test_a_batch_is_filled_up_to_the_most_objects_and_points(self, model, processor, drawn):
        images = [Image.open(path).convert("RGB") for path in drawn]
        inputs = processor(
            images=images,
            input_points=[[[CLICK]], [[CLICK, [40.0, 60.0]], [[400.0, 300.0]]]],
            input_labels=[[[1]], [[1, 0], [1]]],
        )
        assert inputs.input_points.shape == (2, 2, 2, 2)
        assert inputs.input_labels.tolist() == [[[1, -10], [-10, -10]], [[1, 0], [1, -10]]]
        outputs = model(**inputs, multimask_output=False)
        assert outputs.pred_masks.shape[:3] == (2, 2, 1)
        masks = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])
        assert [len(some) for some in masks] == [2, 2]

    def test_filling_up_is_attended_to(self, model, processor, image):
        alone = processor(images=image, input_points=[[[CLICK]]], input_labels=[[[1]]])
        filled = processor(
            images=image, input_points=[[[CLICK, [0.0, 0.0]]]], input_labels=[[[1, -10]]]
        )
        difference = np.abs(model(**alone).pred_masks - model(**filled).pred_masks).max()
        assert 0.01 < difference < 20

    def test_boxes_need_no_labels(self, model, processor, segmenter, image):
        inputs = processor(images=image, input_boxes=[BOXES])
        outputs = model(**inputs, multimask_output=False)
        (masks,) = processor.post_process_masks(outputs.pred_masks, inputs.original_sizes)
        for mask, one in zip(masks, segmenter.interact(image, box=BOXES)):
            assert iou(mask[0], one.mask) > 0.999

    def test_embeddings_and_a_mask_are_used_again(self, model, processor, segmenter, image):
        inputs = processor(images=image, input_points=[[[CLICK]]], input_labels=[[[1]]])
        first = model(**inputs)
        best = int(first.iou_scores.squeeze().argmax())
        more = processor(
            input_points=[[[CLICK, [40.0, 60.0]]]],
            input_labels=[[[1, 0]]],
            original_sizes=inputs["original_sizes"],
        )
        refined = model(
            **more,
            input_masks=first.pred_masks[:, :, best],
            image_embeddings=first.image_embeddings,
            multimask_output=False,
        )
        expected = segmenter.interact(
            image,
            points=[CLICK, [40.0, 60.0]],
            labels=[1, 0],
            previous=first.pred_masks[0, 0, best],
        )
        assert np.abs(refined.pred_masks[0, 0, 0] - expected[0].logits).max() < 1e-4

    def test_masks_can_be_parted(self, processor):
        masks = np.array([[[[3.0]]], [[[5.0]]]], dtype=np.float32)
        (parted,) = processor.post_process_masks(
            [masks], [[2, 2]], apply_non_overlapping_constraints=True
        )
        assert not parted[0].any() and parted[1].all()

    def test_what_is_wrong_says_so(self, model, processor, image):
        def both(**prompts):
            return model(**processor(images=image, **prompts))

        with pytest.raises(ValueError, match=r"4 levels of lists \[image, object, point, coord"):
            processor(images=image, input_points=[[CLICK]], input_labels=[[1]])
        with pytest.raises(ValueError, match="differ in their numbers"):
            processor(images=image, input_points=[[[CLICK]]], input_labels=[[[1, 1]]])
        with pytest.raises(ValueError, match="give images or original_sizes"):
            processor(input_points=[[[CLICK]]])
        with pytest.raises(ValueError, match="each image needs as many"):
            processor(images=[image, image], input_boxes=[BOXES, BOXES[:1]])
        with pytest.raises(NotImplementedError, match="segmentation_maps"):
            processor(images=image, segmentation_maps=image)
        with pytest.raises(ValueError, match="expected 1 .* or 0"):
            both(input_points=[[[CLICK]]], input_labels=[[[-1]]])
        with pytest.raises(ValueError, match="nothing points at it"):
            both()
        with pytest.raises(ValueError, match="pixel_values or image_embeddings"):
            model(input_points=[[[CLICK]]])
        with pytest.raises(NotImplementedError, match="target_embedding"):
            model(**processor(images=image, input_boxes=[BOXES]), target_embedding=1)


class TestMaskGeneration:
    @pytest.fixture
    def generator(self, segmenter):
        return compat.pipeline("mask-generation", model=segmenter)

    def test_everything_in_an_image(self, generator, segmenter, drawn):
        image = Image.open(drawn[0]).convert("RGB")
        expected = segmenter.everything(image, points_per_side=8, min_iou=0.7, min_stability=0.6)
        assert len(expected) > 2
        assert (np.diff(expected.scores) <= 0).all() and expected.scores.min() > 0.7
        options = {"points_per_crop": 8, "pred_iou_thresh": 0.7, "stability_score_thresh": 0.6}
        outputs = generator(str(drawn[0]), **options, output_rle_mask=True, output_bboxes_mask=True)
        assert len(outputs["masks"]) == len(expected)
        for mask, rle, one in zip(outputs["masks"], outputs["rle_mask"], expected):
            assert mask.dtype == bool and np.array_equal(mask, one.mask)
            assert rle["size"] == [440, 640] and sum(rle["counts"]) == 440 * 640
        assert np.allclose(outputs["scores"], expected.scores)
        assert np.allclose(outputs["bounding_boxes"], expected.boxes)
        (first, second) = generator([image, image], **options)
        assert set(first) == {"masks", "scores"} and len(second["masks"]) == len(expected)

    def test_the_program_gives_the_same(self, segmenter, infer, drawn):
        more = [
            "--everything",
            "--points-per-side",
            "8",
            "--min-iou",
            "0.7",
            "--min-stability",
            "0.6",
        ]
        (entry,) = infer("--image", drawn[0], *more)
        expected = segmenter.everything(drawn[0], points_per_side=8, min_iou=0.7, min_stability=0.6)
        assert [one["mask"] for one in entry["objects"]] == expected.rle
        assert expected.to_entry()["objects"][0]["area"] == entry["objects"][0]["area"]

    def test_what_is_wrong_says_so(self, generator, segmenter, drawn):
        with pytest.raises(NotImplementedError, match="'image-segmentation': sam3trt has"):
            compat.pipeline("image-segmentation", model=segmenter)
        with pytest.raises(ValueError, match="name the folder"):
            compat.pipeline("mask-generation")
        with pytest.raises(NotImplementedError, match="crops_n_layers"):
            generator(drawn[0], crops_n_layers=1)
        with pytest.raises(ValueError, match="points_per_side: expected 1 to 256, found 0"):
            segmenter.everything(drawn[0], points_per_side=0)
        with pytest.raises(ValueError, match="missing.png"):
            segmenter.everything("missing.png")
        with pytest.raises(ValueError):
            segmenter.everything(drawn[0], min_iou=7)


class TestVideos:
    @pytest.fixture
    def model(self, tracker):
        return compat.Sam3TrackerVideoModel(tracker).to("cpu").eval()

    @pytest.fixture
    def processor(self):
        return compat.Sam3TrackerVideoProcessor()

    def add(self, processor, session, run, after, frame=None):
        added = False
        for entry in run["prompts"]:
            if entry.get("after", False) != after or frame not in (None, entry["frame"]):
                continue
            given = {}
            if "points" in entry:
                given["input_points"] = [[entry["points"]]]
                given["input_labels"] = [[entry["point_labels"]]]
            if "box" in entry:
                given["input_boxes"] = [[entry["box"]]]
            if "mask" in entry:
                given["input_masks"] = [decode(entry["mask"])]
            processor.add_inputs_to_inference_session(session, entry["frame"], entry["id"], **given)
            added = True
        return added

    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])
    @pytest.mark.parametrize("name", ["harbour_objects", "harbour_corrected", "harbour_backwards"])
    def test_clips_are_tracked_as_transformers_does(self, model, processor, name, streaming):
        run = RUNS[name]
        clip = frames_of(run)
        session = processor.init_video_session(None if streaming else clip, inference_device="cpu")
        self.add(processor, session, run, after=False)
        step = 1 if run["first"] <= run["last"] else -1
        for index, expected in zip(
            range(run["first"], run["last"] + step, step), run["frames"], strict=True
        ):
            frame = {"frame": clip[index]} if streaming else {}
            outputs = model(session, frame_idx=index, reverse=step < 0, **frame)
            if self.add(processor, session, run, after=True, frame=index):
                outputs = model(session, frame_idx=index, **frame)
            assert outputs.frame_idx == index
            count = len(session.obj_ids)
            assert outputs.pred_masks.shape[:2] == (count, 1)
            assert outputs.object_score_logits.shape == (count, 1)
            (masks,) = processor.post_process_masks([outputs.pred_masks], [session_size(session)])
            found = dict(zip(outputs.object_ids, masks))
            for one in expected["objects"]:
                assert iou(found[one["id"]][0], decode(one["mask"])) > 0.99
                logit = outputs.object_score_logits[outputs.object_ids.index(one["id"]), 0]
                expected_logit = one["object_score_logit"]
                assert probability(logit) == pytest.approx(probability(expected_logit), abs=1e-3)

    def test_the_iterator_goes_from_the_first_prompt_to_the_end(self, model, processor):
        run = RUNS["harbour_objects"]
        session = processor.init_video_session(np.stack(frames_of(run)[:6]))
        assert session.num_frames == 6 and session_size(session) == [104, 136]
        processor.add_inputs_to_inference_session(
            inference_session=session,
            frame_idx=2,
            obj_ids=[5, 9],
            input_points=[[[[28, 34]], [[100, 40], [5, 5]]]],
            input_labels=[[[1], [1, 0]]],
        )
        model(inference_session=session, frame_idx=2)
        outputs = list(model.propagate_in_video_iterator(session))
        assert [one.frame_idx for one in outputs] == [2, 3, 4, 5]
        assert all(one.object_ids == [5, 9] for one in outputs)
        some = list(
            model.propagate_in_video_iterator(
                session, start_frame_idx=2, max_frame_num_to_track=1, reverse=True
            )
        )
        assert [one.frame_idx for one in some] == [2, 1]
        assert [len(one.pred_masks) for one in some] == [2, 2]
        assert not list(model.propagate_in_video_iterator(session, 0, reverse=True))

    def test_more_clicks_come_beside_or_in_place_of_the_old_ones(self, model, processor):
        clip = frames_of(RUNS["harbour_objects"])[:1]
        results = []
        for steps in (
            [([[28, 34], [5, 5]], [1, 0], True)],
            [([[28, 34]], [1], True), ([[5, 5]], [0], False)],
            [([[90, 60]], [1], True), ([[28, 34], [5, 5]], [1, 0], True)],
        ):
            session = processor.init_video_session(clip)
            for points, labels, clear in steps:
                processor.add_inputs_to_inference_session(
                    session, 0, 1, [[points]], [[labels]], clear_old_inputs=clear
                )
            results.append(model(session, frame_idx=0).pred_masks)
        assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])

    def test_an_object_that_comes_later_is_not_there_before(self, model, processor):
        session = processor.init_video_session(frames_of(RUNS["harbour_objects"])[:3])
        for frame, number, point in ((0, 7, [28, 34]), (1, 3, [100, 40])):
            processor.add_inputs_to_inference_session(session, frame, number, [[[point]]], [[[1]]])
        outputs = list(model.propagate_in_video_iterator(session))
        assert [one.object_ids for one in outputs] == [[7, 3]] * 3
        assert (np.asarray(outputs[0].pred_masks[1]) == -1024).all()
        assert (np.asarray(outputs[1].pred_masks[1]) > -1024).any()

    def test_a_reset_forgets_the_objects(self, model, processor):
        session = processor.init_video_session(frames_of(RUNS["harbour_objects"])[:2])
        processor.add_inputs_to_inference_session(session, 0, 1, [[[[28, 34]]]], [[[1]]])
        model(session, frame_idx=0)
        session.reset_inference_session()
        assert session.obj_ids == [] and session.get_obj_num() == 0
        with pytest.raises(ValueError, match="no objects: call add_inputs"):
            model(session, frame_idx=0)
        processor.add_inputs_to_inference_session(session, 0, 2, [[[[28, 34]]]], [[[1]]])
        assert model(session, frame_idx=0).object_ids == [2]

    def test_what_is_wrong_says_so(self, model, processor, segmenters):
        clip = frames_of(RUNS["harbour_objects"])[:2]
        session = processor.init_video_session(clip)
        add = processor.add_inputs_to_inference_session
        with pytest.raises(ValueError, match="go together"):
            add(session, 0, 1, input_points=[[[[28, 34]]]])
        with pytest.raises(ValueError, match="2 entries for 1 object ids"):
            add(session, 0, 1, input_boxes=[[[1, 2, 30, 40], [1, 2, 30, 40]]])
        with pytest.raises(ValueError, match="leave clear_old_inputs True"):
            add(session, 0, 1, input_boxes=[[[1, 2, 30, 40]]], clear_old_inputs=False)
        with pytest.raises(ValueError, match="masks do not go together"):
            add(session, 0, 1, input_boxes=[[[1, 2, 30, 40]]], input_masks=[clip[0][..., 0]])
        add(session, 1, 1, [[[[28, 34]]]], [[[1]]])
        with pytest.raises(ValueError, match="none of the objects is there yet.*pointed at, 1"):
            model(session, frame_idx=0)
        with pytest.raises(ValueError, match="expected 0 to 1, found 2"):
            model(session, frame_idx=2)
        with pytest.raises(ValueError, match="has a whole video"):
            model(session, frame=clip[0])
        with pytest.raises(NotImplementedError, match="run_mem_encoder=False"):
            model(session, frame_idx=1, run_mem_encoder=False)
        with pytest.raises(ValueError, match="another model"):
            compat.Sam3TrackerVideoModel(segmenters("video_c"))(session, frame_idx=1)
        with pytest.raises(ValueError, match="needs the video"):
            streaming = processor.init_video_session()
            add(streaming, 0, 1, [[[[28, 34]]]], [[[1]]], original_size=(104, 136))
            next(model.propagate_in_video_iterator(streaming))
        with pytest.raises(FileNotFoundError, match="'missing.mp4' is neither"):
            processor.init_video_session("missing.mp4")
        with pytest.raises(TypeError, match="expected a path, a list of images"):
            processor.init_video_session(3)


def session_size(session):
    return [session.video_height, session.video_width]


class TestTexts:
    @pytest.fixture
    def model(self, tracker):
        return compat.Sam3VideoModel(tracker)

    @pytest.fixture
    def processor(self):
        return compat.Sam3VideoProcessor()

    def compare(self, run, found):
        assert [frame for frame, _ in found] == [frame["frame"] for frame in run["frames"]]
        for (_, results), frame in zip(found, run["frames"]):
            expected = frame["objects"]
            assert results["object_ids"].tolist() == [one["id"] for one in expected]
            texts = {}
            for one in expected:
                texts.setdefault(one["prompt"], []).append(one["id"])
            assert results["prompt_to_obj_ids"] == texts
            for index, one in enumerate(expected):
                assert iou(results["masks"][index], decode(one["mask"])) > 0.99
                assert float(results["scores"][index]) == pytest.approx(one["score"], abs=1e-3)
                assert np.abs(np.asarray(results["boxes"][index]) - one["box"]).max() <= 1

    def test_a_whole_video_gives_what_transformers_gives(self, model, processor):
        run = RUNS["meadow_texts"]
        session = processor.init_video_session(
            video=frames_of(run), inference_device="cpu", processing_device="cpu"
        )
        assert processor.add_text_prompt(inference_session=session, text=run["texts"]) is session
        found = [
            (outputs.frame_idx, processor.postprocess_outputs(session, outputs))
            for outputs in model.propagate_in_video_iterator(inference_session=session)
        ]
        self.compare(run, found)
        assert session.prompts == dict(enumerate(run["texts"]))

    def test_frames_one_by_one_give_what_transformers_gives(self, model, processor):
        run = RUNS["meadow_texts_live"]
        session = processor.init_video_session(inference_device="cpu")
        for text in run["texts"]:
            processor.add_text_prompt(session, text)
        found = []
        for frame in frames_of(run):
            inputs = processor(images=frame, device="cpu", return_tensors="np")
            outputs = model(inference_session=session, frame=inputs.pixel_values[0], reverse=False)
            results = processor.postprocess_outputs(
                session, outputs, original_sizes=inputs.original_sizes
            )
            found.append((outputs.frame_idx, results))
        self.compare(run, found)
        assert session.num_frames == len(found)

    def test_outputs_have_logits_and_scores_by_id(self, model, processor):
        run = RUNS["meadow_texts"]
        session = processor.init_video_session(frames_of(run)[:3])
        processor.add_text_prompt(session, run["texts"])
        outputs = model(session, frame_idx=0)
        results = processor.postprocess_outputs(session, outputs)
        assert outputs.object_ids == results["object_ids"].tolist() == [0, 1, 2]
        assert results["masks"].shape == (3, 72, 96)
        for name in ("obj_id_to_mask", "obj_id_to_score", "obj_id_to_tracker_score"):
            assert list(outputs[name]) == outputs.object_ids
        assert outputs.obj_id_to_mask[0].shape[0] == 1
        assert session.obj_ids == [0, 1, 2] and set(session.obj_id_to_prompt_id) == {0, 1, 2}
        session.remove_object(0)
        assert session.obj_ids == [1, 2]
        session.remove_object(0)
        with pytest.raises(RuntimeError, match="no object 0"):
            session.remove_object(0, strict=True)

    def test_the_iterator_takes_as_many_frames_as_asked_after_the_first(self, model, processor):
        run = RUNS["meadow_texts"]
        session = processor.init_video_session(frames_of(run)[:8])
        processor.add_text_prompt(session, "red apple")
        outputs = model.propagate_in_video_iterator(session, 1, max_frame_num_to_track=3)
        assert [one.frame_idx for one in outputs] == [1, 2, 3, 4]
        session.reset_state()
        assert session.prompts == {} and session.obj_ids == []
        processor.add_text_prompt(session, "red apple")
        back = model.propagate_in_video_iterator(session, start_frame_idx=3, reverse=True)
        assert [one.frame_idx for one in back] == [2, 1, 0]

    def test_what_is_wrong_says_so(self, model, processor):
        clip = frames_of(RUNS["meadow_texts"])[:2]
        session = processor.init_video_session(clip)
        with pytest.raises(ValueError, match="no texts: call add_text_prompt"):
            model(session, frame_idx=0)
        with pytest.raises(TypeError, match="expected a str or a list"):
            processor.add_text_prompt(session, [3])
        processor.add_text_prompt(session, "red apple")
        outputs = model(session, frame_idx=0)
        with pytest.raises(ValueError, match="use one session for each"):
            list(model.propagate_in_video_iterator(session))
        with pytest.raises(ValueError, match="frame's own height and width"):
            processor.postprocess_outputs(session, outputs, original_sizes=[[10, 10]])
        with pytest.raises(AttributeError, match="the outputs have no 'pred_masks'"):
            outputs.pred_masks  # noqa: B018
        with pytest.raises(ValueError, match="it has no frames"):
            processor.init_video_session([])


def test_a_video_file_is_read_where_it_is_asked_for(tmp_path, program):
    """In any order, each frame as the program reads it."""
    import subprocess

    from sam3trt.compat.video_frames import frames_of as open_video

    for index in range(7):
        Image.fromarray(draw("harbour", index)).save(tmp_path / f"{index}.png")
    video = tmp_path / "clip.mkv"
    command = ["ffmpeg", "-v", "error", "-framerate", "25", "-i", tmp_path / "%d.png"]
    subprocess.run([*map(str, command), "-c:v", "ffv1", str(video)], check=True)
    expected = [draw("harbour", index) for index in range(7)]
    for source in (video, tmp_path / "%d.png", [tmp_path / f"{i}.png" for i in range(7)]):
        frames = open_video(str(source) if not isinstance(source, list) else source)
        assert len(frames) == 7 and frames.size == (104, 136)
        for index in (0, 1, 1, 5, 4, 3, 0, 6, 5, 6, 2):
            difference = frames[index].rgb().astype(int) - expected[index]
            assert np.abs(difference).max() <= 2, index
        with pytest.raises(IndexError):
            frames[7]

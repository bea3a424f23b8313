"""The interfaces of other libraries, against the Segmenter they stand over.

tests/clients compares them with those libraries themselves.
"""

import numpy as np
import pytest
from conftest import TEXTS
from PIL import Image
from sam3trt.compat import meta, transformers, ultralytics

BOX = [34.0, 52.0, 158.0, 177.0]
OTHER = [340.0, 250.0, 467.0, 372.0]


@pytest.fixture
def image(drawn):
    return Image.open(drawn[1]).convert("RGB")


@pytest.fixture
def pixels(image):
    return np.asarray(image)


def same(left, right, tolerance=1e-6):
    left, right = np.asarray(left), np.asarray(right)
    assert left.shape == right.shape
    assert np.allclose(left, right, rtol=0, atol=tolerance)


class TestTransformers:
    @pytest.fixture
    def model(self, segmenter):
        return transformers.Sam3Model(segmenter)

    @pytest.fixture
    def processor(self, graphs):
        return transformers.Sam3Processor.from_pretrained(graphs)

    def found(self, processor, outputs, inputs, **thresholds):
        sizes = inputs["original_sizes"].tolist()
        return processor.post_process_instance_segmentation(
            outputs, target_sizes=sizes, **thresholds
        )

    def test_results_are_the_segmenter_s(self, model, processor, segmenter, image, pixels):
        inputs = processor(images=image, text="triangle", return_tensors="np").to("cpu")
        outputs = model.to("cpu").eval()(**inputs)
        for threshold in (0.3, 0.9):
            (result,) = self.found(processor, outputs, inputs, threshold=threshold)
            expected = segmenter(pixels, text="triangle", threshold=threshold)
            assert set(result) == {"scores", "boxes", "masks"}
            assert result["masks"].dtype == np.int64
            for key, value in result.items():
                same(value, expected.to_dict()[key])
        assert len(result["scores"]) == 1

    def test_the_threshold_is_that_of_transformers(self, model, processor, segmenter, pixels):
        inputs = processor(images=pixels, text="triangle")
        (result,) = self.found(processor, model(**inputs), inputs)
        same(result["scores"], segmenter(pixels, text="triangle", threshold=0.3).scores)

    def test_a_batch_pairs_images_and_texts(self, model, processor, segmenter, drawn, pixels):
        turned = np.ascontiguousarray(np.rot90(pixels))
        inputs = processor(images=[drawn[0], turned.transpose(2, 0, 1)], text=TEXTS[:2])
        assert inputs.original_sizes.tolist() == [[440, 640], [640, 440]]
        results = self.found(processor, model(**inputs), inputs)
        first = segmenter(np.asarray(Image.open(drawn[0]).convert("RGB")), text=TEXTS[0])
        assert len(first) and len(results[1]["scores"]) >= 1
        same(results[0]["masks"], first.masks)
        assert results[1]["masks"].shape[1:] == (640, 440)

    def test_boxes_are_examples(self, model, processor, segmenter, image, pixels):
        inputs = processor(images=image, input_boxes=[[BOX, OTHER]], input_boxes_labels=[[1, 0]])
        (result,) = self.found(processor, model(**inputs), inputs)
        expected = segmenter(pixels, boxes=[BOX, OTHER], labels=[1, 0], threshold=0.3)
        assert len(expected)
        same(result["boxes"], expected.boxes)
        padded = processor(images=image, input_boxes=[[BOX, OTHER]], input_boxes_labels=[[1, -10]])
        (result,) = self.found(processor, model(**padded), padded)
        same(result["boxes"], segmenter(pixels, boxes=[BOX], threshold=0.3).boxes)

    def test_encoded_images_and_texts_are_used_again(self, model, processor, image):
        encoded = processor(images=image)
        features = model.get_vision_features(pixel_values=encoded.pixel_values)
        for text in TEXTS[:2]:
            texts = processor(text=text)
            outputs = model(vision_embeds=features, **texts)
            embeds = model.get_text_features(**texts).pooler_output
            again = model(vision_embeds=features, text_embeds=embeds)
            (result,) = self.found(processor, outputs, encoded)
            assert len(result["scores"]) >= 1
            same(self.found(processor, again, encoded)[0]["scores"], result["scores"])

    def test_object_detection_is_without_masks(self, model, processor, image):
        inputs = processor(images=image, text="triangle")
        outputs = model(**inputs)
        (result,) = processor.post_process_object_detection(outputs, target_sizes=[(440, 640)])
        assert set(result) == {"scores", "boxes"}
        same(result["boxes"], self.found(processor, outputs, inputs)[0]["boxes"])

    def test_an_image_is_flattened_onto_white(self, processor):
        image = Image.new("RGBA", (4, 3), (10, 20, 30, 0))
        assert (processor(images=image).pixel_values[0] == 255).all()

    def test_what_differs_says_so(self, model, processor, image, tmp_path):
        inputs = processor(images=image, text="triangle")
        outputs = model(**inputs)
        for sizes in (None, [(100, 100)]):
            with pytest.raises(ValueError, match=r"own heights and widths, \[\[440, 640\]\]"):
                processor.post_process_instance_segmentation(outputs, target_sizes=sizes)
        with pytest.raises(AttributeError, match="no 'pred_masks'"):
            outputs.pred_masks  # noqa: B018
        with pytest.raises(ValueError, match="not on cuda"):
            model.to("cuda:1")
        with pytest.raises(FileNotFoundError, match="'facebook/sam3' is not a folder"):
            transformers.Sam3Model.from_pretrained("facebook/sam3")
        with pytest.raises(ValueError, match="2 entries for 1 images"):
            model(**processor(images=image, text=["a", "b"]))
        with pytest.raises(ValueError, match="neither a text nor boxes"):
            model(**processor(images=image))
        with pytest.raises(ValueError, match="expected 'pt' or 'np'"):
            processor(images=image, return_tensors="tf")
        with pytest.raises(ValueError, match="differ in length"):
            processor(images=image, input_boxes=[[BOX]], input_boxes_labels=[[1, 0]])


class TestMeta:
    @pytest.fixture
    def processor(self, segmenter):
        return meta.Sam3Processor(segmenter, tensors="numpy", confidence_threshold=0.4)

    @staticmethod
    def in_parts(box):
        x0, y0, x1, y1 = box
        return [(x0 + x1) / 1280, (y0 + y1) / 880, (x1 - x0) / 640, (y1 - y0) / 440]

    def test_a_text_gives_what_the_segmenter_finds(self, processor, segmenter, image, pixels):
        state = processor.set_image(image)
        assert (state["original_height"], state["original_width"]) == (440, 640)
        assert processor.set_text_prompt("triangle", state) is state
        expected = segmenter(pixels, text="triangle", threshold=0.4)
        same(state["scores"], expected.scores)
        same(state["boxes"], expected.boxes)
        assert state["masks"].dtype == bool
        same(state["masks"], expected.masks[:, None])

    def test_boxes_gather_and_a_text_replaces_the_one_before(
        self, processor, segmenter, image, pixels
    ):
        state = processor.set_image(image)
        processor.set_text_prompt("star", state)
        processor.add_geometric_prompt(self.in_parts(BOX), True, state)
        processor.add_geometric_prompt(self.in_parts(OTHER), False, state)
        processor.set_text_prompt("circle", state)
        expected = segmenter(
            pixels, text="circle", boxes=[BOX, OTHER], labels=[1, 0], threshold=0.4
        )
        assert len(expected)
        same(state["scores"], expected.scores, 1e-5)

    def test_a_box_needs_no_text(self, processor, segmenter, image, pixels):
        state = processor.add_geometric_prompt(self.in_parts(BOX), True, processor.set_image(image))
        same(state["scores"], segmenter(pixels, boxes=[BOX], threshold=0.4).scores, 1e-5)

    def test_a_reset_keeps_the_image_alone(self, processor, image):
        state = processor.set_text_prompt("triangle", processor.set_image(image))
        processor.reset_all_prompts(state)
        assert not {"masks", "boxes", "scores", "text", "result"} & set(state)
        assert len(processor.set_text_prompt("blue star", state)["scores"]) == 1

    def test_the_threshold_can_change(self, processor, image):
        state = processor.set_text_prompt("triangle", processor.set_image(image))
        assert len(state["scores"]) == 2
        assert processor.set_confidence_threshold(0.9, state) is state
        assert len(state["scores"]) == 1 and processor.confidence_threshold == 0.9
        fresh = processor.set_image(image)
        assert processor.set_confidence_threshold(0.1, fresh) is fresh
        assert processor.set_confidence_threshold(0.1) is None

    def test_prompts_need_an_image_and_a_device_must_be_the_model_s(self, processor, segmenter):
        for call in (
            lambda: processor.set_text_prompt("a", {}),
            lambda: processor.add_geometric_prompt([0.5, 0.5, 1, 1], True, {}),
        ):
            with pytest.raises(ValueError, match="call set_image first"):
                call()
        with pytest.raises(ValueError, match="not on cuda"):
            meta.Sam3Processor(segmenter, device="cuda")
        assert meta.Sam3Processor(segmenter, resolution=1008, device="cpu").device == "cpu"


class TestUltralytics:
    @pytest.fixture
    def predictor(self, segmenter):
        return ultralytics.SAM3SemanticPredictor(
            overrides={"model": segmenter, "conf": 0.3, "task": "segment"}, tensors="numpy"
        )

    def test_arrays_are_bgr(self, predictor, segmenter, pixels):
        predictor.set_image(pixels[..., ::-1])
        (results,) = predictor(text=["red circle", "blue star"])
        expected = segmenter(pixels, text=["red circle", "blue star"], threshold=0.3)
        assert len(results) == len(expected) == 3
        order = np.argsort(-expected.scores)
        same(results.boxes.xyxy, expected.boxes[order])
        same(results.boxes.conf, expected.scores[order])
        same(results.boxes.cls, expected.labels[order])
        same(results.masks.data, expected.masks[order])
        assert results.names == {0: "red circle", 1: "blue star"}
        assert results.orig_shape == (440, 640)
        assert np.array_equal(results.orig_img, pixels[..., ::-1])
        blue = int(results.boxes.cls.tolist().index(1))
        x, y = np.round(results.boxes.xywh[blue, :2]).astype(int)
        assert np.array_equal(results.plot(labels=False)[y, x] > 128, [True, False, False])

    def test_files_and_sources_give_the_same(self, predictor, drawn, pixels, tmp_path):
        predictor.set_image(str(drawn[1]))
        (first,) = predictor(text="triangle")
        (second,) = predictor(source=pixels[..., ::-1], text="triangle")
        same(first.boxes.data, second.boxes.data)
        assert first.path == str(drawn[1])
        predictor.reset_image()
        with pytest.raises(ValueError, match="no image yet"):
            predictor(text="triangle")
        assert Image.open(first.save(tmp_path / "a.png")).size == (640, 440)

    def test_boxes_are_examples(self, predictor, segmenter, drawn, pixels):
        predictor.set_image(drawn[1])
        (results,) = predictor(bboxes=[BOX, OTHER], labels=[1, 0])
        expected = segmenter(pixels, boxes=[BOX, OTHER], labels=[1, 0], threshold=0.3)
        assert len(expected)
        same(results.boxes.conf, expected.scores)
        assert results.names == {0: "visual"}
        (results,) = predictor(bboxes=BOX)
        same(results.boxes.conf, segmenter(pixels, boxes=[BOX], threshold=0.3).scores)
        with pytest.raises(ValueError, match="one text"):
            predictor(text=["a", "b"], bboxes=[BOX])

    def test_parts_can_be_picked(self, predictor, drawn):
        (results,) = predictor(source=drawn[1], text=["red circle", "triangle"])
        assert len(results) == len(list(results)) == len(results.boxes) == len(results.masks) > 2
        third = results[2]
        assert len(third) == 1 and third.boxes.conf[0] == results.boxes.conf[2]
        assert np.array_equal(third.masks.data[0], results.masks[2].data[0])
        good = results[results.boxes.conf > 0.9]
        assert 0 < len(good) < len(results) and (good.boxes.conf > 0.9).all()
        for box, name in zip(results.boxes, [results.names[int(c)] for c in results.boxes.cls]):
            assert box.xyxy.shape == (1, 4) and name in ("red circle", "triangle")
        assert isinstance(results.cpu().numpy().boxes.cpu().numpy().xyxy, np.ndarray)

    def test_nothing_found_is_empty_boxes_and_no_masks(self, predictor, drawn):
        (results,) = predictor(source=drawn[1], text="green cross")
        assert len(results) == 0 and results.masks is None
        assert results.boxes.xyxyn.shape == (0, 4)

    def test_a_model_must_be_named(self, tmp_path):
        with pytest.raises(ValueError, match='"model" is missing'):
            ultralytics.SAM3SemanticPredictor({"conf": 0.3})
        with pytest.raises(FileNotFoundError, match=r"'sam3.pt' is not a folder"):
            ultralytics.SAM3SemanticPredictor({"model": "sam3.pt"})

    def test_overlapping_boxes_of_one_text_are_suppressed(self):
        boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 0, 30, 10]], float)
        scores = np.array([0.8, 0.9, 0.7, 0.95])
        kept = ultralytics._suppressed(boxes, scores, np.array([0, 0, 1, 0]), 0.7)
        assert kept.tolist() == [3, 1, 2]
        assert len(ultralytics._suppressed(boxes, scores, np.zeros(4), 0.95)) == 3
        assert ultralytics._suppressed(boxes[:0], scores[:0], scores[:0], 0.7).tolist() == []

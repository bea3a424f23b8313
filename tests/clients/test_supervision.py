"""Detections of roboflow's supervision."""

import numpy as np
import pytest
import supervision
from conftest import TEXTS
from PIL import Image


@pytest.fixture
def result(segmenter, drawn):
    return segmenter(drawn[1], text=TEXTS)


def test_detections_hold_everything(result):
    detections = result.to_supervision()
    assert len(detections) == len(result) >= 5
    assert np.array_equal(detections.xyxy, result.boxes)
    assert np.array_equal(detections.mask, result.masks)
    assert np.array_equal(detections.confidence, result.scores)
    assert np.array_equal(detections.class_id, result.labels)
    assert detections["class_name"].tolist() == [instance.name for instance in result]


def test_annotators_and_filters_take_them(result, drawn):
    image = np.asarray(Image.open(drawn[1]).convert("RGB"))
    detections = result.to_supervision().with_nms(0.5)
    good = detections[detections.confidence > 0.9]
    drawn_on = supervision.MaskAnnotator().annotate(image.copy(), good)
    drawn_on = supervision.LabelAnnotator().annotate(drawn_on, good)
    assert (drawn_on != image).any(axis=2)[good.mask.any(axis=0)].mean() > 0.9


def test_an_empty_result_is_empty_detections(segmenter, drawn):
    detections = segmenter(drawn[1], text="green cross").to_supervision()
    assert len(detections) == 0 and len(detections[detections.confidence > 0.5]) == 0


def test_transformers_results_make_the_same_detections(result, segmenter, drawn):
    from sam3trt.compat import transformers as compat

    model, processor = compat.Sam3Model(segmenter), compat.Sam3Processor()
    inputs = processor(images=str(drawn[1]), text=TEXTS[0], return_tensors="pt")
    (found,) = processor.post_process_instance_segmentation(
        model(**inputs), threshold=0.5, target_sizes=inputs.original_sizes.tolist()
    )
    expected = result[TEXTS[0]].to_supervision()
    assert np.array_equal(found["masks"].numpy().astype(bool), expected.mask)

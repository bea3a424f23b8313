"""sam3trt.compat.transformers gives what transformers gives, to the pixel."""

import numpy as np
import pytest
import torch
import transformers
from conftest import BOX, CHECKPOINT, OTHER, TEXTS
from PIL import Image
from sam3trt.compat import transformers as compat


@pytest.fixture(scope="module")
def theirs():
    model = transformers.Sam3Model.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()
    return model, transformers.Sam3Processor.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def ours(graphs):
    return compat.Sam3Model.from_pretrained(graphs), compat.Sam3Processor.from_pretrained(graphs)


def segment(model, processor, thresholds=None, **request):
    """Code as it stands in transformers' documentation."""
    device = model.device
    inputs = processor(return_tensors="pt", **request).to(device)
    with torch.no_grad():
        outputs = model(**inputs)
    sizes = inputs.get("original_sizes").tolist()
    return processor.post_process_instance_segmentation(
        outputs, target_sizes=sizes, **(thresholds or {})
    )


def assert_same(theirs, ours):
    assert len(theirs) == len(ours)
    for expected, found in zip(theirs, ours):
        assert set(found) == set(expected)
        order = torch.argsort(expected["scores"], descending=True, stable=True)
        for key, value in expected.items():
            assert found[key].dtype == value.dtype
            # their masks of nothing found are of the model's size
            assert len(order) == 0 == len(found[key]) or found[key].shape == value.shape
        if len(order) == 0:
            continue
        assert torch.allclose(found["scores"], expected["scores"][order], atol=2e-4)
        assert torch.allclose(found["boxes"], expected["boxes"][order], atol=0.02)
        different = (found["masks"] != expected["masks"][order]).float().mean()
        assert different < 1e-4


@pytest.mark.parametrize("thresholds", [None, {"threshold": 0.9, "mask_threshold": 0.3}])
@pytest.mark.parametrize(
    "prompt",
    [
        {"text": "triangle"},
        {"input_boxes": [[BOX]], "input_boxes_labels": [[1]]},
        {"input_boxes": [[BOX]]},
        {"text": "circle", "input_boxes": [[BOX, OTHER]], "input_boxes_labels": [[1, 0]]},
    ],
    ids=["text", "box", "box without label", "text and boxes"],
)
def test_results_are_equal(theirs, ours, drawn, prompt, thresholds):
    image = Image.open(drawn[1]).convert("RGB")
    expected = segment(*theirs, thresholds, images=image, **prompt)
    assert len(expected[0]["scores"]) >= 1
    assert_same(expected, segment(*ours, thresholds, images=image, **prompt))


def test_batches_are_equal(theirs, ours, drawn):
    images = [np.asarray(Image.open(path).convert("RGB")) for path in drawn]
    images[1] = np.ascontiguousarray(images[1][:300, :500])
    request = {"images": images, "text": TEXTS[:2]}
    assert_same(segment(*theirs, **request), segment(*ours, **request))
    request = {
        "images": [Image.fromarray(image) for image in images],
        "text": [None, "star"],
        "input_boxes": [[BOX, OTHER], [BOX]],
        "input_boxes_labels": [[1, 0], [1]],
    }
    assert_same(segment(*theirs, **request), segment(*ours, **request))


@pytest.mark.parametrize("form", ["tensor", "path", "transparent"])
def test_forms_of_an_image_are_equal(theirs, ours, drawn, tmp_path, form):
    image = Image.open(drawn[0]).convert("RGB")
    if form == "tensor":
        given = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    elif form == "path":
        exif = Image.Exif()
        exif[274] = 3
        given = str(tmp_path / "turned.png")
        image.save(given, exif=exif)
    else:
        given = image.convert("RGBA")
        alpha = np.full((440, 640), 255, np.uint8)
        alpha[:, 320:] = 0
        given.putalpha(Image.fromarray(alpha))
    request = {"images": given, "text": "red circle"}
    expected = segment(*theirs, **request)
    assert len(expected[0]["scores"]) >= 1
    assert_same(expected, segment(*ours, **request))


def test_encoded_images_are_used_again(theirs, ours, drawn):
    found = []
    for model, processor in (theirs, ours):
        image = Image.open(drawn[1]).convert("RGB")
        inputs = processor(images=image, return_tensors="pt")
        with torch.no_grad():
            features = model.get_vision_features(pixel_values=inputs.pixel_values)
            for text in TEXTS[:2]:
                outputs = model(vision_embeds=features, **processor(text=text, return_tensors="pt"))
                sizes = [(440, 640)]
                found.append(
                    processor.post_process_instance_segmentation(outputs, target_sizes=sizes)
                )
    assert_same(found[0] + found[1], found[2] + found[3])


def test_to_dict_is_what_transformers_gives_for_each_text(theirs, segmenter, drawn):
    image = Image.open(drawn[1]).convert("RGB")
    result = segmenter(image, text=TEXTS, threshold=0.3)
    for text in TEXTS:
        expected = segment(*theirs, images=image, text=text)
        arrays = result[text].to_dict()
        found = {key: torch.from_numpy(arrays[key].copy()) for key in ("scores", "boxes")}
        found["masks"] = torch.from_numpy(arrays["masks"].astype(np.int64))
        assert_same(expected, [found])

"""roboflow's client, and its supervision on the answers."""

import numpy as np
import pytest
import supervision
from conftest import PROGRAM, TEXTS, decode, infer
from inference_sdk import InferenceHTTPClient
from inference_sdk.http.errors import HTTPCallErrorError
from run_server import serve

SIZE = (640, 440)


@pytest.fixture(scope="session")
def client(server):
    return InferenceHTTPClient(server.url.rstrip("/"))


def prompts_of(texts: list[str]) -> list[dict]:
    return [{"type": "text", "text": text} for text in texts]


def instances_of(entry: dict) -> list[tuple[int, dict]]:
    return [
        (index, instance)
        for index, prompt in enumerate(entry["prompts"])
        for instance in prompt["instances"]
    ]


def test_supervision_gets_the_masks_pixel_by_pixel(client, model, image):
    answer = client.sam3_concept_segment(str(image), prompts=prompts_of(TEXTS))
    expected = instances_of(infer(model, image, "--text", *TEXTS))
    detections = supervision.Detections.from_sam3(answer, SIZE)
    assert len(detections) == len(expected) >= 3
    assert detections.class_id.tolist() == [index for index, _ in expected]
    for mask, score, (_, instance) in zip(
        detections.mask, detections.confidence, expected, strict=True
    ):
        assert np.array_equal(mask, decode(instance["mask"]))
        assert score == pytest.approx(instance["score"], abs=1e-6)
    # The striped ring has a hole.
    ring = detections[detections.class_id == TEXTS.index("striped ring")].mask[0]
    rows, columns = np.nonzero(ring)
    assert not ring[(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2]


def test_run_lengths_are_given_on_wish(client, model, image):
    answer = client.sam3_concept_segment(str(image), prompts=prompts_of(TEXTS), format="rle")
    expected = instances_of(infer(model, image, "--text", *TEXTS))
    found = [one for prompt in answer["prompt_results"] for one in prompt["predictions"]]
    assert [one["masks"] for one in found] == [instance["mask"] for _, instance in expected]
    assert {one["format"] for one in found} == {"rle"}


def test_boxes_may_be_positive_and_negative(client, model, image):
    boxes = [
        {"x": 34, "y": 52, "width": 124, "height": 125},
        {"x0": 340, "y0": 250, "x1": 467, "y1": 372},
    ]
    prompt = {"type": "visual", "boxes": boxes, "box_labels": [1, 0], "output_prob_thresh": 0.01}
    answer = client.sam3_concept_segment(str(image), prompts=[prompt], format="rle")
    arguments = ["--box", "34,52,158,177", "--negative-box", "340,250,467,372"]
    expected = instances_of(infer(model, image, *arguments, "--threshold", 0.01))
    found = answer["prompt_results"][0]["predictions"]
    assert [one["masks"] for one in found] == [instance["mask"] for _, instance in expected]
    assert len(found) >= 1


def test_the_same_prompt_twice_is_found_once_with_nms(client, image):
    prompts = prompts_of([TEXTS[0], TEXTS[0]])
    both = client.sam3_concept_segment(str(image), prompts=prompts)
    once = client.sam3_concept_segment(str(image), prompts=prompts, nms_iou_threshold=0.9)
    counts = [
        [len(prompt["predictions"]) for prompt in answer["prompt_results"]]
        for answer in (both, once)
    ]
    assert counts[0][0] == counts[0][1] > 0
    assert counts[1] == [counts[0][0], 0]


def test_images_may_be_arrays_and_several(client, image):
    from PIL import Image

    pixels = np.asarray(Image.open(image).convert("RGB"))[:, :, ::-1]
    answers = client.sam3_concept_segment([pixels, str(image)], prompts=prompts_of(TEXTS[:1]))
    # An array is sent as JPEG, which changes pixels.
    assert [len(answer["prompt_results"][0]["predictions"]) for answer in answers] == [2, 2]


def test_embeddings_are_kept(client, image):
    answer = client.sam3_embed_image(str(image))
    assert len(answer["image_id"]) == 64
    assert client.sam3_embed_image(str(image), image_id="mine")["image_id"] == "mine"


def test_clicks_and_boxes_are_objects(clicks_server, clicks_model, image):
    client = InferenceHTTPClient(clicks_server.url.rstrip("/"))
    prompts = [
        {"points": [{"x": 96, "y": 114, "positive": True}, {"x": 5, "y": 5, "positive": False}]},
        {"box": {"x": 96, "y": 114, "width": 124, "height": 126}},
    ]
    for multimask in (True, False):
        answer = client.sam3_visual_segment(
            str(image), prompts=prompts, multimask_output=multimask, mask_input_format="rle"
        )
        option = ["--multimask"] if multimask else []
        clicks = ["--point", "96,114", "--negative-point", "5,5"]
        box = ["--object-box", "34,51,158,177"]
        expected = [
            infer(clicks_model, image, *pointed, *option)["objects"][0] for pointed in (clicks, box)
        ]
        assert [one["masks"] for one in answer["predictions"]] == [o["mask"] for o in expected]
    polygons = client.sam3_visual_segment(str(image), prompts=prompts[1:])
    assert len(supervision.Detections.from_sam3(polygons, SIZE)) <= 1
    assert polygons["predictions"][0]["format"] == "polygon"


def test_errors_say_what_is_wrong(client, image):
    with pytest.raises(HTTPCallErrorError) as error:
        client.sam3_concept_segment(str(image), prompts=[{"type": "visual"}])
    assert error.value.status_code == 422
    assert "prompts[0].boxes" in error.value.api_message


def test_the_api_key_is_the_token(model, image, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-long-and-secret-token\n", encoding="utf-8")
    with serve(PROGRAM, model, "--token-file", token) as server:
        for key, status in [("a-long-and-secret-token", 200), ("wrong", 401)]:
            client = InferenceHTTPClient(server.url.rstrip("/"), api_key=key)
            try:
                client.sam3_concept_segment(str(image), prompts=prompts_of(TEXTS[:1]))
                assert status == 200
            except HTTPCallErrorError as error:
                assert error.status_code == status
                assert "the token is missing or wrong" in error.api_message

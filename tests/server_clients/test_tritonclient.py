"""NVIDIA's client for KServe v2 over HTTP."""

import json

import numpy as np
import pytest
import tritonclient.http as triton
from conftest import TEXTS, decode, infer
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.address.netloc, concurrency=4) as client:
        yield client


def tensor(name: str, kind: str, values, binary: bool = True) -> triton.InferInput:
    types = {"BYTES": object, "FP32": np.float32, "INT32": np.int32}
    array = np.array(values, dtype=types[kind])
    made = triton.InferInput(name, list(array.shape), kind)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def image_tensor(path) -> triton.InferInput:
    return tensor("image", "BYTES", [path.read_bytes()])


def check(answer: triton.InferResult, expected: dict) -> None:
    """`expected` is an entry of the program's results."""
    rows = [
        (index, instance)
        for index, prompt in enumerate(expected["prompts"])
        for instance in prompt["instances"]
    ]
    assert len(rows) >= 3
    assert answer.as_numpy("labels").tolist() == [index for index, _ in rows]
    assert answer.as_numpy("labels").dtype == np.int32
    scores = [instance["score"] for _, instance in rows]
    assert answer.as_numpy("scores") == pytest.approx(scores, abs=1e-6)
    boxes = np.array([instance["box"] for _, instance in rows])
    assert answer.as_numpy("boxes") == pytest.approx(boxes, abs=1e-3)
    for mask, (_, instance) in zip(answer.as_numpy("rle"), rows, strict=True):
        assert np.array_equal(decode(json.loads(mask)), decode(instance["mask"]))


def test_the_server_and_the_model_are_there(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("sam3") and client.is_model_ready("sam3", "1")
    assert client.get_server_metadata()["name"] == "sam3trt"
    metadata = client.get_model_metadata("sam3")
    assert [one["name"] for one in metadata["inputs"]][:2] == ["image", "text"]
    assert client.get_model_repository_index()[0]["name"] == "sam3"
    assert not client.is_model_ready("sam2")


def test_texts_find_what_the_program_finds(client, model, image):
    inputs = [image_tensor(image), tensor("text", "BYTES", TEXTS)]
    expected = infer(model, image, "--text", *TEXTS)
    check(client.infer("sam3", inputs), expected)
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary)
        for name, binary in [("rle", False), ("labels", True), ("scores", False), ("boxes", True)]
    ]
    check(client.infer("sam3", inputs, outputs=outputs, request_id="a"), expected)


def test_boxes_and_thresholds_are_taken(client, model, image):
    box = [34.0, 52.0, 158.0, 177.0]
    inputs = [
        image_tensor(image),
        tensor("boxes", "FP32", [box, [340, 250, 467, 372]], binary=False),
        tensor("box_labels", "INT32", [1, 0], binary=False),
        tensor("threshold", "FP32", [0.01]),
    ]
    answer = client.infer("sam3", inputs)
    arguments = ["--box", "34,52,158,177", "--negative-box", "340,250,467,372"]
    check(answer, infer(model, image, *arguments, "--threshold", 0.01))


def test_requests_run_beside_each_other(client, model, image):
    expected = {text: infer(model, image, "--text", text) for text in TEXTS}
    waiting = [
        (text, client.async_infer("sam3", [image_tensor(image), tensor("text", "BYTES", [text])]))
        for text in TEXTS * 4
    ]
    for text, request in waiting:
        found = [i["score"] for i in expected[text]["prompts"][0]["instances"]]
        assert request.get_result().as_numpy("scores") == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "inputs", "status", "message"),
    [
        ("sam2", [tensor("text", "BYTES", ["dog"])], "404", "sam2"),
        ("sam3", [tensor("text", "BYTES", ["dog"])], "400", "image"),
        ("sam3", [tensor("picture", "BYTES", ["dog"])], "400", "picture"),
    ],
)
def test_errors_say_what_is_wrong(client, name, inputs, status, message):
    with pytest.raises(InferenceServerException, match=message) as error:
        client.infer(name, inputs)
    assert error.value.status() == status

"""What runs in Triton's Python backend (serving/triton/python), with a Triton and a model that are
made up: which images go through the model together, which errors are whose, what is freed.
The real Triton runs in tests/server_clients."""

import importlib
import json
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import sam3trt

SOURCES = Path(__file__).resolve().parents[2] / "serving/triton/python"
START, END = 1, 2
IMAGE = b"\x00an image"


class TritonError(Exception):
    INVALID_ARG, UNAVAILABLE, INTERNAL = "INVALID_ARG", "UNAVAILABLE", "INTERNAL"

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Sender:
    def __init__(self):
        self.sent = threading.Event()

    def send(self, response, flags):
        assert flags == "FINAL" and not self.sent.is_set()
        self.response = response
        self.sent.set()

    def answer(self) -> dict:
        assert self.sent.wait(60)
        assert self.response.error is None, self.response.error
        return {one.name: one.array for one in self.response.tensors}

    def error(self) -> TritonError:
        assert self.sent.wait(60)
        return self.response.error


def array_of(name: str, values: list) -> np.ndarray:
    types = {"boxes": np.float32, "threshold": np.float32, "box_labels": np.int32}
    if name in types:
        return np.array(values, dtype=types[name])
    texts = [value.encode() if isinstance(value, str) else value for value in values]
    return np.array(texts, dtype=object)


class Request:
    def __init__(self, name=0, flags=0, **inputs):
        inputs = {"image": [IMAGE], **inputs}
        self.inputs = {
            name: array_of(name, values) for name, values in inputs.items() if values is not None
        }
        self.sender = Sender()
        self.correlation_id = lambda: name
        self.flags = lambda: flags
        self.get_response_sender = lambda: self.sender


def tensor_of(request, name):
    array = request.inputs.get(name)
    return None if array is None else SimpleNamespace(as_numpy=lambda: array)


class MetricFamily:
    COUNTER, GAUGE = "COUNTER", "GAUGE"
    numbers: dict[str, float] = {}

    def __init__(self, name, description, kind):
        self.name = name
        self.numbers[name] = 0

    def Metric(self, labels):
        return SimpleNamespace(increment=self.increment)

    def increment(self, value):
        self.numbers[self.name] += value


class Segmenter:
    """Takes up to 4 images; the texts of `gates` wait until they may be worked for."""

    max_images = 4

    def __init__(self, path, device, allow_unverified, sessions):
        self.loaded = (path, device, allow_unverified)
        self.calls = []
        self.gates = {"slow": threading.Event(), "slower": threading.Event()}

    def encode(self, image):
        assert image.shape == (64, 64, 3)

    def __call__(self, images, text, boxes, labels, threshold, errors):
        assert text[0] not in self.gates or self.gates[text[0]].wait(60)
        self.calls.append((len(images), text, boxes, threshold))
        if text == ["wrong"]:
            raise sam3trt.BadInputError("a wrong text")
        if text == ["broken"]:
            raise RuntimeError("a defect")
        return [
            sam3trt.BadInputError("not an image") if image == b"bad\x00" else sam3trt.Result()
            for image in images
        ]


class VideoSession:
    def __init__(self, segmenter, **options):
        if "hot_start" in options:
            raise sam3trt.BadInputError("hot_start: expected less")
        self.added = []

    def add(self, **prompt):
        self.added.append(prompt)

    def step(self, image, index):
        assert image == ("read", IMAGE)
        return [sam3trt.FrameResult(frame=index, size=(2, 2), objects=[])]

    def finish(self):
        return []


def to_input(image):
    if image == b"bad\x00":
        raise sam3trt.BadInputError("not an image")
    return "read", image


def load(name: str, monkeypatch) -> ModuleType:
    fake = ModuleType("triton_python_backend_utils")
    fake.TritonError = TritonError
    fake.MetricFamily = MetricFamily
    fake.TRITONSERVER_RESPONSE_COMPLETE_FINAL = "FINAL"
    fake.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = START
    fake.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = END
    fake.get_input_tensor_by_name = tensor_of
    fake.Logger = SimpleNamespace(log_error=lambda text: None)
    fake.Tensor = lambda name, array: SimpleNamespace(name=name, array=array)
    fake.InferenceResponse = lambda tensors=(), error=None: SimpleNamespace(
        tensors=tensors, error=error
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake)
    monkeypatch.syspath_prepend(SOURCES)
    monkeypatch.setattr(sam3trt, "Segmenter", Segmenter)
    monkeypatch.setattr(sam3trt, "VideoSession", VideoSession)
    monkeypatch.setattr(sam3trt.intake, "to_input", to_input)
    for module in (name, "sam3trt_triton"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return importlib.import_module(name)


def arguments(kind="CPU", **batching) -> dict:
    parameters = {"model": "/models", "allow_unverified": "false"}
    config = {
        "parameters": {key: {"string_value": value} for key, value in parameters.items()},
        "sequence_batching": {"max_sequence_idle_microseconds": "60000000", **batching},
    }
    return {
        "model_config": json.dumps(config),
        "model_name": "sam3",
        "model_instance_kind": kind,
        "model_instance_device_id": "1",
    }


@pytest.fixture
def start(monkeypatch):
    """start(module, ...): the model, which is finalized in the end."""
    started = []

    def call(name: str, **options):
        model = load(name, monkeypatch).TritonPythonModel()
        model.initialize(arguments(**options))
        started.append(model)
        return model

    yield call
    for model in started:
        model.finalize()


def test_images_that_are_asked_the_same_go_through_the_model_together(start):
    model = start("model")
    slow, slower = (Request(text=[text]) for text in ("slow", "slower"))
    for request in (slow, slower):  # each of the workers has one
        model.execute([request])
        while not model.waiting.empty():
            time.sleep(0.01)
    requests = [Request(text=[text]) for text in ("dog", "cat", "dog", "cat")]
    requests += [Request(text=["dog"], threshold=[0.25]) for _ in range(2)]
    model.execute(requests)
    model.segmenter.gates["slow"].set()
    for request in (slow, *requests):
        assert set(request.sender.answer()) == {"scores", "boxes", "labels", "rle"}
    model.segmenter.gates["slower"].set()
    slower.sender.answer()
    asked = [(count, *text, threshold) for count, text, _, threshold in model.segmenter.calls]
    assert asked == [
        (1, "slow", 0.5),
        (2, "dog", 0.5),
        (2, "cat", 0.5),
        (2, "dog", 0.25),
        (1, "slower", 0.5),
    ]
    assert MetricFamily.numbers["sam3_images"] == 8


def test_each_request_gets_its_own_error(start):
    model = start("model")
    requests = {
        "not an image": Request(image=[b"bad\x00"], text=["dog"]),
        "a wrong text": Request(text=["wrong"]),
        "what to look for": Request(),
        'expected input "image"': Request(image=None, text=["dog"]),
        "expected 0 labels": Request(text=["dog"], box_labels=[1]),
        "UTF-8": Request(text=[b"\xff"]),
    }
    broken, good = Request(text=["broken"]), Request(text=[b"dog"])
    model.execute([*requests.values(), broken, good])
    for message, request in requests.items():
        error = request.sender.error()
        assert message in str(error) and error.code == TritonError.INVALID_ARG
    assert broken.sender.error().code == TritonError.INTERNAL
    good.sender.answer()


def test_an_answer_that_cannot_be_sent_is_no_others_loss(start):
    model = start("model")
    lost = [Request(text=["dog"]) for _ in range(4)]
    for request in lost:
        request.sender.sent.set()  # which it then refuses
    model.execute(lost)
    after = Request(text=["dog"])
    model.execute([after])
    after.sender.answer()


def test_an_instance_on_a_gpu_loads_the_engines_there(start):
    assert start("model", kind="GPU").segmenter.loaded == ("/models", 1, False)
    assert start("model").segmenter.loaded == ("/models", "cpu", False)


def test_sequences_end_with_their_last_frame(start):
    model = start("video_model")
    first, second, other = Request(1, START), Request(1), Request(2, START | END)
    for request in (first, second, other):
        model.execute([request])
    assert first.sender.answer()["final_frames"].tolist() == [0]
    assert second.sender.answer()["final_frames"].tolist() == [1]
    assert other.sender.answer()["final_frames"].tolist() == [0]
    assert list(model.sequences) == [1]
    assert MetricFamily.numbers["sam3_sequences"] == 1
    last, late = Request(1, END, image=[b""]), Request(1)
    model.execute([last])
    assert last.sender.answer()["final_frames"].tolist() == []
    model.execute([late])
    assert "not known" in str(late.sender.error())
    assert model.sequences == {}


def test_a_sequence_whose_last_frame_fails_is_freed(start):
    model = start("video_model")
    for wrong in ({"image": [b"bad\x00"]}, {"objects": ["{"]}):
        model.execute([Request(1, START)])
        last = Request(1, END, **wrong)
        model.execute([last])
        assert last.sender.error().code == TritonError.INVALID_ARG
        assert model.sequences == {}


def test_a_sequence_that_cannot_begin_is_not_kept(start):
    model = start("video_model")
    request = Request(1, START, options=['{"hot_start": 5}'])
    model.execute([request])
    assert "hot_start" in str(request.sender.error())
    assert model.sequences == {}


def test_too_many_waiting_frames_are_refused(start):
    model = start("video_model")
    first = Request(1, START)
    model.execute([first])
    first.sender.answer()
    may_work = threading.Event()
    model.sequences[1].thread.submit(may_work.wait)
    requests = [Request(1) for _ in range(10)]
    model.execute(requests)
    refused = [request for request in requests if request.sender.sent.is_set()]
    may_work.set()
    assert refused == requests[8:]
    assert {request.sender.error().code for request in refused} == {TritonError.UNAVAILABLE}
    found = [request.sender.answer()["final_frames"].tolist() for request in requests[:8]]
    assert found == [[index] for index in range(1, 9)]


def test_an_idle_sequence_is_freed(start):
    model = start("video_model", max_sequence_idle_microseconds="200000")
    request = Request(1, START)
    model.execute([request])
    request.sender.answer()
    deadline = time.monotonic() + 60
    while model.sequences:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert MetricFamily.numbers["sam3_sequences"] == 0


def test_a_frame_that_cannot_be_read_changes_nothing(start):
    model = start("video_model")
    click = json.dumps({"id": 4, "points": [[1, 1]]})
    first, second = Request(1, START), Request(1, image=[b"bad\x00"], text=["dog"], objects=[click])
    model.execute([first, second])
    assert second.sender.error().code == TritonError.INVALID_ARG
    third = Request(1, objects=[click])
    model.execute([third])
    assert third.sender.answer()["final_frames"].tolist() == [2]
    (added,) = model.sequences[1].session.added
    assert (added["object_id"], added["frame"]) == (4, 2)


def test_prompts_reach_the_session(start):
    model = start("video_model")
    mask = {"size": [2, 2], "counts": [1, 2, 1]}
    objects = [{"id": 4, "points": [[1, 1]], "point_labels": [0]}, {"mask": mask}]
    request = Request(1, START, text=["dog"], objects=[json.dumps(one) for one in objects])
    model.execute([request])
    request.sender.answer()
    text, clicked, masked = model.sequences[1].session.added
    assert text["text"] == ["dog"]
    assert (clicked["object_id"], clicked["points"], clicked["labels"]) == (4, [[1, 1]], [0])
    assert clicked["frame"] == masked["frame"] == 0
    assert masked["mask"].tolist() == [[False, True], [True, False]]

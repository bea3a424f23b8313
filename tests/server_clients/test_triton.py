"""The models of `sam3trt triton-repository` in NVIDIA's Triton, asked with NVIDIA's client."""

import base64
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import triton_server
import tritonclient.grpc
import tritonclient.http
from conftest import PROGRAM, PROJECT_PYTHON, ROOT, TEXTS, infer

# Tests of `sam3trt serve`, which find the fixtures of this file: a client needs no change.
from test_tritonclient import (  # noqa: F401
    test_boxes_and_thresholds_are_taken,
    test_requests_run_beside_each_other,
    test_texts_find_what_the_program_finds,
)
from tritonclient.utils import InferenceServerException

FRAMES = 18
OUTPUTS = ["final_frames", "frames", "ids", "prompts", "scores", "object_scores", "boxes", "rle"]
CLICK = json.dumps({"id": 1, "points": [[20, 24]]})


class Client(NamedTuple):
    """One of the two protocols."""

    module: ModuleType
    client: Any

    def tensor(self, name: str, values: Any) -> Any:
        kinds = {"boxes": "FP32", "threshold": "FP32", "box_labels": "INT32"}
        kind = kinds.get(name, "BYTES")
        types = {"BYTES": object, "FP32": np.float32, "INT32": np.int32}
        array = np.array(values, dtype=types[kind])
        made = self.module.InferInput(name, list(array.shape), kind)
        made.set_data_from_numpy(array)
        return made

    def infer(self, model: str, settings: dict | None = None, /, **inputs) -> Any:
        tensors = [self.tensor(name, values) for name, values in inputs.items()]
        return self.client.infer(model, tensors, **(settings or {}))

    def frame(self, sequence: int, image: bytes, start=False, end=False, **inputs) -> dict:
        settings = dict(sequence_id=sequence, sequence_start=start, sequence_end=end)
        answer = self.infer("sam3_video", settings, image=[image], **inputs)
        return {name: answer.as_numpy(name) for name in OUTPUTS}


@pytest.fixture(scope="session", params=["python", "sam3trt"])
def backend(request) -> str:
    return request.param


def write_repository(backend: str, model: Path, folder: Path) -> Path:
    command = [PROGRAM, "triton-repository", "--model", model, "--output", folder]
    command += ["--backend", backend]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def repository(backend, model, clicks_model, tmp_path_factory) -> Path:
    """sam3 of the trained checkpoint, sam3_video of random weights."""
    folder = write_repository(backend, model, tmp_path_factory.mktemp("triton") / "repository")
    video = write_repository(backend, clicks_model, tmp_path_factory.mktemp("triton") / "video")
    shutil.rmtree(folder / "sam3_video")
    (video / "sam3_video").rename(folder / "sam3_video")
    return folder


@pytest.fixture(scope="session")
def triton(repository, tmp_path_factory):
    with triton_server.serve(repository, tmp_path_factory.mktemp("triton")) as running:
        yield running


@pytest.fixture
def client(triton):
    with tritonclient.http.InferenceServerClient(triton.http, concurrency=4) as client:
        yield client


@pytest.fixture(params=["http", "grpc"])
def asking(request, triton):
    if request.param == "http":
        with tritonclient.http.InferenceServerClient(triton.http) as client:
            yield Client(tritonclient.http, client)
    else:
        with tritonclient.grpc.InferenceServerClient(triton.grpc) as client:
            yield Client(tritonclient.grpc, client)


def rows_of(entry: dict) -> list[tuple]:
    """Prompt, score, box and mask of an image's instances, as the program writes them."""
    return [
        (index, one["score"], one["box"], one["mask"])
        for index, prompt in enumerate(entry["prompts"])
        for one in prompt["instances"]
    ]


def answer_rows(answer) -> list[tuple]:
    names = ["labels", "scores", "boxes", "rle"]
    return [
        (int(label), round(float(score), 6), [round(float(x), 3) for x in box], json.loads(mask))
        for label, score, box, mask in zip(*(answer.as_numpy(name) for name in names), strict=True)
    ]


def test_an_answer_is_the_programs_bit_for_bit(asking, model, image):
    expected = infer(model, image, "--text", *TEXTS)
    answer = asking.infer("sam3", image=[image.read_bytes()], text=TEXTS)
    assert answer_rows(answer) == rows_of(expected)
    assert len(rows_of(expected)) >= 3


def test_nothing_found_is_empty_tensors(asking, image):
    answer = asking.infer("sam3", image=[image.read_bytes()], text=["dog"], threshold=[1])
    shapes = {name: answer.as_numpy(name).shape for name in ["scores", "boxes", "labels", "rle"]}
    assert shapes == {"scores": (0,), "boxes": (0, 4), "labels": (0,), "rle": (0,)}


def test_plain_json_carries_images_as_base64(triton, model, image):
    inputs = [
        {"name": name, "shape": [len(values)], "datatype": "BYTES", "data": values}
        for name, values in [
            ("image", [base64.b64encode(image.read_bytes()).decode()]),
            ("text", TEXTS),
        ]
    ]
    request = urllib.request.Request(
        f"http://{triton.http}/v2/models/sam3/infer", json.dumps({"inputs": inputs}).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        outputs = {one["name"]: one["data"] for one in json.load(answer)["outputs"]}
    expected = rows_of(infer(model, image, "--text", *TEXTS))
    assert [json.loads(mask) for mask in outputs["rle"]] == [row[3] for row in expected]
    assert [round(score, 6) for score in outputs["scores"]] == [row[1] for row in expected]


def test_many_clients_at_once_get_their_own_answers(triton, model, image):
    image = image.with_name("shapes.png")  # which no other test asks about
    expected = {text: rows_of(infer(model, image, "--text", text)) for text in TEXTS}
    asked = TEXTS * 8
    before = triton.metric("sam3_images")
    with ThreadPoolExecutor(len(asked)) as threads:

        def ask(text: str) -> list[tuple]:
            with tritonclient.grpc.InferenceServerClient(triton.grpc) as client:
                one = Client(tritonclient.grpc, client)
                return answer_rows(one.infer("sam3", image=[image.read_bytes()], text=[text]))

        found = list(threads.map(ask, asked))
    assert found == [expected[text] for text in asked]
    # The sam3trt backend keeps what it made of an image.
    assert 1 <= triton.metric("sam3_images") - before <= len(asked)


BOX = [34, 52, 158, 177]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "what to look for"),
        ({"image": None, "text": ["dog"]}, "image"),
        ({"image": [b"dog"], "text": ["dog"]}, "not a supported image"),
        ({"image": [b"\x89PNG\r\n\x1a\n cut"], "text": ["dog"]}, "image"),
        ({"image": [b"a", b"b"], "text": ["dog"]}, "Expected .1., got .2."),
        ({"text": [b"\xff"]}, "UTF-8"),
        ({"text": [""]}, "empty"),
        ({"text": ["dog"] * 65}, "64"),
        ({"boxes": [[1, 2, 3]]}, "boxes"),
        ({"boxes": [[3, 2, 1, 4]]}, "box"),
        ({"boxes": [BOX], "box_labels": [1, 0]}, "expected 1 labels"),
        ({"boxes": [BOX], "box_labels": [2]}, "label"),
        ({"text": ["dog"], "box_labels": [1]}, "expected 0 labels"),
        ({"text": ["dog"], "threshold": [float("nan")]}, "threshold"),
        ({"text": ["dog"], "picture": [b"x"]}, "picture"),
    ],
)
def test_wrong_input_is_an_invalid_argument(asking, image, inputs, message):
    inputs = {"image": [image.read_bytes()], **inputs}
    with pytest.raises(InferenceServerException, match=message) as error:
        asking.infer("sam3", **{name: given for name, given in inputs.items() if given is not None})
    assert error.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")


# Videos.


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write = "import clips, pathlib, sys; clips.write_frames(pathlib.Path(sys.argv[1]), 18)"
    command = [PROJECT_PYTHON, "-c", write, folder]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(ROOT / "tests/e2e")})
    return folder


@pytest.fixture(scope="session")
def frames(clip) -> list[bytes]:
    return [(clip / f"frame{index}.png").read_bytes() for index in range(FRAMES)]


def track(model: Path, clip: Path, *arguments) -> list[list[tuple]]:
    """For each frame what `sam3trt track` finds."""
    command = [PROGRAM, "track", "--model", model, "--video", clip, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()][1:]
    return [
        [
            (one["id"], one["prompt"] or "", one["score"], one["object_score"], one["mask"])
            for one in line["objects"]
        ]
        for line in lines
    ]


def found_of(answers: list[dict]) -> list[list[tuple]]:
    """The same of the answers to a sequence."""
    found = []
    for answer in answers:
        rows = list(zip(*(answer[name] for name in OUTPUTS if name != "final_frames"), strict=True))
        for frame in answer["final_frames"]:
            assert frame == len(found)
            found.append(
                [
                    (
                        int(row[1]),
                        row[2].decode(),
                        round(float(row[3]), 6),
                        round(float(row[4]), 6),
                        json.loads(row[6]),
                    )
                    for row in rows
                    if row[0] == frame
                ]
            )
    return found


def follow(asking: Client, sequence: int, frames: list[bytes], **first) -> list[dict]:
    """The answers to a whole sequence; `first` goes with the first frame."""
    last = len(frames) - 1
    return [
        asking.frame(sequence, frame, index == 0, index == last, **(first if index == 0 else {}))
        for index, frame in enumerate(frames)
    ]


def test_a_sequence_is_a_tracked_video(asking, clicks_model, clip, frames):
    answers = follow(asking, 7, frames, objects=[CLICK], text=["red circle"])
    # Nothing is final while objects of the text are on trial.
    assert [len(answer["final_frames"]) for answer in answers[:3]] == [0, 0, 0]
    expected = track(clicks_model, clip, "--point", "0:20,24", "--text", "red circle")
    assert found_of(answers) == expected
    assert sum(map(len, expected)) >= FRAMES


def test_live_answers_are_about_their_own_frame(asking, clicks_model, clip, frames):
    answers = follow(asking, 8, frames, objects=[CLICK], options=[json.dumps({"live": True})])
    assert [answer["final_frames"].tolist() for answer in answers] == [[i] for i in range(FRAMES)]
    assert found_of(answers) == track(clicks_model, clip, "--point", "0:20,24", "--live")


def test_an_empty_image_ends_a_sequence(asking, clicks_model, clip, frames):
    answers = [
        asking.frame(9, frame, start=index == 0, **({"objects": [CLICK]} if index == 0 else {}))
        for index, frame in enumerate(frames)
    ]
    answers.append(asking.frame(9, b"", end=True))
    assert found_of(answers) == track(clicks_model, clip, "--point", "0:20,24")


def test_several_sequences_run_beside_each_other(triton, clicks_model, clip, frames):
    points = [(20, 24), (80, 20), (50, 40), (22, 26)]
    found = {}

    def run(number: int, x: int, y: int) -> None:
        click = json.dumps({"id": number, "points": [[x, y]], "point_labels": [1]})
        with tritonclient.grpc.InferenceServerClient(triton.grpc) as client:
            asking = Client(tritonclient.grpc, client)
            found[number] = found_of(follow(asking, 100 + number, frames, objects=[click]))

    threads = [
        threading.Thread(target=run, args=(number, *point)) for number, point in enumerate(points)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (x, y) in enumerate(points):
        expected = track(clicks_model, clip, "--point", f"0:{x},{y}")
        rows = [[(1, *row[1:]) for row in frame] for frame in found[number]]
        assert rows == expected
    assert triton.metric("sam3_sequences") == 0


def test_masks_and_boxes_point_at_objects(asking, clicks_model, clip, frames, tmp_path):
    counts = [64 * 10 + 8, 20] + [44, 20] * 19  # 20 columns from the 11th on, rows 8 to 27
    mask = {"size": [64, 96], "counts": [*counts, 64 * 96 - sum(counts)]}
    objects = [{"id": 3, "mask": mask}, {"id": 5, "box": [70, 10, 90, 30]}]
    answers = follow(asking, 10, frames, objects=[json.dumps(one) for one in objects])
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"objects": [{**one, "frame": 0} for one in objects]}))
    expected = track(clicks_model, clip, "--prompts", prompts)
    assert found_of(answers) == expected
    assert {row[0] for frame in expected for row in frame} == {3, 5}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": [b"dog"]}, "not a supported image"),
        ({"image": [b""]}, "only the end"),
        ({"objects": ["{"]}, "expected JSON"),
        ({"objects": ["[" * 100000]}, "expected JSON"),
        ({"objects": ["[]"]}, "expected a JSON object"),
        ({"objects": ['{"id": 1, "point": [1, 2]}']}, "point"),
        ({"objects": ['{"id": -1, "points": [[1, 2]]}']}, "id"),
        ({"objects": ['{"id": 1, "points": [["a", 2]]}']}, "points"),
        ({"objects": ['{"id": 1, "points": [[1000, 2]]}']}, "outside the image"),
        ({"objects": ['{"id": 1, "mask": {"size": [64, 96], "counts": "?"}}']}, "mask"),
        ({"objects": ['{"id": 1, "mask": {"size": [9e9, 9e9], "counts": "1"}}']}, "mask"),
        ({"objects": ['{"id": 1, "mask": {"size": [64, 96], "counts": [-1, 6145]}}']}, "mask"),
        ({"options": ['{"live": 1}']}, "true or false"),
        ({"options": ['{"hot_start": "5"}']}, "hot_start"),
        ({"options": ['{"colour": "5"}']}, "colour"),
    ],
)
def test_wrong_frames_are_invalid_arguments(asking, frames, inputs, message):
    first = {"image": [frames[0]], **inputs}
    with pytest.raises(InferenceServerException, match=message) as error:
        asking.frame(11, first.pop("image")[0], start=True, **first)
    assert error.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
    # Started again it is as if nothing had happened.
    answer = asking.frame(11, frames[0], start=True, end=True, objects=[CLICK])
    assert answer["final_frames"].tolist() == [0]


def test_a_sequence_goes_on_after_a_frame_that_cannot_be_read(asking, frames):
    options = [json.dumps({"live": True})]
    asking.frame(12, frames[0], start=True, objects=[CLICK], options=options)
    with pytest.raises(InferenceServerException, match="not a supported image"):
        asking.frame(12, b"dog")
    with pytest.raises(InferenceServerException, match="first frame only"):
        asking.frame(12, frames[1], options=options)
    assert asking.frame(12, frames[3])["final_frames"].tolist() == [2]
    assert asking.frame(12, frames[4], end=True)["final_frames"].tolist() == [3]


def test_options_are_settings_of_config_pbtxt(backend, clicks_model, image, frames, tmp_path):
    """A short queue and sequences that are given up soon, as users edit them."""
    folder = write_repository(backend, clicks_model, tmp_path / "repository")
    for name, before, after in [
        ("sam3", "max_queue_size: 256", "max_queue_size: 2"),
        ("sam3_video", "max_sequence_idle_microseconds: 60000000", None),
    ]:
        config = folder / name / "config.pbtxt"
        text = config.read_text(encoding="utf-8")
        assert before in text
        after = after or "max_sequence_idle_microseconds: 1500000"
        config.write_text(text.replace(before, after), encoding="utf-8")
    with (
        triton_server.serve(folder, tmp_path) as running,
        tritonclient.grpc.InferenceServerClient(running.grpc) as client,
    ):
        asking = Client(tritonclient.grpc, client)

        def ask(_) -> str:
            try:
                asking.infer("sam3", image=[image.read_bytes()], text=["dog"])
            except InferenceServerException as error:
                return error.status()
            return "answered"

        with ThreadPoolExecutor(24) as threads:
            statuses = list(threads.map(ask, range(24)))
        assert set(statuses) == {"answered", "StatusCode.UNAVAILABLE"}

        asking.frame(1, frames[0], start=True, objects=[CLICK])
        assert running.metric("sam3_sequences") == 1
        deadline = time.monotonic() + 60
        while running.metric("sam3_sequences") > 0:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with pytest.raises(InferenceServerException, match="START"):
            asking.frame(1, frames[1])
        again = asking.frame(1, frames[0], start=True, end=True, objects=[CLICK])
        assert again["final_frames"].tolist() == [0]

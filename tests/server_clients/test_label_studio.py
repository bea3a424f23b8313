"""The real Label Studio with the server as its machine learning backend."""

import base64
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import PROGRAM, decode, infer
from label_studio_sdk.converter.brush import decode_rle
from run_server import free_port, serve
from server import Server

TOKEN = "0123456789abcdef0123456789abcdef01234567"
HEIGHT, WIDTH = 440, 640
TAGS = {"brush": "BrushLabels", "polygon": "PolygonLabels", "rectangle": "RectangleLabels"}
LABELS = {"red circle": "Circle", "blue star": "Star"}
# Reached from this machine only; the backend is on loopback, too, which is refused otherwise.
SETTINGS = {
    "SSRF_PROTECTION_ENABLED": "false",
    "USE_DEFAULT_BANNED_SUBNETS": "false",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}


def config(tag: str) -> str:
    labels = "".join(
        f'<Label value="{name}" predicted_values="{text}"/>' for text, name in LABELS.items()
    )
    smart = "".join(
        f'<{kind} name="smart_{kind}" toName="img" smart="true">{labels}</{kind}>'
        for kind in ("KeyPointLabels", "RectangleLabels")
    )
    main = f'<{TAGS[tag]} name="tag" toName="img">{labels}</{TAGS[tag]}>'
    return f'<View><Image name="img" value="$image"/>{main}{smart}</View>'


class LabelStudio(NamedTuple):
    url: str

    def ask(self, path: str, body=None, headers: dict | None = None):
        headers = {"Authorization": f"Token {TOKEN}", **(headers or {})}
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:2000]}") from error
        return json.loads(text) if text else None

    def project(self, tag: str) -> int:
        body = {"title": f"{tag} {time.monotonic()}", "label_config": config(tag)}
        return self.ask("/api/projects", body)["id"]

    def connect(self, project: int, server: Server, **more) -> int:
        body = {
            "project": project,
            "url": server.url,
            "title": "sam3trt",
            "is_interactive": True,
            **more,
        }
        return self.ask("/api/ml", body)["id"]

    def upload(self, project: int, image: Path) -> int:
        """Imports the file and gives its task."""
        boundary = "a-boundary-that-is-in-no-image"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        body = head.encode() + image.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        self.ask(f"/api/projects/{project}/import", body, kind)
        return self.tasks(project)[-1]["id"]

    def tasks(self, project: int) -> list[dict]:
        return self.ask(f"/api/tasks?project={project}&fields=all")["tasks"]


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    port = free_port()
    data = tmp_path_factory.mktemp("label_studio")
    program = Path(sys.executable).with_name("label-studio")
    command = [program, "start", "--no-browser", "--internal-host", "127.0.0.1"]
    command += ["--port", str(port), "--user-token", TOKEN, "--agree-fix-sqlite"]
    command += ["--username", "a@example.com", "--password", "a-password", "--data-dir", data]
    command += ["--host", f"http://127.0.0.1:{port}"]
    log = data / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=data, env=os.environ | SETTINGS
        )
        found = LabelStudio(f"http://127.0.0.1:{port}")
        try:
            deadline = time.monotonic() + 600
            while True:
                assert process.poll() is None, log.read_text()[-4000:]
                assert time.monotonic() < deadline, log.read_text()[-4000:]
                with contextlib.suppress(OSError, AssertionError):
                    found.ask("/api/projects")
                    break
                time.sleep(1)
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture(scope="session")
def backend(model, studio):
    with serve(PROGRAM, model, "--allow-host", studio.url.removeprefix("http://")) as server:
        yield server


@pytest.fixture(scope="session")
def clicks_backend(clicks_model, studio):
    host = studio.url.removeprefix("http://")
    with serve(PROGRAM, clicks_model, "--allow-host", host) as server:
        yield server


def mask_of(region: dict) -> np.ndarray:
    """As Label Studio's own converter reads it."""
    pixels = decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)
    assert (pixels == pixels[:, :, 3:]).all()
    return pixels[:, :, 3] > 128


def check_masks(regions: list[dict], expected: dict) -> None:
    """`expected` is an entry of the program's results."""
    instances = [
        (LABELS[prompt["text"]], instance)
        for prompt in expected["prompts"]
        for instance in prompt["instances"]
    ]
    assert len(instances) >= 2
    for region, (label, instance) in zip(regions, instances, strict=True):
        assert region["value"]["brushlabels"] == [label]
        assert region["value"]["format"] == "rle"
        assert np.array_equal(mask_of(region), decode(instance["mask"]))


def test_batches_come_back_and_are_exported(studio, backend, model, image):
    project = studio.project("brush")
    uploaded = studio.upload(project, image)
    data_url = "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()
    studio.ask(f"/api/projects/{project}/import", [{"image": data_url}])
    studio.connect(project, backend)
    tasks = [task["id"] for task in studio.tasks(project)]
    assert len(tasks) == 2 and uploaded in tasks
    studio.ask(
        f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
        {"selectedItems": {"all": True, "excluded": []}, "ordering": []},
    )
    expected = infer(model, image, "--text", *LABELS)
    for task in tasks:
        (prediction,) = studio.ask(f"/api/predictions?task={task}")
        assert "sam3trt" in prediction["model_version"]
        check_masks(prediction["result"], expected)
    # What an annotator accepts is exported.
    studio.ask(f"/api/tasks/{tasks[0]}/annotations", {"result": prediction["result"]})
    exported = studio.ask(f"/api/projects/{project}/export?exportType=JSON")
    check_masks(exported[0]["annotations"][0]["result"], expected)


def drawn(kind: str, value: dict, **more) -> dict:
    tag = {"keypointlabels": "KeyPointLabels", "rectanglelabels": "RectangleLabels"}[kind]
    return {
        "id": "a1",
        "type": kind,
        "from_name": f"smart_{tag}",
        "to_name": "img",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {kind: ["Star"], "rotation": 0, **value},
        **more,
    }


def interact(studio, backend: int, task: int, regions: list[dict]) -> list[dict]:
    body = {"task": task, "context": {"result": regions}}
    answer = studio.ask(f"/api/ml/{backend}/interactive-annotating", body)
    assert "errors" not in answer, answer
    return answer["data"]["result"]


def test_clicks_and_rectangles_are_answered(studio, clicks_backend, clicks_model, image):
    project = studio.project("brush")
    task = studio.upload(project, image)
    connected = studio.connect(project, clicks_backend)
    click = drawn("keypointlabels", {"x": 15, "y": 25, "width": 0.3}, is_positive=True)
    (region,) = interact(studio, connected, task, [click])
    assert region["value"]["brushlabels"] == ["Star"] and region["from_name"] == "tag"
    expected = infer(clicks_model, image, "--point", "96,110", "--multimask")
    assert np.array_equal(mask_of(region), decode(expected["objects"][0]["mask"]))
    unwanted = drawn("keypointlabels", {"x": 50, "y": 75, "width": 0.3}, is_positive=False)
    (region,) = interact(studio, connected, task, [click, unwanted])
    clicks = ["--point", "96,110", "--negative-point", "320,330"]
    expected = infer(clicks_model, image, *clicks)
    assert np.array_equal(mask_of(region), decode(expected["objects"][0]["mask"]))
    box = drawn("rectanglelabels", {"x": 5, "y": 10, "width": 20, "height": 30})
    (region,) = interact(studio, connected, task, [box])
    expected = infer(clicks_model, image, "--object-box", "32,44,160,176")
    assert np.array_equal(mask_of(region), decode(expected["objects"][0]["mask"]))


@pytest.mark.parametrize("tag", ["polygon", "rectangle"])
def test_other_tags_get_their_own_regions(studio, backend, model, image, tag):
    project = studio.project(tag)
    task = studio.upload(project, image)
    studio.connect(project, backend)
    studio.ask(
        f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
        {"selectedItems": {"all": True, "excluded": []}, "ordering": []},
    )
    (prediction,) = studio.ask(f"/api/predictions?task={task}")
    expected = infer(model, image, "--text", *LABELS)
    masks = [
        decode(instance["mask"])
        for prompt in expected["prompts"]
        for instance in prompt["instances"]
    ]
    # A mask may have several parts, each a polygon.
    assert len(prediction["result"]) >= len(masks) >= 2
    union = np.logical_or.reduce(masks)
    rows, columns = np.nonzero(union)
    values = [region["value"] for region in prediction["result"]]
    if tag == "polygon":
        points = list(itertools.chain.from_iterable(value["points"] for value in values))
        left, top = np.min(points, axis=0)
        right, bottom = np.max(points, axis=0)
    else:
        left, top = (min(value[key] for value in values) for key in "xy")
        right = max(value["x"] + value["width"] for value in values)
        bottom = max(value["y"] + value["height"] for value in values)
    found = [left * WIDTH / 100, top * HEIGHT / 100, right * WIDTH / 100, bottom * HEIGHT / 100]
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found == pytest.approx(box, abs=1e-3)


def test_a_password_is_the_token(studio, model, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-long-and-secret-token\n", encoding="utf-8")
    project = studio.project("brush")
    with serve(PROGRAM, model, "--token-file", token) as server:
        login = {"auth_method": "BASIC_AUTH", "basic_auth_user": "label-studio"}
        studio.connect(project, server, **login, basic_auth_pass="a-long-and-secret-token")
        with pytest.raises(AssertionError, match="authentication"):
            studio.connect(project, server, **login, basic_auth_pass="wrong")

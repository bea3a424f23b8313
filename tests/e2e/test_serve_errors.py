"""What the server says of wrong requests: in each client's form, and every word once."""

import base64
import json
import re

import pytest
import run_server
from server import Server

# "image: the image: is not ..", "image: the image's file .."
TWICE = re.compile(r"^[^:]*\b(\w+)\W*: (?:the |an? )?\1\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def server(program, tiny_graphs):
    with run_server.serve(program, tiny_graphs, "--max-pixels", 1, "--max-body-mb", 8) as running:
        yield running


def png(width: int, height: int) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def images() -> dict[str, tuple[bytes, int]]:
    """Files that are no image for the server, and the status that they give."""
    whole = png(64, 64)
    damaged = whole[:20] + b"\xff\xff" + whole[22:]
    return {
        "nothing": (b"", 415),
        "text": (b"hello", 415),
        "a web page": (b"<!doctype html><html></html>", 415),
        "a broken JPEG": (b"\xff\xd8\xff\xe0" + b"no image" * 10, 415),
        "a cut PNG": (whole[: len(whole) // 2], 415),
        "a damaged PNG": (damaged, 415),
        "too many pixels": (png(2048, 1024), 413),
        "too long": (png(70_000, 1), 413),
        "too short for its size": (b"BM" + (54).to_bytes(4, "little") + bytes(48), 415),
    }


def requests(image: bytes) -> list[tuple[str, dict]]:
    """The same image for each route, as the route's clients send it."""
    text = base64.b64encode(image).decode()
    own = {"base64": text}
    typed = {"type": "base64", "value": text}
    tensors = [
        {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]},
        {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["dog"]},
    ]
    config = (
        '<View><Image name="img" value="$pixels"/><BrushLabels name="t" toName="img">'
        '<Label value="dog"/></BrushLabels></View>'
    )
    task = {"data": {"pixels": f"data:image/png;base64,{text}"}}
    return [
        ("/v1/infer", {"image": own, "prompts": [{"text": "dog"}]}),
        ("/v1/features", {"image": own}),
        ("/v1/objects", {"image": own, "objects": [{"points": [[1, 1]]}]}),
        ("/sam3/concept_segment", {"image": typed, "prompts": [{"type": "text", "text": "dog"}]}),
        ("/sam3/visual_segment", {"image": typed, "prompts": [{"points": [{"x": 1, "y": 1}]}]}),
        ("/sam3/embed_image", {"image": typed}),
        ("/v2/models/sam3/infer", {"inputs": tensors}),
        ("/predict", {"tasks": [task], "label_config": config}),
    ]


def message_of(path: str, answer) -> str:
    error = answer.json["error"]
    return error if path.startswith("/v2/") else error["message"]


@pytest.mark.parametrize("name", list(images()))
def test_images_that_cannot_be_read_are_named_once_on_every_route(server, name):
    image, status = images()[name]
    reasons = set()
    for path, request in requests(image):
        answer = server.post_json(path, request)
        assert answer.status == status, (path, answer.body)
        message = message_of(path, answer)
        assert not TWICE.search(message), message
        place, _, reason = message.partition(": ")
        assert "image" in place or "pixels" in place, message
        reasons.add(reason)
    assert len(reasons) == 1, reasons
    raw = server.ask("POST", "/v1/features", image, {"Content-Type": "image/png"})
    part = server.post_parts("/v1/features", ("image", image, "a.png"))
    for answer in (raw, part):
        assert answer.error["field"] == "image"
        assert answer.error["message"] == f"image: {reasons.copy().pop()}"


@pytest.mark.parametrize(
    "path, value",
    [
        ("/v1/infer", "{"),
        ("/v1/infer", []),
        ("/v1/infer", {"prompts": [{"boxes": [[1]]}]}),
        ("/v1/infer", {"prompts": [{"text": "dog"}], "image": {"features": "gone"}}),
        ("/v1/infer", {"prompts": [{"text": "dog"}], "image": {"path": "a.png"}}),
        ("/v1/infer", {"prompts": [{"text": "dog"}], "image": {"url": "no URL"}}),
        ("/v1/infer", {"prompts": [{"text": "dog"}], "images": [{"base64": "!"}]}),
        ("/v1/objects", {"objects": [{}]}),
        ("/v1/objects", {"objects": [{"mask": {"size": [1, 1], "counts": "!"}}]}),
        ("/v1/objects", {"objects": [{"mask": {"size": [0, 1], "counts": ""}}]}),
        ("/sam3/concept_segment", {"image": 1, "prompts": []}),
        ("/sam3/concept_segment", {"image": {"type": "numpy", "value": ""}, "prompts": [{}]}),
        ("/sam3/visual_segment", {"prompts": {"points": [{}]}}),
        ("/v2/models/sam3/infer", "["),
        ("/v2/models/sam3/infer", {"inputs": [{"name": "image"}]}),
        ("/predict", {"label_config": "<View"}),
        ("/predict", {}),
        ("/setup", {"schema": "<View/>"}),
    ],
)
def test_no_message_says_a_word_twice(server, path, value):
    answer = server.post_json(path, value)
    assert 400 <= answer.status < 500, answer.body
    message = message_of(path, answer)
    assert message and not TWICE.search(message), message


def test_what_keeps_a_request_from_its_route_has_the_form_of_the_routes_clients(
    program, tiny_graphs, tmp_path
):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    server = Server(program, tiny_graphs, "--token-file", token, "--max-body-mb", 1)
    large = {"Content-Type": "application/json", "Authorization": "Bearer s3cret"}

    def refused(path: str):
        """Without the token, with a wrong one, from another origin, too large."""
        yield 401, server.post_json(path, {"image": 1})
        yield 401, server.post_json(f"{path}?api_key=wrong", {"api_key": "wrong"})
        origin = {"Origin": "https://evil.example", "Authorization": "Bearer s3cret"}
        yield 403, server.post_json(path, {}, **origin)
        yield 413, server.ask("POST", path, bytes(2 << 20), large)

    for path in ("/sam3/concept_segment", "/sam3/visual_segment", "/sam3/embed_image"):
        for status, answer in refused(path):
            assert answer.status == status, answer.body
            assert answer.headers["Content-Type"] == "application/json"
            # What inference-sdk shows is "message"; "error" is the server's own form.
            assert answer.json["message"] == answer.error["message"] != ""
        assert "api_key" in server.post_json(path, {}).json["message"]
    for status, answer in refused("/v2/models/sam3/infer"):
        assert answer.status == status, answer.body
        assert isinstance(answer.json["error"], str) and answer.json["error"]
    for status, answer in refused("/predict"):
        assert (answer.status, set(json.loads(answer.body))) == (status, {"error"})
        assert answer.error["message"]
    assert server.post_json("/predict", {}).headers["WWW-Authenticate"] == "Bearer"
    assert server.stop() == 0

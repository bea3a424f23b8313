"""The server as clients of other servers see it: KServe v2, roboflow, Label Studio."""

import base64
import json
import struct

import goldens
import numpy as np
import pytest
import run_server
from PIL import Image
from pycocotools import mask as coco_mask

TEXTS = ["red circle", "striped ring"]
CONFIG = (
    '<View><Image name="img" value="$image"/><{tag} name="t" toName="img">'
    '<Label value="red circle"/><Label value="striped ring"/></{tag}></View>'
)


@pytest.fixture(scope="module")
def server(program, tiny_detector_graphs):
    with run_server.serve(program, tiny_detector_graphs) as running:
        yield running


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    from subprocess import run
    from sys import executable

    folder = tmp_path_factory.mktemp("drawn")
    run([executable, goldens.ROOT / "tools/tiny/draw_demo.py", folder], check=True)
    return folder / "shapes_photo.png"


@pytest.fixture
def expected(run, tiny_detector_graphs, image):
    """(index of the prompt, instance) of all that the program finds."""
    done = run(
        "infer", "--model", tiny_detector_graphs, "--image", image, "--text", *TEXTS, check=True
    )
    prompts = json.loads(done.stdout)["images"][0]["prompts"]
    rows = [(i, one) for i, prompt in enumerate(prompts) for one in prompt["instances"]]
    assert len(rows) >= 2
    return rows


def base64_of(path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def element(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def test_kserve_takes_json(server, image, expected):
    inputs = [
        {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64_of(image)]},
        {"name": "text", "datatype": "BYTES", "shape": [2], "data": TEXTS},
    ]
    answer = server.post_json("/v2/models/sam3/infer", {"inputs": inputs})
    assert answer.status == 200, answer.body
    outputs = {one["name"]: one["data"] for one in answer.json["outputs"]}
    assert outputs["labels"] == [index for index, _ in expected]
    assert [json.loads(mask) for mask in outputs["rle"]] == [one["mask"] for _, one in expected]
    assert outputs["scores"] == pytest.approx([one["score"] for _, one in expected], abs=1e-6)


def test_kserve_takes_and_gives_binary_tensors(server, image, expected):
    data = [element(image.read_bytes()), b"".join(element(text.encode()) for text in TEXTS)]
    inputs = [
        {
            "name": name,
            "datatype": "BYTES",
            "shape": [count],
            "parameters": {"binary_data_size": len(bytes_)},
        }
        for name, count, bytes_ in zip(["image", "text"], [1, 2], data, strict=True)
    ]
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    answer = server.ask(
        "POST",
        "/v2/models/sam3/infer",
        header + b"".join(data),
        {"Inference-Header-Content-Length": str(len(header))},
    )
    assert answer.status == 200, answer.body
    length = int(answer.headers["Inference-Header-Content-Length"])
    outputs = json.loads(answer.body[:length])["outputs"]
    assert [one["name"] for one in outputs] == ["scores", "boxes", "labels", "rle"]
    scores = np.frombuffer(answer.body, "<f4", len(expected), length)
    assert scores == pytest.approx([one["score"] for _, one in expected], abs=1e-6)
    masks = b"".join(
        element(json.dumps(one["mask"], separators=(",", ":"), sort_keys=True).encode())
        for _, one in expected
    )
    assert answer.body.endswith(masks)


def test_kserve_says_what_is_wrong(server):
    assert server.get("/v2/health/live").status == server.get("/v2/health/ready").status == 200
    other = server.post_json("/v2/models/sam2/infer", {"inputs": []})
    assert other.status == 404 and "sam2" in other.json["error"]
    for body in (b"no JSON", {"inputs": []}, {"inputs": [{"name": "image"}]}):
        answer = server.post_json("/v2/models/sam3/infer", body)
        assert answer.status == 400 and isinstance(answer.json["error"], str)


def test_roboflow_polygons_fill_to_the_masks(server, image, expected):
    from PIL import ImageDraw

    body = {
        "image": {"type": "base64", "value": base64_of(image)},
        "prompts": [{"type": "text", "text": text} for text in TEXTS],
    }
    answer = server.post_json("/sam3/concept_segment", body)
    assert answer.status == 200, answer.body
    found = [
        (prompt["prompt_index"], one)
        for prompt in answer.json["prompt_results"]
        for one in prompt["predictions"]
    ]
    for (index, one), (other, instance) in zip(found, expected, strict=True):
        assert index == other and one["format"] == "polygon"
        assert one["confidence"] == pytest.approx(instance["score"], abs=1e-6)
        canvas = Image.new("1", (640, 440))
        for ring in one["masks"]:
            ImageDraw.Draw(canvas).polygon([tuple(point) for point in ring], fill=1, outline=1)
        assert np.array_equal(np.asarray(canvas), coco_mask.decode(instance["mask"]).astype(bool))


def test_label_studio_polygons_are_the_masks_for_pycocotools(server, image, expected):
    data = {"image": f"data:image/png;base64,{base64_of(image)}"}
    body = {"tasks": [{"data": data}], "label_config": CONFIG.format(tag="PolygonLabels")}
    answer = server.post_json("/predict", body)
    assert answer.status == 200, answer.body
    (result,) = answer.json["results"]
    total = np.zeros((440, 640), dtype=bool)
    for region in result["result"]:
        points = np.array(region["value"]["points"]) * [6.4, 4.4]
        rle = coco_mask.frPyObjects([np.round(points).ravel().tolist()], 440, 640)
        total |= coco_mask.decode(rle)[:, :, 0].astype(bool)
    masks = [coco_mask.decode(one["mask"]).astype(bool) for _, one in expected]
    assert np.array_equal(total, np.logical_or.reduce(masks))


def test_label_studio_connects(server):
    assert server.get("/health").json["status"] == "UP"
    setup = {"project": "1.2", "schema": CONFIG.format(tag="BrushLabels")}
    assert "sam3trt" in server.post_json("/setup", setup).json["model_version"]
    assert server.post_json("/setup", {"project": "1.2", "schema": "<View/>"}).status == 422
    assert server.post_json("/webhook", {"action": "ANNOTATION_CREATED"}).status == 200


def test_label_studio_images_come_from_allowed_hosts_only(program, tiny_detector_graphs, image):
    config = CONFIG.format(tag="RectangleLabels")
    with run_server.files(image.parent, token="secret") as host:
        setup = {
            "project": "1.2",
            "schema": config,
            "hostname": f"http://{host}",
            "access_token": "secret",
        }
        body = {
            "project": "1.2",
            "tasks": [{"data": {"image": f"/{image.name}"}}],
            "label_config": config,
        }
        with run_server.serve(program, tiny_detector_graphs) as server:
            server.post_json("/setup", setup)
            refused = server.post_json("/predict", body)
            assert refused.status == 422 and "--allow-host" in refused.json["error"]["message"]
        with run_server.serve(program, tiny_detector_graphs, "--allow-host", host) as server:
            without = server.post_json("/predict", body | {"project": "other"})
            assert without.status == 422
            server.post_json("/setup", setup)
            answer = server.post_json("/predict", body)
            assert answer.status == 200, answer.body
            assert len(answer.json["results"][0]["result"]) >= 2
            body["tasks"][0]["data"]["image"] = f"http://{host}/redirect"
            elsewhere = server.post_json("/predict", body)
            assert elsewhere.status == 422
            assert "nothing from" in elsewhere.json["error"]["message"]

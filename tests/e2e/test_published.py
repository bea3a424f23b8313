"""`sam3trt verify --published`: a table of published results, a server that has the images, and the
graphs of a small checkpoint. The numbers of the table are what transformers gave for it
(tests/data/goldens).
"""

import functools
import http.server
import json
import threading

import goldens
import numpy as np
import pytest

CASES = ("text", "positive_negative", "visual")
TOLERANCES = {"scores": 1e-3, "logits": 5e-3, "best_box": 1e-3, "best_mask_logits": 0.02}
TOLERANCES |= {"instance_score": 1e-3, "instance_box": 0.25}


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        super().do_GET()


@pytest.fixture
def server():
    handler = functools.partial(_Handler, directory=goldens.ROOT / "test_images")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.requests = []
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
        yield httpd
        httpd.shutdown()


def published_case(data: goldens.Goldens, case: dict) -> dict:
    """What transformers' own tests would state of the case."""
    image, key = case["image"], f"{case['name']}/0"
    prompt = image["prompts"][0]
    logits = data.tensors[f"{key}/pred_logits"].astype(np.float64)
    boxes = data.tensors[f"{key}/pred_boxes"].reshape(-1, 4).astype(np.float64)
    order = np.argsort(-logits, kind="stable")
    instance = prompt["instances"][-1]
    entry = {"name": case["name"], "kind": "concept", "test": key, "image": image["path"]}
    if prompt["text"] is not None:
        entry["text"] = prompt["text"]
    if prompt["boxes"]:
        entry |= {"boxes": prompt["boxes"], "box_labels": prompt["box_labels"]}
    entry["threshold"] = case["threshold"]
    entry["expected"] = {
        "scores": (1 / (1 + np.exp(-logits[order[:3]]))).round(4).tolist(),
        "logits": logits[order[:3]].round(4).tolist(),
        "best_box": boxes[order[0]].round(4).tolist(),
        "instance_score": [round(instance["score"], 4)],
        "instance_box": [round(side, 4) for side in instance["box"]],
    }
    return entry


@pytest.fixture
def table():
    data = goldens.Goldens("hf", "tiny_a")
    config = data.spec["config"]
    cases = [case for case in data.document["cases"] if case["name"] in CASES]
    return {
        "format": 1,
        "source": {"repository": "goldens", "commit": "of this tree", "file": "tiny_a.json"},
        "checkpoint": {
            "name": "tiny_a",
            "image_size": config["vision_config"]["backbone_config"]["image_size"],
            "num_queries": config["detr_decoder_config"]["num_queries"],
        },
        "semantics": "hf",
        "images": {
            "name": "test images",
            "url": "http://127.0.0.1:9/nowhere",
            "files": {case["image"]["path"]: {} for case in cases},
        },
        "tolerances": {name: TOLERANCES for name in ("fp32", "fp16", "bf16", "fp8")},
        "cases": [published_case(data, case) for case in cases],
    }


@pytest.fixture
def verify(run, exported, table, tmp_path):
    """verify(*options): the graphs of tiny_a against `table`."""

    def call(*options, model=None, cache=tmp_path / "cache"):
        path = tmp_path / "table.json"
        path.write_text(json.dumps(table), encoding="utf-8")
        models = ("--model", model or exported("hf", "tiny_a"))
        return run(
            "verify", "--published", path, *models, *options, env={"XDG_CACHE_HOME": str(cache)}
        )

    return call


def test_every_published_value_is_found(verify, server, tmp_path):
    done = verify("--images-url", server.url, "--json")
    assert done.code == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["passed"]
    assert report["source"] == "goldens of this tree tiny_a.json"
    (model,) = report["models"]
    assert (model["backend"], model["precision"]) == ("openvino", "fp32")
    values = {value["value"]: value for value in model["values"]}
    assert len(values) == len(CASES) * (3 + 3 + 4 + 1 + 4)
    assert values["text: scores 1"]["difference"] == pytest.approx(
        values["text: scores 1"]["found"] - values["text: scores 1"]["expected"]
    )
    kept = tmp_path / "cache/sam3trt/published"
    assert {path.name for path in kept.iterdir()} == {
        name + suffix for name in ("cat.jpg", "example.jpg") for suffix in ("", ".sha256")
    }


def test_a_table_names_expected_found_and_difference(verify, server):
    done = verify("--images-url", server.url)
    assert done.code == 0, done.stderr + done.stdout
    header, first = done.stdout.splitlines()[3:5]
    assert header.split() == ["value", "expected", "found", "difference", "allowed", "verdict"]
    assert first.startswith("text: best_box 1")
    assert first.endswith("ok")
    assert done.stdout.splitlines()[-1] == "passed: all 45 values are as published"


def test_a_value_that_is_off_fails_and_is_named(verify, table, server):
    table["cases"][0]["expected"]["scores"][1] += 0.01
    done = verify("--images-url", server.url, "--json")
    assert done.code == 4
    report = json.loads(done.stdout)
    assert not report["passed"]
    off = [value for value in report["models"][0]["values"] if not value["ok"]]
    assert [value["value"] for value in off] == ["text: scores 2"]
    assert off[0]["difference"] == pytest.approx(-0.01, abs=2e-4)
    done = verify("--images-url", server.url)
    assert done.code == 4
    assert "OFF" in done.stdout
    assert done.stdout.splitlines()[-1] == "FAILED: 1 of 45 values are not as published"


def test_masks_are_held_against_published_logits(verify, table, server):
    # Of each golden's masks every ninth value is stored, and so the first of a query's.
    data = goldens.Goldens("hf", "tiny_a")
    for case in table["cases"]:
        case["expected"] = {"best_mask_logits": [0] * 9}
    found = json.loads(verify("--images-url", server.url, "--json").stdout)["models"][0]["values"]
    for number, name in enumerate(CASES):
        best = data.tensors[f"{name}/0/pred_logits"].argmax()
        layout = data.document["tensors"][f"{name}/0/pred_masks"]
        begin = best * layout["shape"][1] * layout["shape"][2] // layout["stride"]
        first = data.tensors[f"{name}/0/pred_masks"][begin]
        assert found[9 * number]["found"] == pytest.approx(first, abs=0.02)
    corner = [value["found"] for value in found[:9]]
    assert len(set(corner)) > 1
    table["cases"] = table["cases"][:1]
    table["cases"][0]["expected"]["best_mask_logits"] = corner
    assert verify("--images-url", server.url).code == 0
    table["cases"][0]["expected"]["best_mask_logits"][4] += 0.1
    assert verify("--images-url", server.url).code == 4


def test_typed_graphs_are_held_to_the_tolerances_of_their_precision(
    verify, table, server, exported, type_graph, tmp_path
):
    source = exported("hf", "tiny_a")
    typed = tmp_path / "typed"
    typed.mkdir()
    for graph in source.glob("*.onnx"):
        type_graph("fp16", graph, typed / graph.name)
    (typed / "detector.tokenizer.json").write_bytes(
        (source / "detector.tokenizer.json").read_bytes()
    )
    table["tolerances"]["fp16"] = {name: 100 * value for name, value in TOLERANCES.items()}
    table["tolerances"]["fp32"] = {name: 1e-9 for name in TOLERANCES}
    done = verify("--images-url", server.url, "--json", model=typed)
    assert done.code == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["models"][0]["precision"] == "fp16"
    assert verify("--images-url", server.url).code == 4  # float32 graphs, to which 1e-9 applies


def test_several_models_are_held_against_the_same_images(verify, server, exported):
    graphs = exported("hf", "tiny_a")
    done = verify("--images-url", server.url, "--model", graphs, "--json")
    assert done.code == 0, done.stderr
    assert len(json.loads(done.stdout)["models"]) == 2
    assert len(server.requests) == 2


def test_images_are_fetched_once(verify, server, tmp_path):
    assert verify("--images-url", server.url).code == 0
    assert sorted(server.requests) == ["/cat.jpg", "/example.jpg"]
    assert verify().code == 0  # the table's own address has nothing
    kept = tmp_path / "cache/sam3trt/published/cat.jpg"
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + b"x")
    done = verify("--images-url", server.url)
    assert done.code == 0
    assert "changed since it was fetched" in done.stderr
    assert server.requests.count("/cat.jpg") == 2
    assert kept.read_bytes() == content


def test_without_a_cache_folder_images_are_fetched_each_time(verify, server):
    for _ in range(2):
        assert verify("--images-url", server.url, cache="/dev/null").code == 0
    assert server.requests.count("/cat.jpg") == 2


def test_without_a_network_it_says_what_to_do(verify):
    done = verify()
    assert done.code == 1
    assert "127.0.0.1:9" in done.stderr
    assert "cat.jpg, example.jpg (test images)" in done.stderr
    assert "--images" in done.stderr
    assert verify("--images", goldens.ROOT / "test_images").code == 0
    done = verify("--images", goldens.ROOT / "docs")
    assert done.code == 2
    assert "cat.jpg" in done.stderr


def test_an_answer_that_is_no_image_is_an_error_and_not_kept(verify, table, server, tmp_path):
    table["images"]["files"]["README.md"] = {}
    table["cases"][0]["image"] = "README.md"
    done = verify("--images-url", server.url)
    assert done.code == 2
    assert "README.md" in done.stderr
    assert not (tmp_path / "cache/sam3trt/published/README.md").exists()
    done = verify("--images-url", f"{server.url}/missing")
    assert done.code == 1
    assert "the server answers 404" in done.stderr


def test_an_image_with_another_hash_than_the_tables_is_refused(verify, table, server):
    table["images"]["files"]["cat.jpg"] = {"sha256": "0" * 64}
    for options in (("--images-url", server.url), ("--images", goldens.ROOT / "test_images")):
        done = verify(*options)
        assert done.code == 2
        assert "is not the image whose results were published" in done.stderr


def test_another_checkpoint_is_told_before_anything_is_fetched(
    verify, table, server, exported, tiny_graphs
):
    done = verify("--images-url", server.url, model=tiny_graphs)
    assert done.code == 2
    assert "is not of tiny_a" in done.stderr
    done = verify("--images-url", server.url, model=exported("meta", "tiny_a"))
    assert done.code == 2
    assert "--semantics hf" in done.stderr
    table["cases"][0]["kind"] = "clicks"
    done = verify("--images-url", server.url)
    assert done.code == 2
    assert "'clicks' is not a kind" in done.stderr
    assert not server.requests


def test_the_built_in_table_is_for_the_published_checkpoint(run, tiny_graphs):
    done = run("verify", "--published", "--model", tiny_graphs)
    assert done.code == 2
    assert "facebook/sam3" in done.stderr
    assert "images of 1008 pixels" in done.stderr

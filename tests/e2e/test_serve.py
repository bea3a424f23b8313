"""`sam3trt serve` as a client meets it: answers, errors, limits, tokens, TLS and its end."""

import base64
import contextlib
import json
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import goldens
import pytest
from server import Server, image_of, without_times

OPENAPI = json.loads((goldens.ROOT / "src/server/openapi.json").read_text())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw = goldens.ROOT / "tools/tiny/draw_demo.py"
    subprocess.run([sys.executable, draw, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def picture(pictures) -> Path:
    return pictures / "shapes.png"


@pytest.fixture(scope="module")
def allowed(tmp_path_factory, picture) -> Path:
    """A folder of --allow-folder, with ways out of it."""
    folder = tmp_path_factory.mktemp("allowed")
    (folder / "in").mkdir()
    (folder / "in/shapes.png").write_bytes(picture.read_bytes())
    (folder / "out.png").symlink_to(picture)
    (folder / "inside.png").symlink_to(folder / "in/shapes.png")
    return folder


@pytest.fixture(scope="module")
def server(program, tiny_detector_graphs, allowed):
    server = Server(program, tiny_detector_graphs, "--max-body-mb", 2, "--allow-folder", allowed)
    yield server
    assert server.stop() == 0, server.stderr


def ask_text(server, path: Path, *texts: str):
    return server.post_parts(
        "/v1/infer", ("image", path.read_bytes(), path.name), *(("text", t, None) for t in texts)
    )


def test_infer_answers_what_the_command_does(run, server, tiny_detector_graphs, picture):
    arguments = (
        "--model",
        tiny_detector_graphs,
        "--image",
        picture,
        "--text",
        "red circle",
        "blue star",
    )
    expected = json.loads(run("infer", *arguments, check=True).stdout)
    parts = ask_text(server, picture, "red circle", "blue star")
    assert parts.status == 200, parts.body
    assert without_times(parts.json) == without_times(expected)
    prompts = [{"text": "red circle"}, {"text": "blue star"}]
    whole = server.post_json("/v1/infer", {"image": image_of(picture), "prompts": prompts})
    assert without_times(whole.json) == without_times(expected)
    digest = whole.json["images"][0]["features"]
    again = server.post_json("/v1/infer", {"image": {"features": digest}, "prompts": prompts})
    assert without_times(again.json) == without_times(expected)
    assert [again.json[key] for key in ("version", "backend", "semantics")] == [1, "openvino", "hf"]


def test_boxes_and_thresholds_are_those_of_the_command(run, server, tiny_detector_graphs, picture):
    box = "34,52,157,176"
    options = ("--box", box, "--threshold", 0.3, "--mask-threshold", 0.4)
    arguments = ("--model", tiny_detector_graphs, "--image", picture, *options)
    expected = json.loads(run("infer", *arguments, check=True).stdout)
    parts = server.post_parts(
        "/v1/infer",
        ("image", picture.read_bytes(), "shapes.png"),
        ("box", box, None),
        ("threshold", "0.3", None),
        ("mask_threshold", "0.4", None),
    )
    assert without_times(parts.json) == without_times(expected)


def test_several_images_are_answered_in_their_order(server, pictures):
    paths = [pictures / "shapes.png", pictures / "shapes_photo.png", pictures / "shapes.png"]
    request = {"images": [image_of(path) for path in paths], "prompts": [{"text": "triangle"}]}
    images = without_times(server.post_json("/v1/infer", request).json)
    alone = [without_times(ask_text(server, path, "triangle").json)[0] for path in paths]
    assert images == alone


def test_features_are_named_by_the_file_and_used_again(server, pictures):
    path = pictures / "shapes_photo.png"
    raw = server.ask("POST", "/v1/features", path.read_bytes(), {"Content-Type": "image/png"})
    assert raw.status == 200, raw.body
    parts = server.post_parts("/v1/features", ("image", path.read_bytes(), "a.png"))
    assert parts.json == raw.json
    assert set(raw.json) == {"features", "width", "height"}
    misses = server.metric("sam3trt_cache_misses_total")
    request = {"image": {"features": raw.json["features"]}, "prompts": [{"text": "blue star"}]}
    assert server.post_json("/v1/infer", request).status == 200
    assert server.metric("sam3trt_cache_misses_total") == misses


def test_many_clients_with_one_image_encode_it_once(server, tmp_path, pictures):
    path = tmp_path / "other.png"
    path.write_bytes((pictures / "shapes.png").read_bytes() + b" ")  # another digest
    misses = server.metric("sam3trt_cache_misses_total")
    texts = ["red circle", "blue star", "triangle", "striped ring"] * 3
    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(lambda text: ask_text(server, path, text), texts))
    assert [answer.status for answer in answers] == [200] * len(texts)
    found = [without_times(answer.json)[0]["prompts"] for answer in answers]
    assert found[:4] == found[4:8] == found[8:]
    assert [prompts[0]["text"] for prompts in found] == texts
    assert server.metric("sam3trt_cache_misses_total") == misses + 1


def test_paths_are_read_below_allowed_folders_only(server, allowed, picture):
    def status(path) -> tuple[int, str]:
        request = {"image": {"path": str(path)}, "prompts": [{"text": "triangle"}]}
        answer = server.post_json("/v1/infer", request)
        return answer.status, "" if answer.status == 200 else answer.error["code"]

    inside = ("in/shapes.png", allowed / "in/shapes.png", "inside.png", "in/../in/shapes.png")
    assert [status(path) for path in inside] == [(200, "")] * 4
    outside = (picture, "out.png", "../" + picture.name, "/etc/passwd", "missing.png", "in", "a\0b")
    assert [status(path) for path in outside] == [(422, "not_allowed")] * len(outside)


@pytest.mark.parametrize(
    "value, status, code, field",
    [
        ("{", 400, "bad_json", None),
        (b'{"a": "\xff"}', 400, "bad_json", None),
        ('{"prompts": 1, "prompts": 2}', 400, "bad_json", None),
        ("[" * 100_000, 400, "bad_json", None),
        ("[]", 422, "bad_field", None),
        ({"prompt": []}, 422, "unknown_field", "prompt"),
        ({}, 422, "missing_field", "prompts"),
        ({"prompts": []}, 422, "bad_field", "prompts"),
        ({"prompts": [{"text": "x"}] * 65}, 422, "bad_field", "prompts"),
        ({"prompts": [{}]}, 422, "bad_field", "prompts[0]"),
        ({"prompts": [{"text": ""}]}, 422, "bad_field", "prompts[0].text"),
        ({"prompts": [{"boxes": [[5, 5, 1, 1]]}]}, 422, "bad_field", "prompts[0].boxes[0]"),
        ({"prompts": [{"boxes": [[0, 0, 1e999, 1]]}]}, 400, "bad_json", None),
        ({"prompts": [{"text": "x"}], "threshold": 2}, 422, "bad_field", "threshold"),
        ({"prompts": [{"text": "x"}]}, 422, "missing_field", "image"),
        ({"prompts": [{"text": "x"}], "image": {}}, 422, "bad_field", "image"),
        ({"prompts": [{"text": "x"}], "image": {"base64": "!"}}, 422, "bad_field", "image.base64"),
        (
            {"prompts": [{"text": "x"}], "image": {"base64": "AAAA"}},
            415,
            "not_an_image",
            "image.base64",
        ),
        (
            {"prompts": [{"text": "x"}], "image": {"features": "f"}},
            404,
            "unknown_features",
            "image",
        ),
        (
            {"prompts": [{"text": "x"}], "image": {"url": "http://a/"}},
            422,
            "not_allowed",
            "image.url",
        ),
    ],
)
def test_what_is_wrong_with_a_request_is_said(server, value, status, code, field):
    if isinstance(value, dict):
        value = json.dumps(value).replace("Infinity", "1e999")
    answer = server.post_json("/v1/infer", value)
    assert (answer.status, answer.error["code"]) == (status, code), answer.body
    assert answer.error.get("field") == field
    assert answer.error["message"]


def test_a_box_outside_the_image_is_bad_input(server, picture):
    prompts = [{"boxes": [[5000, 5000, 5100, 5100]]}]
    answer = server.post_json("/v1/infer", {"image": image_of(picture), "prompts": prompts})
    assert (answer.status, answer.error["code"]) == (422, "bad_input")


def test_other_statuses(server, picture):
    assert server.get("/nothing").status == 404
    wrong = server.get("/v1/infer")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    assert server.ask("POST", "/v1/infer", "x", {"Content-Type": "text/plain"}).status == 415
    assert server.ask("POST", "/v1/infer").status == 415
    objects = {"image": image_of(picture), "objects": [{"points": [[1, 1]]}]}
    answer = server.post_json("/v1/objects", objects)
    assert answer.status == 422
    assert "only detects" in answer.error["message"]


def test_large_bodies_are_refused_with_and_without_a_length(server):
    large = bytes(3 << 20)
    kind = {"Content-Type": "image/png"}
    answers = [
        server.ask("POST", "/v1/features", large, kind),
        server.ask("POST", "/v1/features", iter([large]), kind, encode_chunked=True),
        server.post_parts("/v1/features", ("image", large, "a.png")),
    ]
    assert [answer.status for answer in answers] == [413] * 3
    assert {answer.error["code"] for answer in answers} == {"body_too_large"}
    many = [(f"p{i}", "x", None) for i in range(1500)]
    assert server.post_parts("/v1/infer", *many).error["code"] == "too_many_parts"


def test_chunked_bodies_are_read(server, picture):
    pieces = [picture.read_bytes()[:1000], picture.read_bytes()[1000:]]
    headers = {"Content-Type": "image/png", "Transfer-Encoding": "chunked"}
    answer = server.ask("POST", "/v1/features", iter(pieces), headers, encode_chunked=True)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    "head",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"POST /v1/infer HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/infer HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /v1/infer HTTP/1.1\r\nContent-Length: -3\r\n\r\n",
        b"POST /v1/infer HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_server_lives(server, head):
    with server.raw() as client:
        client.sendall(head)
        first = client.recv(4096)
    assert re.match(rb"HTTP/1\.1 (400|414|501) ", first), first
    assert server.get("/healthz").status == 200


def test_ranges_do_not_multiply_an_answer(server):
    ranges = "bytes=" + ",".join(["0-"] * 1000)
    assert len(server.get("/openapi.json", Range=ranges).body) == len(
        server.get("/openapi.json").body
    )


def test_a_connection_serves_many_requests(server):
    connection = server.connect()
    for path in ("/healthz", "/nothing", "/v1/model") * 4:
        connection.request("GET", path)
        assert connection.getresponse().read()
    connection.close()


def test_half_open_connections_keep_nobody_from_being_served(server):
    clients = [server.raw() for _ in range(300)]
    for client in clients:
        client.sendall(b"POST /v1/infer HTTP/1.1\r\nContent-Length: 1000\r\n")
    begin = time.monotonic()
    assert server.get("/healthz").status == 200
    assert time.monotonic() - begin < 5
    for client in clients:
        client.close()


def test_pages_of_other_origins_and_other_names_are_refused(server):
    assert server.get("/healthz", Origin="https://evil.example").error["code"] == "cross_origin"
    assert server.get("/healthz", Host="evil.example").error["code"] == "unknown_host"
    own = server.url.rstrip("/")
    assert server.get("/healthz", Origin=own).status == 200
    assert server.get("/healthz", Host="localhost:8080").status == 200


def test_every_route_of_the_openapi_file_is_there_and_answers_as_it_says(server):
    assert server.get("/openapi.json").json == OPENAPI
    for path, methods in OPENAPI["paths"].items():
        for method, about in methods.items():
            answer = server.ask(method.upper(), path)
            assert answer.status not in (404, 405), path
            assert str(answer.status) in about["responses"], (path, answer.status)
            other = server.ask("DELETE", path)
            assert (other.status, method.upper() in other.headers["Allow"]) == (405, True), path


def test_health_model_and_metrics(server, picture):
    assert server.get("/healthz").json == {"status": "ok"}
    server.wait_until_ready()
    assert server.get("/readyz").json == {"status": "ready"}
    model = server.get("/v1/model").json
    assert (model["backend"], model["semantics"], model["tasks"]) == ("openvino", "hf", ["detect"])
    assert model["limits"]["image_bytes"] == 2 << 20
    name = 'sam3trt_requests_total{route="/v1/infer",status="200"}'
    with server.one_connection():
        ask_text(server, picture, "triangle")
        before = server.metric(name)
        ask_text(server, picture, "triangle")
        assert server.metric(name) == before + 1
    text = server.get("/metrics").body.decode()
    for line in ("sam3trt_request_seconds_bucket", "sam3trt_queue_length 0", "sam3trt_cache_bytes"):
        assert line in text


def test_the_log_has_a_line_for_each_request_and_nothing_of_it(
    program, tiny_detector_graphs, picture
):
    server = Server(program, tiny_detector_graphs)
    with server.one_connection():  # a line is written after its answer
        ask_text(server, picture, "secret words")
        server.get("/nothing?api_key=hidden", Authorization="Bearer hidden")
    assert server.stop(signal.SIGINT) == 0
    lines = [json.loads(line) for line in server.stderr.splitlines()]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/v1/infer", 200),
        ("GET", None, 404),
    ]
    assert set(lines[0]) == {"time", "method", "route", "status", "ms", "bytes_in", "bytes_out"}
    assert lines[0]["bytes_in"] > picture.stat().st_size
    assert "secret" not in server.stderr
    assert "hidden" not in server.stderr


def test_the_token_is_asked_for_everywhere_but_for_health_and_page(
    program, tiny_detector_graphs, tmp_path
):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o644)
    server = Server(program, tiny_detector_graphs, "--token-file", token)
    server.wait_until_ready()
    for path, methods in OPENAPI["paths"].items():
        for method, about in methods.items():
            expected = 401 if about.get("security") != [] else 200
            answer = server.ask(method.upper(), path)
            assert answer.status == expected, path
    assert server.get("/").status == 200
    assert server.get("/v1/model").headers["WWW-Authenticate"] == "Bearer"
    basic = base64.b64encode(b"anyone:s3cret").decode()
    for headers in ({"Authorization": "Bearer s3cret"}, {"Authorization": f"basic {basic}"}):
        assert server.ask("GET", "/v1/model", headers=headers).status == 200
    assert server.get("/v1/model?api_key=s3cret").status == 200
    for wrong in ("Bearer", "Bearer s3cre", "Bearer s3crets", "s3cret", "Basic s3cret"):
        assert server.get("/v1/model", Authorization=wrong).status == 401, wrong
    # The body of who may not ask is not read.
    headers = {"Content-Type": "image/png"}
    assert server.ask("POST", "/v1/features", bytes(1 << 20), headers).status == 401
    assert server.stop() == 0
    assert f"--token-file {token}: other users can read it" in server.stderr


def test_tls_with_a_certificate_of_ones_own(program, run, tiny_detector_graphs, tmp_path, picture):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(cafile=certificate)
    files = ("--tls-cert", certificate, "--tls-key", key)
    server = Server(program, tiny_detector_graphs, *files, context=context)
    assert server.url.startswith("https://")
    assert ask_text(server, picture, "triangle").status == 200
    with server.raw() as plain:  # no TLS: dropped, and the next one is served
        plain.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            plain.recv(1000)
    assert server.get("/healthz").status == 200
    assert server.stop() == 0
    bad = run(
        "serve", "--model", tiny_detector_graphs, "--port", 0, "--tls-cert", key, "--tls-key", key
    )
    assert (bad.code, "--tls-cert" in bad.stderr) == (2, True)


def test_bad_options_are_said_before_anything_is_served(
    run, server, tiny_detector_graphs, tmp_path
):
    def refused(*arguments) -> str:
        result = run("serve", "--model", tiny_detector_graphs, *arguments)
        assert (result.code, result.stdout) == (2, ""), result.stderr
        return result.stderr

    taken = refused("--port", server.address.port)
    assert "cannot listen on 127.0.0.1" in taken
    assert "--port 0" in taken
    assert "--tls-key" in refused("--port", 0, "--tls-cert", "a.pem")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    assert "--token-file" in refused("--port", 0, "--token-file", empty)
    assert "--allow-folder" in refused("--port", 0, "--allow-folder", tmp_path / "none")
    assert "no model" in run("serve", "--port", 0).stderr


def test_listening_for_others_without_a_token_is_warned_of(program, tiny_detector_graphs):
    server = Server(program, tiny_detector_graphs, "--host", "0.0.0.0")
    assert server.stop() == 0
    assert "everyone who reaches this address may use the server" in server.stderr


def slow_request(picture: Path, texts: int = 64) -> dict:
    prompts = [{"text": f"red circle {i}"} for i in range(texts)]
    return {"image": image_of(picture), "prompts": prompts}


def test_what_runs_when_the_server_stops_is_answered(program, tiny_detector_graphs, picture):
    server = Server(program, tiny_detector_graphs)
    answers = []
    client = threading.Thread(
        target=lambda: answers.append(server.post_json("/v1/infer", slow_request(picture)))
    )
    client.start()
    deadline = time.monotonic() + 30
    while server.metric("sam3trt_cache_misses_total") == 0 and not answers:
        assert time.monotonic() < deadline
    assert server.stop() == 0
    client.join()
    assert [answer.status for answer in answers] == [200]
    with pytest.raises(ConnectionRefusedError):
        server.raw()


def test_a_client_that_leaves_frees_its_place(program, tiny_detector_graphs, picture):
    server = Server(program, tiny_detector_graphs, "--queue", 1)
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.post_json, "/v1/infer", slow_request(picture))
        while server.metric("sam3trt_cache_misses_total") == 0 and not long.done():
            pass
        body = json.dumps(slow_request(picture, 1)).encode()
        head = "POST /v1/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client = server.raw()
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        client.close()
        deadline = time.monotonic() + 30
        while server.metric("sam3trt_queue_length") > 0:
            assert time.monotonic() < deadline
        assert long.result().status == 200
    assert ask_text(server, picture, "triangle").status == 200
    assert server.stop() == 0


def test_a_full_queue_is_said_with_a_time_to_come_back(program, tiny_detector_graphs, picture):
    server = Server(program, tiny_detector_graphs, "--queue", 1)
    with ThreadPoolExecutor(12) as pool:
        requests = [slow_request(picture, count) for count in range(40, 52)]
        answers = list(pool.map(lambda value: server.post_json("/v1/infer", value), requests))
    statuses = {answer.status for answer in answers}
    assert statuses == {200, 503}
    refused = next(answer for answer in answers if answer.status == 503)
    assert (refused.error["code"], refused.headers["Retry-After"]) == ("queue_full", "1")
    assert server.stop() == 0


# Clicks and videos.

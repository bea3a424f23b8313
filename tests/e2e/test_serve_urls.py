"""Images that requests name by URL: which hosts are asked, redirects, sizes."""

import subprocess
import sys

import goldens
import pytest
import run_server

LARGE = (1 << 20) + 1  # a byte more than --max-body-mb 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    subprocess.run([sys.executable, goldens.ROOT / "tools/tiny/draw_demo.py", folder], check=True)
    (folder / "large.png").write_bytes((folder / "shapes.png").read_bytes().ljust(LARGE, b"\0"))
    (folder / "text.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def host(folder):
    with run_server.files(folder) as host:
        yield host


@pytest.fixture(scope="module")
def server(program, tiny_detector_graphs, host):
    with run_server.serve(
        program, tiny_detector_graphs, "--allow-host", host, "--max-body-mb", 1
    ) as running:
        yield running


@pytest.fixture(scope="module")
def closed_server(program, tiny_detector_graphs):
    with run_server.serve(program, tiny_detector_graphs) as running:
        yield running


def own_routes(url: str):
    """(path, request, place of the URL) for each route that takes an image."""
    image = {"url": url}
    prompts = [{"text": "triangle"}]
    yield "/v1/infer", {"image": image, "prompts": prompts}, "image.url"
    yield "/v1/infer", {"images": [image], "prompts": prompts}, "images[0].url"
    yield "/v1/features", {"image": image}, "image.url"
    yield "/v1/objects", {"image": image, "objects": [{"points": [[9, 9]]}]}, "image.url"


def roboflow_routes(url: str):
    image = {"type": "url", "value": url}
    prompts = [{"type": "text", "text": "triangle"}]
    yield "/sam3/concept_segment", {"image": image, "prompts": prompts}, "image.value"
    yield "/sam3/embed_image", {"image": image}, "image.value"
    prompts = [{"points": [{"x": 9, "y": 9}]}]
    yield "/sam3/visual_segment", {"image": image, "prompts": prompts}, "image.value"


def requests(url: str):
    return [*own_routes(url), *roboflow_routes(url)]


def refusals(server, url: str) -> set[tuple]:
    """(status, code, message) of all routes; each names the URL's place."""
    found = set()
    for path, request, place in requests(url):
        answer = server.post_json(path, request)
        error = answer.error
        assert error["field"] == place, (path, answer.body)
        assert error["message"].startswith(place + ": "), error
        if path.startswith("/sam3/"):
            assert answer.json["message"] == error["message"]  # what roboflow's client shows
        found.add((answer.status, error["code"], error["message"].removeprefix(place + ": ")))
    return found


def test_images_of_an_allowed_host_are_fetched(server, host, folder):
    for name in ("/shapes.png", "/to/shapes.png", "/again/to/shapes.png"):
        for path, request, _ in requests(f"http://{host}{name}"):
            answer = server.post_json(path, request)
            needs_clicks = path in ("/v1/objects", "/sam3/visual_segment")
            assert answer.status == (422 if needs_clicks else 200), (path, answer.body)
            assert not needs_clicks or "only detects" in answer.error["message"]
    direct = server.post_parts(
        "/v1/features", ("image", (folder / "shapes.png").read_bytes(), "shapes.png")
    )
    _, request, _ = next(own_routes(f"http://{host}/shapes.png"))
    (image,) = server.post_json("/v1/infer", request).json["images"]
    assert image["features"] == direct.json["features"]
    assert image["path"] == f"http://{host}/shapes.png"


def test_without_allowed_hosts_nothing_is_fetched(closed_server, host):
    ((status, code, message),) = refusals(closed_server, f"http://{host}/shapes.png")
    assert (status, code) == (422, "not_allowed")
    assert message.endswith(f"or start the server with --allow-host {host}")


def test_other_hosts_ports_and_schemes_are_refused(server, host):
    name, port = host.split(":")
    for url in (
        f"http://localhost:{port}/shapes.png",  # the same machine under another name
        f"http://{name}:{int(port) + 1}/shapes.png",
        f"http://{name}/shapes.png",
        f"https://{name}.example:{port}/shapes.png",
        "http://[::1]/shapes.png",
    ):
        assert {(status, code) for status, code, _ in refusals(server, url)} == {
            (422, "not_allowed")
        }, url
    for url in ("file:///etc/passwd", "ftp://a/b", f"http://user:key@{host}/shapes.png", "a b", ""):
        for path, request, _ in requests(url):
            answer = server.post_json(path, request)
            assert (answer.status, answer.error["code"] in ("bad_field", "bad_input")) == (
                422,
                True,
            ), (url, answer.body)


def test_redirects_to_other_hosts_and_without_end_are_not_followed(server, host):
    ((status, code, message),) = refusals(server, f"http://{host}/redirect")
    assert (status, code) == (422, "not_allowed")
    assert "nothing from 127.0.0.2:1" in message
    ((status, code, _),) = refusals(server, f"http://{host}/file")
    assert (status, code) == (422, "not_allowed")
    ((status, code, message),) = refusals(server, f"http://{host}/loop")
    assert (status, code) == (422, "not_fetched")
    assert "redirects too often" in message


def test_large_images_are_refused_with_and_without_a_length(server, host):
    expected = {(413, "image_too_large", "the file is larger than 1 MiB")}
    assert refusals(server, f"http://{host}/large.png") == expected
    assert refusals(server, f"http://{host}/endless") == expected


def test_what_is_not_there_or_not_an_image_is_said(server, host):
    assert refusals(server, f"http://{host}/missing.png") == {
        (422, "not_fetched", f"{host} answers with status 404")
    }
    ((status, code, message),) = refusals(server, f"http://{host}/text.png")
    assert (status, code) == (415, "not_an_image")

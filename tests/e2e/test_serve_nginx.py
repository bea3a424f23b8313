"""nginx with the shipped configuration in front of `sam3trt serve`."""

import contextlib
import getpass
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clips
import goldens
import pytest
from run_server import free_port
from server import Client, Server, multipart

TOKEN = "a-long-and-secret-token"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
FRAMES = 150


def replaced(text: str, pattern: str, replacement: str) -> str:
    """With the one place that the pattern fits."""
    result, count = re.subn(pattern, lambda _: replacement, text)
    assert count == 1, pattern
    return result


def configuration(folder: Path, port: int, backend: int) -> str:
    """The shipped one with the changes that it asks for, and all its files in the folder."""
    text = (goldens.ROOT / "serving/nginx.conf").read_text()
    text = replaced(text, r"/run/nginx\.pid", f"{folder}/nginx.pid")
    text = replaced(text, r"127\.0\.0\.1:8080;", f"127.0.0.1:{backend};")
    text = replaced(text, r"listen 8443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    text = replaced(text, r"/etc/sam3trt/cert\.pem", f"{folder}/cert.pem")
    text = replaced(text, r"/etc/sam3trt/key\.pem", f"{folder}/key.pem")
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"  {place}_temp_path {folder}/{place};\n" for place in places)
    user = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""
    return user + replaced(text, r"\nhttp \{\n", "\nhttp {\n" + paths)


@contextlib.contextmanager
def nginx_before(server: Server, folder: Path):
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    assert program, "nginx is not installed: tools/setup"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-out", folder / "cert.pem", "-keyout", folder / "key.pem"],
        check=True,
        capture_output=True,
    )
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, port, server.address.port))
    errors = folder / "errors.txt"
    command = [program, "-p", folder, "-e", errors, "-c", file, "-g", "daemon off;"]
    process = subprocess.Popen(command)
    context = ssl.create_default_context(cafile=folder / "cert.pem")
    proxy = Client(f"https://127.0.0.1:{port}/", context)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                proxy.raw().close()
                break
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline, errors.read_text()
            time.sleep(0.02)
        yield proxy
    finally:
        process.terminate()
        assert process.wait(20) == 0, errors.read_text()


@pytest.fixture(scope="module")
def server(program, exported, tmp_path_factory):
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    server = Server(program, exported("hf", "video_a"), "--token-file", token)
    server.wait_until_ready()
    yield server
    assert server.stop() == 0, server.stderr


@pytest.fixture
def proxy(server, tmp_path):
    # Of its own for each test: requests are counted.
    with nginx_before(server, tmp_path) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("drawn")
    subprocess.run([sys.executable, goldens.ROOT / "tools/tiny/draw_demo.py", folder], check=True)
    return (folder / "shapes.png").read_bytes()


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("clip")
    frames = clips.write_frames(folder / "frames", FRAMES)
    return clips.encode(frames, folder / "clip.mkv").read_bytes()


def test_requests_and_their_answers_pass_as_they_are(server, proxy, image):
    for path in ("/healthz", "/v1/model", "/openapi.json", "/", "/nothing"):
        direct, passed = (client.get(path, **WITH_TOKEN) for client in (server, proxy))
        assert (passed.status, passed.body) == (direct.status, direct.body), path
    parts = ("image", image, "a.png"), ("text", "red circle", None)
    direct, passed = (
        client.post_parts("/v1/infer", *parts, **WITH_TOKEN) for client in (server, proxy)
    )
    assert passed.status == direct.status == 200, passed.body
    assert passed.json["images"][0]["prompts"] == direct.json["images"][0]["prompts"]
    wrong = proxy.post_json("/v1/infer", {}, **WITH_TOKEN)
    assert (wrong.status, wrong.error["code"]) == (422, "missing_field")


def test_the_token_passes_and_is_asked_for(proxy):
    refused = proxy.get("/v1/model")
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert proxy.get("/v1/model", Authorization="Bearer wrong").status == 401
    assert proxy.get("/v1/model", **WITH_TOKEN).status == 200
    assert proxy.get(f"/v1/model?api_key={TOKEN}").status == 200


def test_pages_of_the_proxys_origin_may_ask_and_others_not(proxy):
    own = proxy.url.rstrip("/")
    assert proxy.get("/v1/model", Origin=own, **WITH_TOKEN).status == 200
    evil = proxy.get("/v1/model", Origin="https://evil.example", **WITH_TOKEN)
    assert evil.error["code"] == "cross_origin"
    assert proxy.get("/metrics", **WITH_TOKEN).status == 403


def test_large_bodies_are_refused_before_they_are_sent(server, proxy):
    connection = proxy.connect()
    connection.putrequest("POST", "/v1/infer")
    connection.putheader("Content-Length", str((64 << 20) + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (413, "application/json")
    assert json.loads(answer.read())["error"]["code"] == "body_too_large"
    connection.close()
    # Lines of tests before this one may still come: a line is written after its answer.
    lines = [json.loads(line) for line in server.stderr.splitlines() if "/v1/infer" in line]
    assert {line["status"] for line in lines} <= {200, 422}, "the server heard of it"


def test_who_asks_too_often_is_told_so_as_json(proxy):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: proxy.get("/healthz"), range(120)))
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {429}
    assert refused[0].error["code"] == "too_many_requests"
    assert refused[0].headers["Retry-After"] == "1"


def test_half_requests_do_not_reach_the_server(server, proxy, image):
    content_type, body = multipart([("image", image, "a.png"), ("text", "red circle", None)])
    connection = proxy.connect()
    connection.putrequest("POST", "/v1/infer")
    connection.putheader("Content-Type", content_type)
    connection.putheader("Content-Length", str(len(body)))
    for name, value in WITH_TOKEN.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[: len(body) // 2])
    time.sleep(0.5)
    assert connections_of(server) == 0
    connection.send(body[len(body) // 2 :])
    assert connection.getresponse().status == 200
    connection.close()


def connections_of(server) -> int:
    """Connections to the server's port that are open now, as the kernel lists them."""
    port = f":{server.address.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return sum(row[1].endswith(port) and row[3] == established for row in rows)


def test_the_results_of_a_video_come_while_it_is_tracked(server, proxy, video):
    asked = json.dumps({"prompts": {"objects": [{"points": [[20, 24]]}]}})
    content_type, body = multipart([("video", video, "clip.mkv"), ("request", asked, None)])
    head = (
        f"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Connection: close\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with proxy.context.wrap_socket(proxy.raw(), server_hostname="127.0.0.1") as connection:
        connection.sendall(head.encode() + body)
        pieces = [connection.recv(1 << 16)]
        tracked = server.get("/metrics", **WITH_TOKEN).body.decode()
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    assert "\nsam3trt_videos 1\n" in tracked, "the answer came when all was done"
    answer = b"".join(pieces)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b'"frame":') == FRAMES
    # Kept together until a packet is full, as nginx does otherwise, they come a dozen at a time.
    assert len(pieces) > FRAMES / 3


def test_a_server_that_is_away_is_said_as_json(program, exported, tmp_path):
    server = Server(program, exported("hf", "video_a"))
    with nginx_before(server, tmp_path) as proxy:
        assert server.stop() == 0
        answer = proxy.get("/healthz")
        assert (answer.status, answer.error["code"]) == (503, "away")
        assert answer.headers["Retry-After"] == "5"

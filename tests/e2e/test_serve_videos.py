"""Objects and videos of `sam3trt serve`: answers of the commands, errors, clients that leave."""

import json
import socket
import struct
import time
from pathlib import Path

import clips
import pytest
from server import Server, image_of, multipart, without_times


@pytest.fixture(scope="module")
def video_server(program, exported):
    server = Server(program, exported("hf", "video_a"), "--videos", 1)
    yield server
    assert server.stop() == 0, server.stderr


@pytest.fixture(scope="module")
def detector_server(program, tiny_detector_graphs):
    server = Server(program, tiny_detector_graphs)
    yield server
    assert server.stop() == 0, server.stderr


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    return clips.write_frames(tmp_path_factory.mktemp("clip") / "frames", 6)


@pytest.fixture(scope="module")
def video(frames) -> Path:
    return clips.encode(frames, frames.parent / "clip.mkv")


def test_objects_answers_what_the_command_does(run, video_server, exported, frames):
    image = frames / "frame0.png"
    arguments = ("--image", image, "--point", "20,24", "--negative-point", "80,20", "--multimask")
    done = run("infer", "--model", exported("hf", "video_a"), *arguments, check=True)
    objects = [{"id": 1, "points": [[20, 24], [80, 20]], "point_labels": [1, 0]}]
    request = {"objects": objects, "multimask": True}
    whole = video_server.post_json("/v1/objects", {"image": image_of(image), **request})
    assert whole.status == 200, whole.body
    assert (
        without_times(whole.json)[0]["objects"] == json.loads(done.stdout)["images"][0]["objects"]
    )
    parts = (("image", image.read_bytes(), "a.png"), ("request", json.dumps(request), None))
    assert without_times(video_server.post_parts("/v1/objects", *parts).json) == without_times(
        whole.json
    )
    for wrong in ([{"id": 1}], [{"points": [[1, 1]], "frame": 3}], [{"point": [1, 1]}]):
        answer = video_server.post_json("/v1/objects", {"image": image_of(image), "objects": wrong})
        assert (answer.status, answer.error["field"]) == (422, "objects"), answer.body


def ask_video(server, video: bytes | Path, request: dict):
    content = video if isinstance(video, bytes) else video.read_bytes()
    parts = (("video", content, "clip.mkv"), ("request", json.dumps(request), None))
    return server.post_parts("/v1/videos", *parts)


def test_videos_give_the_lines_of_track(run, video_server, exported, video, tmp_path):
    objects = [{"id": 1, "frame": 0, "points": [[20, 24]]}]
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"objects": objects}))
    arguments = ("--video", video, "--prompts", prompts, "--direction", "both")
    done = run("track", "--model", exported("hf", "video_a"), *arguments, check=True)
    answer = ask_video(video_server, video, {"prompts": {"objects": objects}, "direction": "both"})
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    first, *rest = [json.loads(line) for line in answer.body.splitlines()]
    expected, *others = [json.loads(line) for line in done.stdout.splitlines()]
    assert rest == others
    assert first["video"].pop("path") == "clip.mkv"
    expected["video"].pop("path")
    assert first == expected


def test_what_is_wrong_with_a_video_is_said(video_server, detector_server, video):
    asked = {"texts": ["dog"]}
    assert ask_video(video_server, b"no video at all", asked).status == 415
    playlist = f"#EXTM3U\n#EXTINF:1,\nfile://{video}\n#EXT-X-ENDLIST\n".encode()
    assert ask_video(video_server, playlist, asked).status == 415
    broken = ask_video(video_server, video.read_bytes()[:200] + bytes(5000), asked)
    assert broken.status == 422, broken.body
    assert ".sam3trt-" not in broken.error["message"]
    for request, field in (
        ({}, "texts"),
        ({"texts": ["dog"], "direction": "up"}, "direction"),
        ({"texts": ["dog"], "hot_start": -1}, "hot_start"),
        ({"prompts": {"objects": [{"points": [[1, 1]], "image": "a"}]}}, "prompts"),
        ({"prompts": {"objects": [{"mask": "/etc/passwd"}]}}, "prompts"),
    ):
        answer = ask_video(video_server, video, request)
        assert (answer.status, answer.error["field"]) == (422, field), answer.body
    assert ask_video(detector_server, video, asked).error["code"] == "not_available"


def test_a_client_that_leaves_before_the_first_line_ends_no_server(video_server, video):
    parts = (("video", video.read_bytes(), "a.mkv"), ("request", '{"texts": ["dog"]}', None))
    media, body = multipart(list(parts))
    head = f"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\n"
    lines = lambda: video_server.stderr.count('"/v1/videos"')  # noqa: E731
    for _ in range(3):
        before = lines()
        client = video_server.raw()
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        # Closed so that what the server sends is refused.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        deadline = time.monotonic() + 60
        while lines() == before:
            assert video_server.process.poll() is None, video_server.stderr[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
    # The place of the last one that left is free a moment after its line was written.
    deadline = time.monotonic() + 60
    while (status := video_server.post_parts("/v1/videos", *parts).status) == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status == 200


def test_uploads_leave_nothing_behind(program, exported, video, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = Server(program, exported("hf", "video_a"), "--max-video-mb", 1)
    request = {"prompts": {"objects": [{"points": [[20, 24]]}]}}
    assert ask_video(server, video, request).status == 200
    assert ask_video(server, b"broken", request).status == 415
    assert ask_video(server, video.read_bytes() + bytes(2 << 20), request).status == 413
    client = server.raw()  # leaves in the middle of its upload
    head = b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\n'
    client.sendall(head + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + part)
    client.sendall(bytes(30_000))
    client.shutdown(socket.SHUT_RDWR)
    client.close()
    deadline = time.monotonic() + 20
    while list(tmp_path.glob(".sam3trt-*")):
        assert time.monotonic() < deadline, list(tmp_path.iterdir())
        time.sleep(0.05)
    assert server.stop() == 0

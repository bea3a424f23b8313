"""`sam3trt serve` whose disk is full: a limit on the size of its files, and folders that refuse."""

import json
import resource
import time

import clips
import pytest
from server import Server

LIMIT = 64 << 10
ASKED = json.dumps({"prompts": {"objects": [{"points": [[20, 24]]}]}})


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    small = clips.encode(clips.write_frames(folder / "frames", 3), folder / "clip.mkv").read_bytes()
    assert len(small) < LIMIT
    return small


def post(server, video: bytes):
    return server.post_parts("/v1/videos", ("video", video, "clip.mkv"), ("request", ASKED, None))


def wait_until_empty(folder) -> None:
    deadline = time.monotonic() + 20
    while left := list(folder.iterdir()):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_an_upload_without_room_is_507_and_the_server_goes_on(
    program, exported, video, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = Server(program, exported("hf", "video_a"))
    assert post(server, video).status == 200
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (LIMIT, hard))
    for size in (LIMIT + 1, 20 * LIMIT):
        full = post(server, video + bytes(size - len(video)))
        assert (full.status, full.error["code"]) == (507, "disk_full"), full.body
        assert full.error["message"] == "the server has no room for the upload"
        wait_until_empty(tmp_path)
    assert post(server, video).status == 200  # what has room goes on
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    lines = post(server, video + bytes(LIMIT)).body.splitlines()
    assert len(lines) == 4, lines
    wait_until_empty(tmp_path)
    assert server.stop() == 0
    assert "an upload cannot be kept: File too large" in server.stderr


def test_a_folder_for_uploads_that_is_not_there_is_not_the_clients_mistake(
    program, exported, video, tmp_path, monkeypatch
):
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    server = Server(program, exported("hf", "video_a"))
    folder.rmdir()
    answer = post(server, video)
    assert (answer.status, answer.error["code"]) == (500, "internal"), answer.body
    assert str(folder) not in answer.error["message"]
    folder.mkdir()
    assert post(server, video).status == 200
    assert server.stop() == 0
    assert "TMPDIR does not name a folder" in server.stderr

"""Clients of every kind at once, who also leave or ask nonsense, and servers that stop meanwhile.

SAM3TRT_RANDOM_SECONDS makes them go on for that long, with other requests each time;
SAM3TRT_RANDOM_SEED repeats their choices. With a program that is built with a sanitizer, what that
reports fails the test (docs/development.md).
"""

import collections
import http.client
import json
import os
import random
import re
import socket
import struct
import threading
import time

import clips
import pytest
from server import Server, multipart

SECONDS = float(os.environ.get("SAM3TRT_RANDOM_SECONDS", 6))
SEED = int(os.environ.get("SAM3TRT_RANDOM_SEED", time.time_ns() if SECONDS > 6 else 1))
CLIENTS = 8
SERVERS = 3 if SECONDS <= 60 else 10  # that stop one after the other
REPORTS = re.compile(r"ERROR: AddressSanitizer|WARNING: ThreadSanitizer|runtime error: ")
ROUTES = ("/healthz", "/readyz", "/metrics", "/v1/model", "/", "/openapi.json", "/v2", "/nothing")
ANSWERED = {"infer", "features", "clicks", "get", "kserve", "video"}  # by every server
PATIENCE = 120  # seconds that this may take besides
ANSWER = 600  # seconds that one may take under a sanitizer on a busy machine
DOG = json.dumps({"texts": ["dog"]})
DOCUMENTED = {200, 400, 404, 405, 408, 413, 415, 422, 503}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, list[bytes]]:
    folder = clips.write_frames(tmp_path_factory.mktemp("random") / "frames", 5)
    frames = [path.read_bytes() for path in sorted(folder.iterdir())]
    # Bytes behind an image's end give it another name in the cache.
    images = [frame + b" " * i for frame in frames for i in range(6)]
    return {"images": images, "video": [clips.encode(folder, folder.parent / "a.mkv").read_bytes()]}


class RandomClient:
    """Asks one thing after the other until told to stop, and counts the answers."""

    def __init__(self, server: Server, files: dict[str, list[bytes]], seed: int):
        self.server, self.files = server, files
        self.dice = random.Random(seed)
        self.statuses: collections.Counter = collections.Counter()
        self.lost: collections.Counter = collections.Counter()  # without an answer
        self.wrong: list[str] = []
        self.features = ""
        self.connection = server.connect(ANSWER)

    KINDS = {"infer": 5, "clicks": 8, "get": 3, "kserve": 2, "video": 1, "broken": 3, "leave": 2}

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            (kind,) = self.dice.choices(list(self.KINDS), self.KINDS.values())
            try:
                getattr(self, kind)()
            except (OSError, http.client.HTTPException) as error:
                self.lost[f"{kind}: {type(error).__name__}"] += 1
                self.connection.close()
        self.connection.close()

    def ask(self, kind: str, method: str, path: str, body=None, media="application/json") -> bytes:
        headers = {"Content-Type": media} if body is not None else {}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        data = answer.read()
        self.statuses[kind, answer.status] += 1
        if answer.status not in DOCUMENTED:
            self.wrong.append(f"{kind} {path}: {answer.status} {data[:300]!r}")
        if answer.status == 503:
            time.sleep(0.05)
        return data if answer.status == 200 else b""

    def image(self) -> bytes:
        return self.dice.choice(self.files["images"])

    def infer(self) -> None:
        texts = self.dice.sample(["dog", "cat", "red", "", "box"], self.dice.randint(0, 3))
        parts = [("image", self.image(), "a.png") for _ in range(self.dice.choice([1, 1, 1, 2, 3]))]
        parts += [("text", text, None) for text in texts]
        if self.dice.random() < 0.3:
            parts.append(("box", self.dice.choice(["5,5,40,40", "40,5,5,40", "x"]), None))
        media, body = multipart(parts)
        self.ask("infer", "POST", "/v1/infer", body, media)

    def clicks(self) -> None:
        if self.dice.random() < (0.2 if self.features else 0.9):
            answer = self.ask("features", "POST", "/v1/features", self.image(), "image/png")
            if answer:
                self.features = json.loads(answer)["features"]
        count = self.dice.randint(1, 4)
        points = [[self.dice.uniform(-1, 95), self.dice.uniform(0, 63)] for _ in range(count)]
        ids = self.dice.choice([[1], [1, 2], [5, 6, 7], [1, 1]])
        body = {
            "image": {"features": self.features or "0" * 64},
            "objects": [{"id": id, "points": points} for id in ids],
            "multimask": self.dice.random() < 0.3,
        }
        self.ask("clicks", "POST", "/v1/objects", json.dumps(body).encode())

    def get(self) -> None:
        method = self.dice.choice(["GET", "GET", "GET", "HEAD", "DELETE", "OPTIONS"])
        self.ask("get", method, self.dice.choice(ROUTES))

    def kserve(self) -> None:
        texts = self.dice.sample(["dog", "cat", "red"], self.dice.randint(1, 2))
        data = [self.image(), *(text.encode() for text in texts)]
        image, *rest = [struct.pack("<I", len(one)) + one for one in data]
        inputs = [
            {"name": name, "datatype": "BYTES", "shape": [count]}
            | {"parameters": {"binary_data_size": len(content)}}
            for name, count, content in (
                ("image", 1, image),
                ("text", len(texts), b"".join(rest)),
            )
        ]
        head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        content = head + image + b"".join(rest)
        headers = {"Inference-Header-Content-Length": str(len(head) - (self.dice.random() < 0.1))}
        self.connection.request("POST", "/v2/models/sam3/infer", content, headers)
        answer = self.connection.getresponse()
        answer.read()
        self.statuses["kserve", answer.status] += 1

    def video(self) -> None:
        request = {"texts": ["dog"]}
        if self.dice.random() < 0.7:
            objects = [{"id": 1, "frame": 0, "points": [[20, 24]]}]
            request = {"prompts": {"objects": objects}, "direction": "both"}
        (video,) = self.files["video"]
        parts = [("video", video, "a.mkv"), ("request", json.dumps(request), None)]
        media, body = multipart(parts)
        self.connection.request("POST", "/v1/videos", body, {"Content-Type": media})
        answer = self.connection.getresponse()
        self.statuses["video", answer.status] += 1
        if self.dice.random() < 0.3:
            answer.read(50)
            self.connection.close()
        else:
            answer.read()

    def broken(self) -> None:
        """Bytes that are nearly a request."""
        media, body = multipart([("image", self.image(), "a.png"), ("text", "dog", None)])
        head = f"POST /v1/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\n"
        request = bytearray((head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        for _ in range(self.dice.randint(1, 8)):
            request[self.dice.randrange(len(request))] = self.dice.randrange(256)
        with self.server.raw(ANSWER) as raw:
            raw.sendall(request[: self.dice.choice([len(request), self.dice.randrange(1, 400)])])
            raw.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while piece := raw.recv(1 << 16):
                answer += piece
        found = re.match(rb"HTTP/1.1 (\d+) ", answer)
        self.statuses["broken", int(found[1]) if found else "closed"] += 1

    def leave(self) -> None:
        """A request whose answer nobody waits for."""
        path, parts = "/v1/infer", [("image", self.image(), "a.png")]
        parts += [("text", f"dog {self.dice.randrange(50)}", None)]
        if self.dice.random() < 0.2:
            (video,) = self.files["video"]
            path, parts = "/v1/videos", [("video", video, "a.mkv"), ("request", DOG, None)]
        media, body = multipart(parts)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\n"
        with self.server.raw(ANSWER) as raw:
            raw.sendall((head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
            time.sleep(self.dice.choice([0, 0.01, 0.1]))
        self.statuses["leave", "left"] += 1


def answered(clients: list[RandomClient]) -> set[str]:
    return {kind for client in clients for kind, status in list(client.statuses) if status == 200}


def ask_until(server: Server, files: dict, seconds: float, seed: int) -> list[RandomClient]:
    """Clients for so long, and until each kind got its answer; the server is told to stop while
    they ask.
    """
    stop = threading.Event()
    clients = [RandomClient(server, files, seed + i) for i in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, args=(stop,)) for client in clients]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    while time.monotonic() < begin + seconds or (
        not answered(clients) >= ANSWERED and time.monotonic() < begin + seconds + PATIENCE
    ):
        time.sleep(0.1)
    lost = {kind: count for client in clients for kind, count in client.lost.items()}
    server.process.terminate()
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    server.process.wait(ANSWER)
    assert not lost, f"requests without an answer: {lost}\n{server.stderr[-4000:]}"
    return clients


def test_clients_of_every_kind_are_answered_until_the_server_stops(program, exported, files):
    counts: collections.Counter = collections.Counter()
    reports = []
    for number in range(SERVERS):
        options = ("--cache-mb", 4, "--queue", 12, "--videos", 2)
        server = Server(program, exported("hf", "video_a"), *options)
        try:
            server.wait_until_ready()
            clients = ask_until(server, files, SECONDS / SERVERS, SEED + 100 * number)
        finally:
            code = server.stop()
        reports += [m for m in REPORTS.findall(server.stderr)]
        if reports:
            print(server.stderr[-20000:])
        assert not [wrong for client in clients for wrong in client.wrong]
        assert (code, reports) == (0, []), server.stderr[-4000:]
        assert answered(clients) >= ANSWERED
        for client in clients:
            counts += client.statuses
    print(f"SAM3TRT_RANDOM_SEED={SEED}")
    print({f"{kind} {status}": count for (kind, status), count in sorted(counts.items(), key=str)})

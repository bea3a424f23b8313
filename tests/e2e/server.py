"""`sam3trt serve` for tests: a process of its own on a free port, and requests to it."""

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
import uuid
from pathlib import Path
from typing import NamedTuple

from shared import NO_HOME


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self) -> dict:
        return self.json["error"]


def multipart(parts: list[tuple[str, bytes | str, str | None]]) -> tuple[str, bytes]:
    """Content type and body of (name, content, file name) parts."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, content, filename in parts:
        content = content.encode() if isinstance(content, str) else content
        file = f'; filename="{filename}"' if filename else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


class Client:
    """Requests to a URL, each on a connection of its own."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None):
        self.url = url
        self.address = urllib.parse.urlsplit(url)
        self.context = context
        self.kept: http.client.HTTPConnection | None = None

    @contextlib.contextmanager
    def one_connection(self):
        """Requests go over one connection: each is counted before the next one is read."""
        self.kept = self.connect()
        try:
            yield
        finally:
            self.kept.close()
            self.kept = None

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        where = (self.address.hostname, self.address.port)
        if self.context:
            return http.client.HTTPSConnection(*where, timeout=timeout, context=self.context)
        return http.client.HTTPConnection(*where, timeout=timeout)

    def raw(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection((self.address.hostname, self.address.port), timeout)

    def ask(self, method: str, path: str, body=None, headers=None, **options) -> Answer:
        connection = self.kept or self.connect()
        try:
            connection.request(method, path, body, headers or {}, **options)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            if connection is not self.kept:
                connection.close()

    def get(self, path: str, **headers) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post_json(self, path: str, value, **headers) -> Answer:
        text = value if isinstance(value, str | bytes) else json.dumps(value)
        return self.ask("POST", path, text, {"Content-Type": "application/json", **headers})

    def post_parts(self, path: str, *parts, **headers) -> Answer:
        content_type, body = multipart(list(parts))
        return self.ask("POST", path, body, {"Content-Type": content_type, **headers})

    def wait_until_ready(self) -> None:
        while self.get("/readyz").status != 200:
            time.sleep(0.05)

    def metric(self, name: str) -> float:
        """The value of the line that begins so."""
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"{name} is not in /metrics")


class Server(Client):
    """The running program; `stop()` ends it as a user would."""

    def __init__(
        self, program: Path, model: Path, *arguments, context: ssl.SSLContext | None = None
    ):
        command = [program, "serve", "--model", model, "--port", "0", *map(str, arguments)]
        variables = {**os.environ, **NO_HOME}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
        )
        url = self.process.stdout.readline().strip()
        if not url:
            raise AssertionError(self.process.stderr.read())
        super().__init__(url, context)
        self.stderr = ""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            self.stderr += line

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def image_of(path: Path) -> dict:
    return {"base64": base64.b64encode(path.read_bytes()).decode()}


def without_times(document: dict) -> list[dict]:
    images = [dict(image) for image in document["images"]]
    for image in images:
        image.pop("timings_ms")
        image.pop("features", None)
        image.pop("path")
    return images

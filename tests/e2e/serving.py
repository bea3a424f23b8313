"""A running server, and small requests to it."""

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict

    def json(self):
        return json.loads(self.body)


class Server(NamedTuple):
    """Where it listens, and with which model."""

    url: str
    model: Path

    @property
    def address(self) -> str:
        """host:port"""
        return self.url.removeprefix("http://")

    def ask(self, path: str, body=None, headers: dict | None = None) -> Answer:
        """GET, or POST where there is a body: bytes, or what becomes JSON."""
        data, kind = body, "application/octet-stream"
        if body is not None and not isinstance(body, bytes):
            data, kind = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self.url + path, data)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return Answer(response.status, response.read(), dict(response.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), dict(error.headers))


@contextlib.contextmanager
def serve(program: Path, model: Path, *arguments) -> Iterator[Server]:
    """A server until the block ends, where it must stop cleanly."""
    port = free_port()
    command = [program, "serve", "--model", model, "--port", str(port), *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))

        def said() -> str:
            log.seek(0)
            return log.read()

        server = Server(f"http://127.0.0.1:{port}", model)
        try:
            deadline = time.monotonic() + 120
            while True:
                assert process.poll() is None, said()
                assert time.monotonic() < deadline, said()
                with contextlib.suppress(OSError):
                    if server.ask("/readyz").status == 200:
                        break
                time.sleep(0.1)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.returncode == 0, said()


@contextlib.contextmanager
def files(folder: Path, token: str) -> Iterator[str]:
    """host:port of a server of files for who has the token; /redirect leads elsewhere."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def do_GET(self):
            if self.headers.get("Authorization") != f"Token {token}":
                self.send_error(401)
            elif self.path == "/redirect":
                self.send_response(302)
                self.send_header("Location", "http://127.0.0.2:1/a.png")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

"""Servers that end with a block: of the program, and of images for it."""

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from server import Server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def serve(program: Path, model: Path, *arguments) -> Iterator[Server]:
    """The program until the block ends, where it must stop cleanly."""
    running = Server(program, model, *arguments)
    try:
        running.wait_until_ready()
        yield running
    finally:
        code = running.stop()
    assert code == 0, running.stderr


@contextlib.contextmanager
def files(folder: Path, token: str | None = None) -> Iterator[str]:
    """host:port of a server of files, for who has the token.

    /to/NAME leads to /NAME, /redirect to another host, /file to a file, /loop to itself; /endless
    does not end.
    """

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def do_GET(self):
            elsewhere = {
                "/redirect": "http://127.0.0.2:1/a.png",
                "/file": "file:///etc/passwd",
                "/loop": "/loop",
            }
            head, _, rest = self.path.removeprefix("/").partition("/")
            if token and self.headers.get("Authorization") != f"Token {token}":
                self.send_error(401)
            elif self.path in elsewhere:
                self.redirect(elsewhere[self.path])
            elif head in ("to", "again"):
                self.redirect(f"/{rest}")
            elif self.path == "/endless":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while True:
                        self.wfile.write(bytes(1 << 16))
            else:
                super().do_GET()

        def redirect(self, target: str) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()

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

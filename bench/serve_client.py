"""Requests to a server, made once and sent as they are: the client costs little beside it."""

import socket
from typing import NamedTuple
from urllib.parse import urlsplit

EDGE = b"--sam3trt-bench"


class Answer(NamedTuple):
    status: int
    body: bytes


def form(fields: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    """A multipart/form-data body, in which "image" is a file, and its media type."""
    body = bytearray()
    for name, content in fields:
        file = b'; filename="a.jpg"' if name == "image" else b""
        body += EDGE + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' + file
        body += b"\r\n\r\n" + content + b"\r\n"
    body += EDGE + b"--\r\n"
    return bytes(body), f"multipart/form-data; boundary={EDGE[2:].decode()}"


def head(
    url: str,
    method: str,
    path: str,
    length: int = 0,
    content_type: str | None = None,
    token: str | None = None,
) -> bytes:
    """The head of a request with a body of that length."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if content_type:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(url: str, path: str, body: bytes, content_type: str) -> bytes:
    """The bytes of a whole request."""
    return head(url, "POST", path, len(body), content_type) + body


class Connection:
    """One that is kept. Answers have to say their length."""

    def __init__(self, url: str, timeout: float = 120):
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def ask(self, request: bytes) -> Answer:
        """Throws OSError for a connection that ended."""
        self.socket.sendall(request)
        data = self.socket.recv(1 << 18)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        first, *lines = data[:end].lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        pieces, missing = [data[end + 4 :]], length - (len(data) - end - 4)
        while missing > 0:
            pieces.append(self._more())
            missing -= len(pieces[-1])
        return Answer(int(first.split()[1]), b"".join(pieces))

    def _more(self) -> bytes:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionResetError("the connection ended within an answer")
        return data

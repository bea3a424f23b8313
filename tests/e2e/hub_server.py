"""A small stand-in for the Hugging Face hub on 127.0.0.1, with faults on request."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPO = "acme/sam3"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Behaviour:
    """What the server holds and how it misbehaves."""

    files: dict[str, bytes]
    repo: str = REPO
    stored_elsewhere: set[str] = field(default_factory=set)  # large files: redirect and SHA-256
    siblings: list | None = None  # in place of the names of `files`
    gated: bool = False
    tokens: tuple[str, ...] = ("hf_good",)
    tokens_without_access: tuple[str, ...] = ()
    cut_after: list[int] = field(default_factory=list)  # bytes sent per large transfer, then cut
    corrupt: int = 0  # that many large transfers have a wrong byte
    announced_size: str | None = None
    extra_bytes: int = 0
    ranges: bool = True
    fail_status: list[int] = field(default_factory=list)  # answered first, one a request
    stall: bool = False
    moved: bool = False  # everything of the hub is behind one more, relative redirect
    without_etag: set[str] = field(default_factory=set)


class Server:
    """The hub, the storage to which it redirects, and a front, another address of the hub that
    answers everything with a 308 to it. `log` holds the requests."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.log: list[tuple[str, str, str, dict[str, str]]] = []
        self.stop_stalling = threading.Event()
        self.hub = self._start("hub")
        self.storage = self._start("storage")
        self.front = self._start("front")

    def _start(self, role: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"owner": self, "role": role})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def url(self, role: str = "hub") -> str:
        return f"http://127.0.0.1:{getattr(self, role).server_port}"

    def requests(self, role: str, method: str = "GET") -> list[tuple[str, dict[str, str]]]:
        return [(p, h) for r, m, p, h in self.log if r == role and m == method]

    def close(self) -> None:
        self.stop_stalling.set()
        for server in (self.hub, self.storage, self.front):
            server.shutdown()
            server.server_close()


#: Files of a checkpoint beside its weights.
SMALL = {
    "config.json": b'{"model_type": "sam3"}\n',
    "tokenizer.json": b"{}\n",
    "LICENSE": b"a licence\n",
}


@contextmanager
def servers_of(weights: bytes) -> Iterator[Callable[..., Server]]:
    """start(**behaviour): a server; by default with one weight file in large-file storage."""
    servers = []

    def start(**options) -> Server:
        options.setdefault("files", SMALL | {"model.safetensors": weights, "README.md": b"x"})
        options.setdefault(
            "stored_elsewhere", {n for n in options["files"] if n.endswith((".safetensors", ".pt"))}
        )
        servers.append(Server(Behaviour(**options)))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.close()


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    role: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        behaviour = self.owner.behaviour
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.log.append((self.role, self.command, self.path, headers))
        if self.role == "front":
            self._redirect(308, self.owner.url() + self.path)
        elif self.role == "hub" and behaviour.moved and not self.path.startswith("/moved/"):
            self._redirect(307, "/moved" + self.path)
        elif behaviour.fail_status:
            self._send(behaviour.fail_status.pop(0))
        elif self.role == "storage":
            self._send_large(self.path.removeprefix("/"))
        elif (path := self.path.removeprefix("/moved")) and path.startswith(
            f"/api/models/{behaviour.repo}/revision/"
        ):
            self._send_listing(path.rsplit("/", 1)[1].partition("?")[0])
        elif path.startswith(f"/{behaviour.repo}/resolve/{COMMIT}/"):
            self._resolve(path.rsplit("/", 1)[1], headers)
        else:
            self._send(401 if "authorization" not in headers else 404, code="RepoNotFound")

    def _send_listing(self, revision: str) -> None:
        behaviour = self.owner.behaviour
        if revision not in ("main", COMMIT):
            self._send(404, code="RevisionNotFound")
            return
        siblings = behaviour.siblings
        if siblings is None:
            siblings = [{"rfilename": name} for name in behaviour.files]
            if "?blobs=" in self.path:
                siblings = [self._describe(name) for name in behaviour.files]
        listing = {"id": behaviour.repo, "sha": COMMIT, "siblings": siblings}
        self._send(200, json.dumps(listing).encode())

    def _describe(self, name: str) -> dict:
        """A file as the hub lists it where sizes and hashes are asked for."""
        content = self.owner.behaviour.files[name]
        entry = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
        if name in self.owner.behaviour.stored_elsewhere:
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 1}
        return entry

    def _resolve(self, name: str, headers: dict[str, str]) -> None:
        behaviour = self.owner.behaviour
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if behaviour.gated and token in behaviour.tokens_without_access:
            self._send(403, code="GatedRepo", message="Access is restricted\x07 until approval")
        elif behaviour.gated and token not in behaviour.tokens:
            self._send(401, code="GatedRepo" if not token else "")
        elif name not in behaviour.files:
            self._send(404, code="EntryNotFound")
        elif name in behaviour.stored_elsewhere:
            content = behaviour.files[name]
            self.send_response(302)
            self.send_header("Location", f"{self.owner.url('storage')}/{name}")
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Linked-Size", behaviour.announced_size or str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            content = behaviour.files[name]
            known = name not in behaviour.without_etag
            self._send(200, content, etag=f'W/"{git_sha1(content)}"' if known else "")

    def _redirect(self, status: int, location: str) -> None:
        self.send_response(status)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, body: bytes = b"", code="", message="", etag="") -> None:
        self.send_response(status)
        for name, value in (("X-Error-Code", code), ("X-Error-Message", message), ("ETag", etag)):
            if value:
                self.send_header(name, value)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _send_large(self, name: str) -> None:
        behaviour = self.owner.behaviour
        content = behaviour.files[name] + b"x" * behaviour.extra_bytes
        if behaviour.corrupt > 0:
            behaviour.corrupt -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        begin = 0
        if "Range" in self.headers and behaviour.ranges:
            begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = len(content)
        if behaviour.cut_after:
            end = begin + behaviour.cut_after.pop(0)
            self.close_connection = True
        if behaviour.stall:
            self.owner.stop_stalling.wait(30)
            self.close_connection = True
            return
        try:
            self.wfile.write(content[begin:end])
        except OSError:
            pass  # the client has had enough

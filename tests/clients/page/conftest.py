"""Fixtures: `sam3trt serve` over small models, a browser, and the page in it.

`shapes` is models/tiny, which finds drawn shapes by text and example; `clips` is a random
checkpoint whose tracker was fitted to moving shapes: it is clicked on, and follows; `images` has no
tracker.
"""

import io
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[3]
PICTURES = ROOT / "build/page"
BROWSER = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A page that asks another address than its server's, or that its own policy forbids, is wrong.
EXPECTED_LOG = ("Failed to load resource",)

# The machine may be busy with other tests.
expect.set_options(timeout=20_000)

sys.path.append(str(Path(__file__).parent))
from handle import Handle  # noqa: E402

PYTHON = ROOT / ".venv/bin/python"


@pytest.fixture(scope="session")
def program() -> Path:
    path = Path(os.environ.get("SAM3TRT_PROGRAM", ROOT / "build/sam3trt"))
    if not path.is_file():
        pytest.fail(f"{path} is not built: run 'make', or name the program in SAM3TRT_PROGRAM")
    return path


@pytest.fixture(scope="session")
def graphs(program, tmp_path_factory):
    """graphs(name): the folder of ONNX graphs of "shapes", "clips" or "images"."""
    made = {}
    configs = {"clips": "video_c", "images": "tiny_a"}

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            checkpoint = ROOT / "models/tiny"
            if name in configs:
                checkpoint = folder / "checkpoint"
                script = ROOT / "tools/reference/make_checkpoint.py"
                config = ROOT / f"tests/data/configs/{configs[name]}.json"
                command = [PYTHON, script, config, "--format", "hf", "--output", checkpoint]
                subprocess.run(command, check=True)
            command = [program, "export", "--checkpoint", checkpoint, "--component", "all"]
            subprocess.run(
                [*command, "--output", folder / "graphs"], check=True, capture_output=True
            )
            made[name] = folder / "graphs"
        return made[name]

    return make


class Server:
    """`sam3trt serve` on a port of its own."""

    def __init__(self, program: Path, model: Path, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.command = [program, "serve", "--model", model, "--port", str(self.port), *options]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server is not ready"
            try:
                urllib.request.urlopen(f"{self.url}readyz", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def serve(program, graphs):
    """serve(model, *options): a Server; all end with the session."""
    servers = []

    def start(model: str, *options) -> Server:
        servers.append(Server(program, graphs(model), *options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def shapes(serve) -> Server:
    return serve("shapes")


@pytest.fixture(scope="session")
def clips(serve) -> Server:
    return serve("clips")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> list[Path]:
    """shapes.png and shapes_photo.png, 640x440, as the demo draws them."""
    folder = tmp_path_factory.mktemp("drawn")
    script = ROOT / "tools/tiny/draw_demo.py"
    subprocess.run([PYTHON, script, folder], check=True, capture_output=True)
    return [folder / "shapes.png", folder / "shapes_photo.png"]


@pytest.fixture(scope="session")
def meadow(tmp_path_factory) -> Path:
    """A clip of 32 frames, 480x360, 10 a second: a red disc goes to the right, among others."""
    folder = tmp_path_factory.mktemp("meadow")
    script = ROOT / "tools/reference/clip_scenes.py"
    subprocess.run([PYTHON, script, "meadow", "--output", folder], check=True)
    target = folder / "meadow.mp4"
    command = ["ffmpeg", "-v", "error", "-framerate", "10", "-i", folder / "%05d.png"]
    scale = ["-vf", "scale=480:360:flags=neighbor", "-c:v", "libx264", "-crf", "10"]
    subprocess.run([*command, *scale, "-pix_fmt", "yuv420p", target], check=True)
    return target


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """visit(server, **context): the page as a Handle; checks at the end that nothing went wrong."""
    contexts = []
    wrong = []

    def open_page(server: Server, *, size=(1280, 800), **options) -> Handle:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, accept_downloads=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        watch(page, server, wrong)
        page.goto(server.url)
        return Handle(page, server)

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong, wrong


def watch(page: Page, server: Server, wrong: list[str]) -> None:
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))

    def log(message):
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED_LOG):
            wrong.append(f"{message.type}: {message.text}")

    def asked(request):
        if not request.url.startswith((server.url, "blob:", "data:")):
            wrong.append(f"asked {request.url}")

    page.on("console", log)
    page.on("request", asked)


@pytest.fixture
def picture():
    """picture(handle, name): what the page looks like; `kept` ones are of the documents."""

    def keep(handle: Handle, name: str, *, kept=False, full_page=False) -> None:
        folder = Path(os.environ.get("SAM3TRT_PAGE_PICTURES", PICTURES)) if kept else PICTURES
        folder.mkdir(parents=True, exist_ok=True)
        shot = Image.open(io.BytesIO(handle.page.screenshot(full_page=full_page)))
        shot.convert("RGB").save(folder / f"page-{name}.webp", quality=88, method=6)

    return keep

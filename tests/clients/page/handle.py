"""The page as a person handles it."""

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

MARGIN = 16


class Handle:
    def __init__(self, page: Page, server):
        self.page = page
        self.server = server
        self.asked: list[tuple[str, dict | None]] = []
        self.size = (1, 1)
        page.on("request", self._note)

    def _note(self, request) -> None:
        path = request.url.removeprefix(self.server.url)
        if not path.startswith("v1/"):
            return
        kind = request.headers.get("content-type", "")
        body = json.loads(request.post_data) if kind == "application/json" else None
        self.asked.append((path, body))

    def requests(self, path: str) -> list[dict | None]:
        """The bodies of the requests so far to that route."""
        return [body for asked, body in self.asked if asked == path]

    def wait_for_requests(self, path: str, count: int) -> list[dict | None]:
        """Their bodies when there are so many, and all are answered."""
        for _ in range(200):
            if len(self.requests(path)) >= count:
                break
            self.page.wait_for_timeout(50)
        assert len(self.requests(path)) == count
        self.quiet()
        return self.requests(path)

    def wait_until_asked(self, path: str, is_it: Callable[[dict], bool]) -> dict:
        """The body of the last request, once it is the one that is waited for and answered."""
        for _ in range(600):
            if is_it(self.requests(path)[-1]):
                break
            self.page.wait_for_timeout(50)
        self.quiet()
        return self.requests(path)[-1]

    def open(self, *files: Path, size=(640, 440)) -> None:
        self.page.set_input_files("#chooser", files)
        expect(self.page.locator("#stage canvas").first).to_be_visible()
        self.size = size

    def text(self, number: int, text: str) -> None:
        """Writes the text of that number, from 1 on."""
        field = self.page.get_by_label(f"Text {number}: what to look for")
        if field.count() == 0:
            self.page.get_by_role("button", name="Add a text").click()
        field.fill(text)
        field.press("Enter")

    def wait(self, found: int) -> None:
        """Until that many are found, and nothing is on its way."""
        expect(self.page.locator("#count")).to_have_text(
            str(found) if found else "", timeout=30_000
        )
        self.quiet()

    def quiet(self) -> None:
        """Until nothing is on its way."""
        expect(self.page.locator("#status")).to_have_text("", timeout=30_000)

    def rows(self):
        return self.page.locator("#found .one")

    def message(self):
        return self.page.locator("#message-text")

    def tool(self, name: str) -> None:
        self.page.locator(".segments label", has_text=name).click()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the image is on the screen while all of it is shown."""
        box = self.page.locator("#stage").bounding_box()
        width, height = self.size
        inner = (box["width"] - 2 * MARGIN, box["height"] - 2 * MARGIN)
        scale = min(inner[0] / width, inner[1] / height, 8)
        left = box["x"] + (box["width"] - width * scale) / 2
        top = box["y"] + (box["height"] - height * scale) / 2
        return left + x * scale, top + y * scale

    def drag(self, start, end, *, button="left", key=None) -> None:
        """From one point of the image to another."""
        mouse, keyboard = self.page.mouse, self.page.keyboard
        if key:
            keyboard.down(key)
        mouse.move(*self.at(*start))
        mouse.down(button=button)
        mouse.move(*self.at(*end), steps=5)
        mouse.up(button=button)
        if key:
            keyboard.up(key)

    def click(self, x: float, y: float, *, button="left", key=None) -> None:
        if key:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.at(x, y), button=button)
        if key:
            self.page.keyboard.up(key)

    def color_at(self, x: float, y: float) -> tuple[int, int, int]:
        """The colour of the screen there."""
        from PIL import Image

        left, top = self.at(x, y)
        clip = {"x": round(left), "y": round(top), "width": 1, "height": 1}
        return (
            Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB").getpixel((0, 0))
        )

    def download(self, entry: str) -> tuple[str, bytes]:
        """Name and content of what an entry of the menu gives."""
        self.page.locator("#downloads summary").click()
        with self.page.expect_download() as info:
            self.page.locator("#downloads button", has_text=entry).click()
        return info.value.suggested_filename, Path(info.value.path()).read_bytes()

    def unzip(self, entry: str) -> dict[str, bytes]:
        _, content = self.download(entry)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def bring(self, files: list[Path], event: str) -> None:
        """Files that are dropped or pasted."""
        values = [
            {"name": file.name, "data": base64.b64encode(file.read_bytes()).decode()}
            for file in files
        ]
        self.page.evaluate(
            """([files, event]) => {
              const data = new DataTransfer();
              for (const { name, data: text } of files) {
                const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
                data.items.add(new File([bytes], name, { type: "image/png" }));
              }
              const bubbling = { bubbles: true, cancelable: true };
              const made = event === "paste"
                ? new ClipboardEvent("paste", { clipboardData: data, ...bubbling })
                : new DragEvent(event, { dataTransfer: data, ...bubbling });
              document.body.dispatchEvent(made);
            }""",
            [values, event],
        )

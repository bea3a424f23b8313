"""Python in documents: blocks of a Markdown file, cells of a notebook, and what they name."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```python(?: requires=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


ROOT = Path(__file__).resolve().parents[2]


def draw(folder: Path) -> list[Path]:
    """shapes.png and shapes_photo.png, 640x440, as the demo draws them."""
    script = ROOT / "tools/tiny/draw_demo.py"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return [folder / "shapes.png", folder / "shapes_photo.png"]


def lay_out(drawn: list[Path], folder: Path) -> None:
    """Puts what the documents name into a folder."""
    for path in drawn:
        shutil.copy(path, folder)
    (folder / "images").mkdir()
    shutil.copy(drawn[0], folder / "images")
    (folder / "models").mkdir()
    shutil.copytree(ROOT / "models/tiny", folder / "models/tiny")


class Code(NamedTuple):
    """One block."""

    line: int
    requires: str | None
    text: str


def blocks_of(path: Path) -> list[Code]:
    content = path.read_text(encoding="utf-8")
    return [
        Code(content.count("\n", 0, match.start(2)), match[1], match[2])
        for match in _BLOCK.finditer(content)
    ]


def cells_of(path: Path) -> list[Code]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    return [Code(0, None, "".join(cell["source"])) for cell in code]


def is_there(package: str | None) -> bool:
    if package == "tracker":  # of the checkpoint that the documents name
        return "tracker_config" in json.loads((ROOT / "models/tiny/config.json").read_text())
    if package == "cuda":
        if not is_there("torch"):
            return False
        import torch

        return torch.cuda.is_available()
    return package is None or importlib.util.find_spec(package) is not None


def run(path: Path, blocks: list[Code], **there) -> list[str]:
    """Runs blocks one after the other in one namespace; which packages were missing for others.

    With names that they find `there` all are run, whatever they require.
    """
    names: dict = {"__name__": "documents"} | there
    missing = []
    for block in blocks:
        if not there and not is_there(block.requires):
            missing.append(block.requires)
            print(f"{path.name}:{block.line + 1} is not run: {block.requires} is not there")
            continue
        text = "\n" * block.line + block.text
        exec(compile(text, str(path), "exec"), names)  # lines of errors are the document's
    return missing

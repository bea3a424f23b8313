"""Python in documents: the blocks of a Markdown file, and the cells of a notebook."""

import importlib.util
import json
import re
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```python(?: requires=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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
    if package == "cuda":
        if not is_there("torch"):
            return False
        import torch

        return torch.cuda.is_available()
    return package is None or importlib.util.find_spec(package) is not None


def run(path: Path, blocks: list[Code]) -> list[str]:
    """Runs blocks one after the other in one namespace; which packages were missing for others."""
    names: dict = {"__name__": "documents"}
    missing = []
    for block in blocks:
        if not is_there(block.requires):
            missing.append(block.requires)
            print(f"{path.name}:{block.line + 1} is not run: {block.requires} is not there")
            continue
        text = "\n" * block.line + block.text
        exec(compile(text, str(path), "exec"), names)  # lines of errors are the document's
    return missing

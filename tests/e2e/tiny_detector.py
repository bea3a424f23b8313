"""The detector of models/tiny as a checkpoint of its own, as `facebook/sam3`'s image half is."""

import json
import shutil
import sys
from pathlib import Path

import goldens
import numpy as np

sys.path.insert(0, str(goldens.ROOT / "tools/reference"))
import checkpoint_files as files  # noqa: E402

TINY = goldens.ROOT / "models/tiny"
PREFIX = "detector_model."
KINDS = {"f2": "F16", "f4": "F32", "f8": "F64", "i8": "I64", "i1": "I8", "c8": "C64"}


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, data = {}, b""
    for name, values in tensors.items():
        raw = np.ascontiguousarray(values).tobytes()
        kind = KINDS[values.dtype.str[1:]]
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def config() -> dict:
    return json.loads((TINY / "config.json").read_text())["detector_config"]


def tensors() -> dict[str, np.ndarray]:
    """By the names of Sam3Model."""
    whole = files.read_safetensors(TINY / "model.safetensors")
    return {n.removeprefix(PREFIX): v for n, v in whole.items() if n.startswith(PREFIX)}


def write_files(folder: Path) -> None:
    """Everything but the weights."""
    for file in TINY.iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copy(file, folder)
    (folder / "config.json").write_text(json.dumps(config()))

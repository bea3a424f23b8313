"""Hugging Face's tracker classes as the goldens run them: plain attention, float32, CPU.

Where `hf` differs from the classes as they are, the difference is made here: no_memory_embedding
is added to level 2 of single images (`add_no_memory`), and masks are filtered and filled as the
CUDA kernels do it (video_reference.py).
"""

import json
import tempfile
from pathlib import Path

import make_checkpoint
import numpy as np
import sam3_tensors
import torch
import torch.nn.functional as F
from transformers import Sam3TrackerModel, Sam3TrackerVideoModel, Sam3VideoModel

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("video_a", "video_b", "video_c")


def load_spec(name: str) -> dict:
    return json.loads((ROOT / f"tests/data/configs/{name}.json").read_text(encoding="utf-8"))


class Checkpoint:
    """A temporary folder with the checkpoint of one configuration; loads classes from it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spec = load_spec(name)
        self._folder = tempfile.TemporaryDirectory()
        self.path = self._folder.name
        make_checkpoint.write_hugging_face(self.spec, Path(self.path))

    def load(self, kind: type, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
        """Plain matrix products instead of fused attention: the reference is the formula."""
        model, found = kind.from_pretrained(
            self.path, dtype=dtype, attn_implementation="eager", output_loading_info=True
        )
        wrong = {key: value for key, value in found.items() if value}
        if wrong:
            raise SystemExit(f"{self.name}: {kind.__name__} does not load cleanly: {wrong}")
        if kind is Sam3VideoModel:
            vision = self.spec["config"]["vision_config"]
            expected = sam3_tensors.tracker_shapes(self.spec["tracker_config"], vision)
            state = {name: tuple(t.shape) for name, t in model.state_dict().items()}
            tracker = {name: s for name, s in state.items() if name.startswith("tracker_")}
            if tracker != expected:
                raise SystemExit("sam3_tensors.py and Sam3VideoModel disagree about the tensors")
        return model.eval()

    def video(self, dtype: torch.dtype = torch.float32) -> Sam3VideoModel:
        return self.load(Sam3VideoModel, dtype)

    def tracker(self, dtype: torch.dtype = torch.float32) -> Sam3TrackerVideoModel:
        return self.load(Sam3TrackerVideoModel, dtype)

    def image(self, dtype: torch.dtype = torch.float32) -> Sam3TrackerModel:
        model = self.load(Sam3TrackerModel, dtype)
        add_no_memory(model)
        return model


def add_no_memory(model: Sam3TrackerModel) -> None:
    """Adds no_memory_embedding to level 2; the class adds it to a level that it then drops."""
    original = model.get_image_features

    def features(*arguments, **options):
        outputs = original(*arguments, **options)
        maps = list(outputs.fpn_hidden_states)
        maps[2] = maps[2] + model.no_memory_embedding
        outputs.fpn_hidden_states = maps
        return outputs

    model.get_image_features = features


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """The model's input before normalisation, uint8 [side, side, 3], as the processors resize."""
    values = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    scaled = F.interpolate(values, (side, side), mode="bilinear", antialias=True)
    return scaled[0].permute(1, 2, 0).contiguous().numpy()


def pixels(image: np.ndarray, side: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """[1, 3, side, side], from -1 to 1."""
    values = torch.from_numpy(resized(image, side).transpose(2, 0, 1).copy())[None]
    return ((values.to(torch.float32) - 127.5) / 127.5).to(dtype)

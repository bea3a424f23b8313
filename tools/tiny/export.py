"""Writes a trained Sam3Model as a Hugging Face folder with fp16 weights and the tokenizer files."""

import json
from pathlib import Path

import torch
import vocabulary
from config import CONTEXT_LENGTH, preprocessor_config
from safetensors.torch import save_file


def write_folder(model, folder: Path) -> None:
    """`model` is a Sam3Model in any precision; the folder is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = ["Sam3Model"]
    model.config.dtype = "float16"
    model.config.save_pretrained(folder)
    text = json.dumps(preprocessor_config(), indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text)
    vocabulary.write(folder, CONTEXT_LENGTH)
    tensors = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in model.state_dict().items()
    }
    partial = folder / "model.safetensors.part"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.rename(folder / "model.safetensors")

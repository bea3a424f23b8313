"""The mean of several checkpoints of one training, weight by weight.

    python tools/tiny/average.py FOLDER FOLDER... --output OUT

Each folder has config.json and model.safetensors of one file (models/tiny, OUTPUT/model of
train_tracker.py); all must have the same tensors. What is the same in all of them stays bit for
bit. OUT gets the other files of the first folder. Needs only numpy.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reference"))
import checkpoint_files  # noqa: E402
import make_checkpoint  # noqa: E402

WEIGHTS = "model.safetensors"
TYPES = {"float32": "F32", "float16": "F16"}


def mean_of(parts: list[np.ndarray]) -> np.ndarray:
    """In float64, rounded to the type of the parts."""
    if all(np.array_equal(parts[0], part) for part in parts[1:]):
        return parts[0]
    return np.mean([part.astype(np.float64) for part in parts], axis=0).astype(parts[0].dtype)


def average(models: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Tensor by tensor; raises ValueError for models that differ in more than values."""
    kinds = [{name: (v.dtype, v.shape) for name, v in model.items()} for model in models]
    for kind in kinds[1:]:
        if kind != kinds[0]:
            differing = {name for name, _ in kind.items() ^ kinds[0].items()}
            raise ValueError(f"tensors differ in name, type or shape: {sorted(differing)[:3]}")
    return {name: mean_of([model[name] for model in models]) for name in models[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="Hugging Face folders")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    try:
        files = [folder / WEIGHTS for folder in options.folders]
        mean = average([checkpoint_files.read_safetensors(file) for file in files])
    except (OSError, ValueError) as error:
        raise SystemExit(f"average.py: {error}") from None
    options.output.mkdir(parents=True, exist_ok=True)
    for path in sorted(options.folders[0].iterdir()):
        if path.suffix in (".json", ".txt"):
            shutil.copyfile(path, options.output / path.name)
    partial = options.output / f"{WEIGHTS}.part"
    types = {name: TYPES[str(values.dtype)] for name, values in mean.items()}
    make_checkpoint.write_safetensors(partial, mean, types)
    partial.rename(options.output / WEIGHTS)


if __name__ == "__main__":
    main()

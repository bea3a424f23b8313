"""Compares the graphs of the published size with a reference, stage by stage, on one photograph.

    python bench/full_size_parity.py [--reference hf|meta] [--program build/sam3trt] [--work DIR]

Makes the checkpoint once (bench/full_size.py), exports it, runs text-only and text with a box in
Hugging Face's or Meta's code and in ONNX Runtime, float32 on the CPU, and prints, as JSON, the
lowest cosine and the largest error of every stage. Needs the packages of tools/reference/README.md
and about 16 GB of memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import full_size
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import checkpoint_files  # noqa: E402
import goldens  # noqa: E402
import graphs  # noqa: E402

IMAGE = ROOT / "test_images/example.jpg"
PROMPTS = [
    {"text": "coffee cup"},
    {"text": "cup", "boxes": [[170, 20, 420, 300]], "box_labels": [1]},
]


def reference_outputs(side: str, spec: dict, folder: Path) -> list[dict[str, np.ndarray]]:
    """Stage tensors of every prompt, from Hugging Face's or Meta's code."""
    image = Image.open(IMAGE).convert("RGB")
    if side == "hf":
        import make_goldens

        model = make_goldens.Reference(spec, folder)
        context = nullcontext()
    else:
        import make_meta_goldens
        import meta_model

        context = meta_model.OnCpu()
        with context:
            weights = checkpoint_files.read_safetensors(folder / "model.safetensors")
            model = make_meta_goldens.MetaReference(spec, weights)
            del weights
    with context:
        return [model.run(image, prompt)[0] for prompt in PROMPTS]


def graph_outputs(
    side: str, spec: dict, folder: Path, references: list[dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """The same tensors from the graphs; pixels and token ids are the reference's."""
    with Image.open(IMAGE) as image:
        size = image.size
    chain = graphs.Graphs(folder)
    found = []
    for number, (prompt, expected) in enumerate(zip(PROMPTS, references, strict=True)):
        data = SimpleNamespace(
            spec=spec,
            semantics=side,
            tensors={f"{number}/input_ids": expected["input_ids"]},
            pixel_values=lambda _name, expected=expected: expected["pixel_values"][None],
        )
        asked = goldens.Prompt(
            key=str(number),
            image="image",
            size=size,
            boxes=prompt.get("boxes", []),
            labels=prompt.get("box_labels", []),
            result={},
        )
        tensors = chain.run_prompts(data, [asked], ["image"], slots=1)
        rows = {name: tensors[name][0] for name in expected if name in tensors}
        valid = len(expected["text_features"])
        rows["text_features"] = rows["text_features"][:valid]
        if "geometry_features" in rows and not asked.boxes:
            rows["geometry_features"] = rows["geometry_features"][-1:]
        found.append(rows)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", choices=["hf", "meta"], default="hf")
    parser.add_argument("--program", type=Path, default=Path("build/sam3trt"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sam3trt-bench")
    args = parser.parse_args()
    checkpoint, folder = args.work / "full_size", args.work / f"graphs_{args.reference}"
    if not (checkpoint / "tokenizer.json").exists():
        full_size.write_checkpoint(checkpoint)
    if not (folder / graphs.FILES["mask_head"]).exists():
        command = [args.program, "export", "--checkpoint", checkpoint, "--component", "all"]
        command += ["--semantics", args.reference, "--output", folder]
        subprocess.run(command, check=True)
    spec = full_size.full_size_spec() | {"tokenizer_merges": 200}
    spec["config"] = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    references = reference_outputs(args.reference, spec, checkpoint)
    worst = {}
    outputs = graph_outputs(args.reference, spec, folder, references)
    for expected, found in zip(references, outputs, strict=True):
        for name in sorted(set(found) - {"input_ids", "pixel_values"}):
            a, b = (values[name].astype(np.float64).reshape(-1) for values in (found, expected))
            if a.shape != b.shape:
                raise SystemExit(f"{name}: {found[name].shape} and {expected[name].shape}")
            cosine = float(a @ b / np.sqrt((a @ a) * (b @ b)))
            lowest, largest = worst.get(name, (1.0, 0.0))
            worst[name] = (min(lowest, cosine), max(largest, float(np.abs(a - b).max())))
    result = {
        name: {"cosine": round(cosine, 10), "largest_error": float(f"{error:.2e}")}
        for name, (cosine, error) in worst.items()
    }
    print(json.dumps({"reference": args.reference, "stages": result}, indent=1))


if __name__ == "__main__":
    main()

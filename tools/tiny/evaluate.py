"""Figures of a small SAM 3 on the held-out set: precision, presence, confusion, exemplars.

    python tools/tiny/evaluate.py --torch --model models/tiny --count 100
    python tools/tiny/evaluate.py --program build/sam3trt --model models/tiny --count 100

--program exports the checkpoint and runs `sam3trt infer` over PNG files; it needs numpy, Pillow
and pycocotools only. --graphs DIR takes a folder of graphs or engines instead of exporting, and
--infer passes more options on (for example --infer="--backend tensorrt").
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

import metrics
import suite


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--torch", action="store_true", help="run transformers' Sam3Model")
    how.add_argument("--program", type=Path, help="run this sam3trt")
    parser.add_argument("--model", type=Path, default=Path("models/tiny"), help="checkpoint folder")
    parser.add_argument("--graphs", type=Path, help="exported graphs or engines of the model")
    parser.add_argument("--infer", default="", help="more options for `sam3trt infer`")
    parser.add_argument("--count", type=int, default=100, help="pictures, in whole tens")
    parser.add_argument("--seed", type=int, default=2025)
    parser.add_argument("--device", default="cpu", help="for --torch")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--output", type=Path, help="also write the JSON to this file")
    return parser.parse_args()


def run_torch(options: argparse.Namespace, held_out: suite.Suite) -> list[dict]:
    import torch
    import torch_runner
    from transformers import Sam3Model, Sam3Processor

    processor = Sam3Processor.from_pretrained(options.model)
    model = Sam3Model.from_pretrained(options.model, dtype=torch.float32).eval()
    return torch_runner.run(model.to(options.device), processor, held_out, options.device)


def run_program(options: argparse.Namespace, held_out: suite.Suite) -> list[dict]:
    import program_runner

    with tempfile.TemporaryDirectory(prefix="sam3trt-evaluate-") as name:
        folder = Path(name)
        graphs = options.graphs
        if graphs is None:
            graphs = folder / "graphs"
            program_runner.export(options.program, options.model, graphs)
        runner = program_runner.Runner(options.program, graphs, shlex.split(options.infer))
        return runner.run(held_out, folder)


GOALS = {
    "text_ap50": (">=", 0.90),
    "text_ap": (">=", 0.70),
    "presence_accuracy": (">=", 0.97),
    "color_confusion": ("<", 0.03),
    "shape_confusion": ("<", 0.03),
    "exemplar_ap50": (">=", 0.75),
}


def table(figures: dict[str, float], goals: dict[str, tuple[str, float]]) -> str:
    lines = []
    for name, value in figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        relation, goal = goals.get(name, ("", None))
        lines.append(
            f"{name:20} {shown:>8}  {relation} {goal}" if relation else f"{name:20} {shown:>8}"
        )
    return "\n".join(lines)


def report(figures: dict[str, float], goals: dict, options: argparse.Namespace) -> None:
    """Prints the figures as --json asks, and writes them to the file of --output."""
    text = json.dumps(figures, indent=1)
    if options.output:
        options.output.write_text(text + "\n")
    print(text if options.json else table(figures, goals))


def main() -> int:
    options = parse_arguments()
    held_out = suite.build(options.seed, options.count)
    results = (run_torch if options.torch else run_program)(options, held_out)
    figures = metrics.summarise(held_out, results, exact=True)
    report(figures, GOALS, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

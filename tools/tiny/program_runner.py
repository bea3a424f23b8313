"""Runs the held-out set through the program: PNG files in, results.json out; no torch."""

import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as rle
from suite import GROUP, Suite, pixel_box

LOWEST = "0.05"


def call(arguments: list) -> None:
    """Runs a command; its own message is the best explanation of a failure."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode:
        shown = " ".join(str(a) for a in arguments)
        raise SystemExit(
            f"{shown}\nended with code {done.returncode}:\n{done.stderr or done.stdout}"
        )


def export(program: Path, checkpoint: Path, graphs: Path) -> None:
    call([program, "export", "--checkpoint", checkpoint, "--component", "all", "--output", graphs])


def convert(prompt: dict) -> dict:
    """A prompt of results.json as a result of metrics.py."""
    detections = []
    for instance in prompt["instances"]:
        code = {"size": instance["mask"]["size"], "counts": instance["mask"]["counts"].encode()}
        detections.append((instance["score"], rle.decode(code).astype(bool)))
    return {"presence": prompt["presence"], "detections": detections}


class Runner:
    def __init__(self, program: Path, graphs: Path, more: list[str]):
        self.command = [program, "infer", "--model", graphs, "--threshold", LOWEST, *more]

    def infer(self, images: list[Path], prompts: list[str], folder: Path) -> list[dict]:
        """The "images" entries of the result, in the order of `images`."""
        output = folder / "results.json"
        arguments = [*self.command, *prompts, "--output", output, "--image", *images]
        call(arguments)
        return json.loads(output.read_text())["images"]

    def run(self, held_out: Suite, folder: Path) -> list[dict]:
        """A result for every case: a call per group of pictures for texts, one per box case."""
        paths = []
        for index, scene in enumerate(held_out.scenes):
            paths.append(folder / f"{index:05}.png")
            Image.fromarray(scene.image).save(paths[-1])
        by_text: list[dict[str, dict]] = []
        for group, texts in enumerate(held_out.texts):
            prompts = [word for text in texts for word in ("--text", text)]
            for entry in self.infer(paths[group * GROUP : (group + 1) * GROUP], prompts, folder):
                by_text.append(dict(zip(texts, map(convert, entry["prompts"]))))
        results = []
        for case in held_out.cases:
            if not case.boxes:
                results.append(by_text[case.scene][case.text])
                continue
            scene = held_out.scenes[case.scene]
            prompts = [] if case.text == "visual" else ["--text", case.text]
            for item, label in case.boxes:
                corners = ",".join(repr(float(np.float32(v))) for v in pixel_box(scene, item))
                prompts += ["--box" if label else "--negative-box", corners]
            entry = self.infer([paths[case.scene]], prompts, folder)[0]
            results.append(convert(entry["prompts"][0]))
        return results

"""A Ray job as a process of its own, so that the tests can kill it.

    python ray_driver.py IMAGES OUTPUT STATE [--model GRAPHS] [--actors N] [--seconds S]

It prints the summary. Without a model a fake one finds one dog of 2x3 pixels in each image after S
seconds. It ends its process at an image whose bytes are "poison" and fails at "bad". Each actor
leaves a file with its process's number in STATE.
"""

import argparse
import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import ray
import sam3trt.ray
from sam3trt import PromptFound, Result


class FakeSegmenter:
    def __init__(self, seconds: float):
        self.seconds = seconds

    def __call__(self, images, text=None, errors="raise", **_):
        return [self.segment(data, text) for data in images]

    def segment(self, data: bytes, text):
        time.sleep(self.seconds)
        if data == b"poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if data == b"bad":
            return ValueError("the image is bad")
        found = PromptFound(
            text=text[0],
            presence=1.0,
            scores=np.ones(1, np.float32),
            boxes_xyxy=np.ones((1, 4), np.float32),
            areas=np.ones(1, np.int64),
            counts=[np.array([5, 1], np.uint32)],
        )
        return Result(size=(2, 3), prompts=[found])


def load(state: str, model: str | None, seconds: float, fails: bool):
    if fails:
        raise RuntimeError("no model here")
    (Path(state) / str(os.getpid())).touch()
    return FakeSegmenter(seconds) if model is None else sam3trt.Segmenter(model)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("output")
    parser.add_argument("state")
    parser.add_argument("--model")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.02)
    parser.add_argument("--text", default="dog")
    parser.add_argument("--num-cpus", type=float, default=0.25)
    parser.add_argument("--fails", action="store_true")
    options = parser.parse_args()
    ray.init(num_cpus=2, include_dashboard=False)
    summary = sam3trt.ray.segment_images(
        options.images,
        options.output,
        text=[options.text],
        actors=options.actors,
        num_cpus=options.num_cpus,
        load=partial(load, options.state, options.model, options.seconds, options.fails),
    )
    print(json.dumps(summary))


if __name__ == "__main__":
    main()

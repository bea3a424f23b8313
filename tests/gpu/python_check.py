"""The Python package on a GPU: CUDA tensors in, masks out as CUDA tensors, no copy by the host.

    python tests/gpu/python_check.py --engines DIR --graphs DIR --image shapes.png

Needs the wheel, torch with CUDA and Pillow. Engines and graphs are those of models/tiny, the image
is one that tools/tiny/draw_demo.py draws. Prints one JSON document; exits with 1 when a check
fails.
"""

import argparse
import json
import statistics
import sys
import threading
import time

import numpy as np
import sam3trt
import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile

TEXTS = ["red circle", "blue star", "striped ring"]


def is_same(found, expected) -> bool:
    """Bit for bit: scores, boxes and masks."""
    return (
        len(found) == len(expected)
        and np.array_equal(found.scores, expected.scores)
        and np.array_equal(found.boxes, expected.boxes)
        and found.rle == expected.rle
    )


class Check:
    """The checks of one model; `values` is the report."""

    def __init__(self, segmenter, pixels: np.ndarray) -> None:
        self.segmenter = segmenter
        self.pixels = torch.from_numpy(pixels).cuda()
        self.expected = segmenter(pixels, text=TEXTS)
        self.values: dict = {"instances": len(self.expected)}
        self.failed: list[str] = []

    def say(self, name: str, value, is_right: bool = True) -> None:
        self.values[name] = value
        if not is_right:
            self.failed.append(name)

    def is_expected(self, pixels) -> bool:
        return is_same(self.segmenter(pixels, text=TEXTS), self.expected)

    def images(self) -> None:
        """Layouts and strides give what the pixels in host memory give."""
        height, width = self.pixels.shape[:2]
        larger = torch.zeros((height + 7, width + 11, 3), dtype=torch.uint8, device="cuda")
        larger[3 : 3 + height, 5 : 5 + width] = self.pixels
        layouts = {
            "HWC": self.pixels,
            "CHW": self.pixels.permute(2, 0, 1).contiguous(),
            "RGBA": torch.cat([self.pixels, self.pixels[..., :1]], 2),
            "part of a larger one": larger[3 : 3 + height, 5 : 5 + width],
        }
        for name, pixels in layouts.items():
            same = self.is_expected(pixels)
            self.say(name, same, same)
        try:
            self.segmenter(self.pixels.float(), text=TEXTS)
            self.say("float32 is a TypeError", False, False)
        except TypeError as error:
            self.say("float32 is a TypeError", str(error))

    def masks(self) -> None:
        """Masks on the device are those of the run lengths, and are handed over without a copy."""
        result = self.segmenter(self.pixels, text=TEXTS, masks="device")
        masks = result.device_masks.to_torch()
        equal = masks.is_cuda and np.array_equal(masks.cpu().numpy(), self.expected.masks)
        self.say("device masks equal", bool(equal), bool(equal))
        first, again = (torch.from_dlpack(result.device_masks[0]) for _ in range(2))
        self.say("device masks are not copied", first.data_ptr() == again.data_ptr())
        if first.data_ptr() != again.data_ptr():
            self.failed.append("device masks are not copied")

    def streams(self, rounds: int = 20) -> None:
        """An image that another stream has yet to write is waited for."""
        stream = torch.cuda.Stream()
        right = 0
        for _ in range(rounds):
            with torch.cuda.stream(stream):
                late = torch.zeros_like(self.pixels)
                torch.cuda._sleep(50_000_000)  # some 30 ms of the GPU
                late.copy_(self.pixels, non_blocking=True)
                right += self.is_expected(late)
        self.say("late images", f"{right} of {rounds}", right == rounds)

    def copies(self) -> None:
        """Copies between host and device of one call, and its time, by where the image is."""
        device = torch.randint(0, 255, (1080, 1920, 3), dtype=torch.uint8, device="cuda")
        for name, pixels in (("device", device), ("host", device.cpu().numpy())):
            for _ in range(5):
                self.segmenter(pixels, text=TEXTS)
            with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
                self.segmenter(pixels, text=TEXTS)
            kinds = [event.name for event in recorded.events() if "emcpy" in event.name]
            self.say(f"copies, image on the {name}", {kind: kinds.count(kind) for kind in kinds})
            times = []
            for _ in range(50):
                begin = time.perf_counter()
                self.segmenter(pixels, text=TEXTS)
                times.append((time.perf_counter() - begin) * 1e3)
            times.sort()
            spread = {"median": statistics.median(times), "p95": times[int(0.95 * len(times))]}
            self.say(f"ms, 1920x1080 on the {name}", spread)

    def memory(self, calls: int = 200) -> None:
        before = torch.cuda.mem_get_info()[0]
        for _ in range(calls):
            self.segmenter(self.pixels, text=TEXTS, masks="device").device_masks.to_torch()
        torch.cuda.empty_cache()
        lost = before - torch.cuda.mem_get_info()[0]
        self.say(f"bytes lost in {calls} calls", lost, lost < 64 << 20)

    def threads(self, count: int = 6, calls: int = 20) -> None:
        wrong = []

        def work() -> None:
            wrong.extend(1 for _ in range(calls) if not self.is_expected(self.pixels))

        workers = [threading.Thread(target=work) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.say(f"{count} threads of {calls} calls", "equal" if not wrong else "differ", not wrong)

    def backends(self, graphs: str) -> None:
        """The engines find what the float32 graphs find on the CPU."""
        cpu = sam3trt.Segmenter(graphs)(self.pixels.cpu().numpy(), text=TEXTS)
        if len(cpu) != len(self.expected):
            return self.say("instances on the CPU", len(cpu), False)
        overlap = (cpu.masks & self.expected.masks).sum((1, 2))
        union = (cpu.masks | self.expected.masks).sum((1, 2))
        lowest = float((overlap / union).min())
        return self.say("lowest mask IoU with the CPU", lowest, lowest > 0.99)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", required=True)
    parser.add_argument("--graphs", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--allow-unverified", action="store_true")
    options = parser.parse_args()
    segmenter = sam3trt.Segmenter(options.engines, allow_unverified=options.allow_unverified)
    check = Check(segmenter, np.array(Image.open(options.image).convert("RGB")))
    check.say("gpu", torch.cuda.get_device_name())
    for step in (
        check.images,
        check.masks,
        check.streams,
        check.copies,
        check.memory,
        check.threads,
    ):
        step()
    check.backends(options.graphs)
    print(json.dumps(check.values | {"failed": check.failed}, indent=1))
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The model sam3_video for Triton's Python backend: follows objects through sequences of frames.

Tensors and limits are in config.pbtxt. Needs the package sam3trt in the Python that Triton runs.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import sam3trt
import triton_python_backend_utils as pb_utils
from sam3trt import rle
from sam3trt.intake import to_input
from sam3trt_triton import Metric, boxes_of, image_of, load_segmenter, masks_of, send, texts_of

MAX_WAITING = 8  # frames of one sequence
MAX_MASK_PIXELS = 64 << 20
OPTIONS = ("live", "hot_start", "det_nms", "fill_holes", "max_objects", "length")
OBJECT = ("id", "points", "point_labels", "box", "mask")


class Sequence:
    """A video that a client sends: its session, and the thread that works for it in order."""

    def __init__(self, session):
        self.session = session
        self.thread = ThreadPoolExecutor(1)
        self.frames = 0  # that have come
        self.waiting = 0
        self.used = time.monotonic()


class TritonPythonModel:
    def initialize(self, args):
        batching = json.loads(args["model_config"])["sequence_batching"]
        self.idle_seconds = int(batching["max_sequence_idle_microseconds"]) / 1e6
        self.segmenter = load_segmenter(args, 1)
        self.followed = Metric(args, "sequences", "GAUGE", "videos that are followed")
        self.sequences = {}  # by their correlation ids
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.sweeper = threading.Thread(target=self.sweep)
        self.sweeper.start()

    def execute(self, requests):
        """Each sequence's thread answers its requests, later."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.take(request, sender)
            except Exception as error:
                send(sender, error)

    def finalize(self):
        self.stopped.set()
        self.sweeper.join()
        for sequence in self.sequences.values():
            sequence.thread.shutdown()

    def take(self, request, sender):
        name, flags = request.correlation_id(), request.flags()
        starts = bool(flags & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START)
        ends = bool(flags & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END)
        try:
            if starts:
                self.drop(name)
            frame = Frame(request, starts, ends)
            sequence = self.begin(name, frame.options) if starts else self.find(name)
            with self.lock:
                frame.index = sequence.frames
                sequence.frames += 1
                sequence.waiting += 1
            sequence.thread.submit(self.work, name, sequence, frame, sender)
        except Exception:
            if ends:
                self.drop(name)
            raise

    def begin(self, name, options):
        sequence = Sequence(sam3trt.VideoSession(self.segmenter, **options))
        with self.lock:
            self.sequences[name] = sequence
            self.followed.value.increment(1)
        return sequence

    def find(self, name):
        with self.lock:
            sequence = self.sequences.get(name)
        if sequence is None:
            raise sam3trt.BadInputError(
                f"sequence {name} is not known: its first frame was refused, or it was idle for "
                "too long; start it again"
            )
        if sequence.waiting >= MAX_WAITING:
            raise sam3trt.UnavailableError(
                f"sequence {name}: {MAX_WAITING} frames wait; send the next after an answer"
            )
        return sequence

    def drop(self, name, only=None):
        """Forgets the sequence of that name, where there is one, or only this one."""
        with self.lock:
            sequence = self.sequences.get(name)
            if sequence is None or (only is not None and sequence is not only):
                return
            del self.sequences[name]
            self.followed.value.increment(-1)
        sequence.thread.shutdown(wait=False)

    def sweep(self):
        """Forgets sequences that Triton has given up, about which it does not tell a model."""
        while not self.stopped.wait(self.idle_seconds / 4):
            oldest = time.monotonic() - self.idle_seconds
            for name, sequence in list(self.sequences.items()):
                if sequence.waiting == 0 and sequence.used < oldest:
                    self.drop(name, sequence)

    def work(self, name, sequence, frame, sender):
        try:
            answer = tensors_of(frame.step(sequence.session))
        except Exception as error:
            answer = error
        with self.lock:
            sequence.waiting -= 1
            sequence.used = time.monotonic()
        if frame.ends:
            self.drop(name, sequence)
        send(sender, answer)


class Frame:
    """A request, read: an image and what to follow from it on."""

    def __init__(self, request, starts, ends):
        self.image = image_of(request)
        self.texts = texts_of(request, "text")
        self.boxes, self.labels = boxes_of(request)
        self.objects = [object_of(text) for text in texts_of(request, "objects")]
        options = texts_of(request, "options")
        if options and not starts:
            raise sam3trt.BadInputError('input "options": expected with the first frame only')
        self.options = json_of(options[0], "options", OPTIONS) if options else {}
        if not isinstance(self.options.get("live", False), bool):
            raise sam3trt.BadInputError('input "options": live is true or false')
        if not self.image and not ends:
            raise sam3trt.BadInputError('input "image": only the end of a sequence may be empty')
        self.index = 0
        self.ends = ends

    def step(self, session):
        """The frames that are final now. An image that cannot be read changes nothing."""
        image = to_input(self.image) if self.image else None
        if self.texts or self.boxes:
            session.add(text=self.texts or None, boxes=self.boxes, labels=self.labels)
        for one in self.objects:
            session.add(**one, frame=self.index)
        found = session.step(image, self.index) if self.image else []
        return found + session.finish() if self.ends else found


def json_of(text, name, keys):
    """A JSON object with some of these keys."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise sam3trt.BadInputError(f'input "{name}": expected JSON: {error}') from error
    if not isinstance(value, dict):
        raise sam3trt.BadInputError(f'input "{name}": expected a JSON object')
    unknown = sorted(set(value) - set(keys))
    if unknown:
        raise sam3trt.BadInputError(
            f'input "{name}": unknown {unknown[0]!r}; expected {", ".join(keys)}'
        )
    return value


def object_of(text):
    """What VideoSession.add takes about an object."""
    value = json_of(text, "objects", OBJECT)
    mask = value.get("mask")
    return {
        "object_id": value.get("id", 1),
        "points": value.get("points"),
        "labels": value.get("point_labels"),
        "box": value.get("box"),
        "mask": None if mask is None else mask_of(mask),
    }


def mask_of(value):
    """The mask, bool (height, width), of run lengths as pycocotools writes them."""
    try:
        (height, width), counts = value["size"], value["counts"]
        if not 0 < int(height) * int(width) <= MAX_MASK_PIXELS:
            raise ValueError("it is empty or too large")
        runs = rle.from_string(counts) if isinstance(counts, str) else np.array(counts, np.int64)
        if runs.ndim != 1 or np.any(runs < 0):
            raise ValueError("counts are numbers of pixels")
        return rle.decode(runs, (int(height), int(width)))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise sam3trt.BadInputError(
            f'input "objects": expected a mask {{"size": [height, width], "counts": ".."}}: {error}'
        ) from error


def tensors_of(frames):
    """A row for each object of each frame."""
    rows = [(frame.frame, one) for frame in frames for one in frame]
    objects = [one for _, one in rows]
    prompts = [(one.prompt or "").encode() for one in objects]
    return {
        "final_frames": np.array([frame.frame for frame in frames], dtype=np.int32),
        "frames": np.array([frame for frame, _ in rows], dtype=np.int32),
        "ids": np.array([one.id for one in objects], dtype=np.int64),
        "prompts": np.array(prompts, dtype=object),
        "scores": np.array([one.score for one in objects], dtype=np.float32),
        "object_scores": np.array([one.object_score for one in objects], dtype=np.float32),
        "confirmed": np.array([one.confirmed for one in objects], dtype=bool),
        "boxes": np.array([one.box for one in objects], dtype=np.float32).reshape(-1, 4),
        "rle": masks_of([one.rle for one in objects]),
    }

"""The model sam3 for Triton's Python backend: finds in images what texts and boxes ask for.

Tensors and limits are in config.pbtxt. Needs the package sam3trt in the Python that Triton runs.
"""

import queue
import threading

import numpy as np
import sam3trt
from sam3trt_triton import (
    Metric,
    boxes_of,
    image_of,
    load_segmenter,
    masks_of,
    send,
    texts_of,
    values_of,
)

# Threads that take requests: while the model works for one, the others read and write images.
WORKERS = 2
MAX_PROMPTS = 64


class TritonPythonModel:
    def initialize(self, args):
        self.segmenter = load_segmenter(args, WORKERS)
        self.batches = Metric(args, "batches", "COUNTER", "runs of the vision encoder")
        self.images = Metric(args, "images", "COUNTER", "images that went through it")
        # While it is full, requests stay in Triton's queue, whose limits are in config.pbtxt.
        self.waiting = queue.Queue(WORKERS * self.segmenter.max_images)
        self.workers = [threading.Thread(target=self.work) for _ in range(WORKERS)]
        for worker in self.workers:
            worker.start()

    def execute(self, requests):
        """The workers answer, later, all that waits at the same time."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.waiting.put((sender, image_of(request), question_of(request)))
            except Exception as error:
                send(sender, error)

    def finalize(self):
        for _ in self.workers:
            self.waiting.put(None)
        for worker in self.workers:
            worker.join()

    def work(self):
        while (first := self.waiting.get()) is not None:
            taken = [first]
            while len(taken) < self.segmenter.max_images:
                try:
                    one = self.waiting.get_nowait()
                except queue.Empty:
                    break
                if one is None:  # it tells another worker to stop
                    self.waiting.put(one)
                    break
                taken.append(one)
            while taken:
                question = taken[0][2]
                self.answer([one for one in taken if one[2] == question], question)
                taken = [one for one in taken if one[2] != question]

    def answer(self, asked, question):
        """Images that are asked the same go through the model as one batch."""
        text, boxes, labels, threshold = question
        images = [image for _, image, _ in asked]
        try:
            found = self.segmenter(images, text, boxes, labels, threshold, errors="return")
            answers = [one if isinstance(one, Exception) else tensors_of(one) for one in found]
        except Exception as error:  # the question is wrong
            answers = [error] * len(asked)
        self.batches.value.increment(1)
        self.images.value.increment(len(images))
        for (sender, _, _), answer in zip(asked, answers):
            send(sender, answer)


def question_of(request):
    """Texts, boxes, their labels and the threshold, which can be compared."""
    texts = texts_of(request, "text")
    boxes, labels = boxes_of(request)
    threshold = values_of(request, "threshold")
    if not texts and boxes is None:
        raise sam3trt.BadInputError('expected input "text" or "boxes": what to look for')
    if len(texts) > MAX_PROMPTS:
        raise sam3trt.BadInputError(f'input "text": at most {MAX_PROMPTS}, found {len(texts)}')
    return (
        texts or None,
        boxes,
        labels,
        0.5 if threshold is None else float(threshold[0]),
    )


def tensors_of(result):
    """A row for each instance, by prompts and falling score."""
    return {
        "scores": result.scores,
        "boxes": result.boxes,
        "labels": result.labels.astype(np.int32),
        "rle": masks_of(result.rle),
    }

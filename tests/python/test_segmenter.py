"""A Segmenter gives what the program gives, from any thread, and can be interrupted."""

import gc
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import sam3trt
from PIL import Image
from sam3trt import _core

TEXTS = ["red circle", "blue star", "striped ring", "triangle", "green cross"]
BOXES = [[34, 52, 158.25, 177], [340, 250, 467, 372]]


def rounded(value: float, digits: int) -> float:
    """As the program's documents have it: halves away from zero."""
    scale = 10.0**digits
    return math.copysign(math.floor(abs(float(value)) * scale + 0.5), value) / scale + 0.0


def entry(result: sam3trt.Result) -> list[dict]:
    """The prompts of a result, as the program writes them."""
    return [
        {
            "text": found.text,
            "boxes": found.boxes,
            "box_labels": found.box_labels,
            "presence": rounded(found.presence, 6),
            "instances": [
                {
                    "score": rounded(score, 6),
                    "box": [rounded(side, 3) for side in box],
                    "area": int(area),
                    "mask": {"size": list(result.size), "counts": _core.rle_to_string(counts)},
                }
                for score, box, area, counts in zip(
                    found.scores, found.boxes_xyxy, found.areas, found.counts
                )
            ],
        }
        for found in result.prompts
    ]


def same(a: sam3trt.Result, b: sam3trt.Result) -> bool:
    return entry(a) == entry(b) and np.array_equal(a.scores, b.scores)


@pytest.fixture(scope="module")
def arrays(drawn) -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in drawn]


def prompts_of(document: dict) -> list[dict]:
    """The prompts of a document of `infer`; prompts without text have none there."""
    return [
        {"text": None, "boxes": [], "box_labels": []} | prompt for prompt in document["prompts"]
    ]


def test_results_are_those_of_the_program(segmenter, drawn, entries, box_entry):
    for path, expected in zip(drawn, entries):
        result = segmenter(path, text=TEXTS)
        assert entry(result) == prompts_of(expected)
        assert result.size == (expected["height"], expected["width"])
        assert result.path == str(path)
        assert set(result.timings_ms) == set(expected["timings_ms"])
    assert any(len(prompt["instances"]) for prompt in entries[0]["prompts"])
    result = segmenter(drawn[0], boxes=BOXES, labels=[1, 0])
    assert entry(result) == prompts_of(box_entry)


def test_thresholds_are_those_of_the_program(segmenter, drawn, infer):
    options = ("--threshold", "0.9", "--mask-threshold", "0.7")
    expected = infer("--image", drawn[0], "--text", *TEXTS, *options)[0]
    result = segmenter(drawn[0], text=TEXTS, threshold=0.9, mask_threshold=0.7)
    assert entry(result) == prompts_of(expected)


def test_texts_in_any_script_are_those_of_the_program(segmenter, drawn, infer):
    """Which has ICU's data; the wheel has none."""
    texts = ["CAFE\u0301  Bl\u00fcte", "STRASSE \u1e9e", "\u0130stanbul", "\u03a3\u0391\u03a3"]
    texts += ["\ufb01 \U0001d7d9 \u2167"]
    texts += ["\u0915\u094d\u0937\u093f", "\u1112\u1161\u11ab", "\U0001f469\u200d\U0001f52c"]
    texts += ["\u4e2d\u6587\u3000\u732b"]
    expected = infer("--image", drawn[0], "--text", *texts, "--threshold", "0")[0]
    assert entry(segmenter(drawn[0], text=texts, threshold=0)) == prompts_of(expected)


def test_every_kind_of_image_gives_the_same(segmenter, drawn, arrays):
    expected = segmenter(drawn[0], text=TEXTS)
    image = arrays[0]
    kinds = {
        "str": str(drawn[0]),
        "bytes": drawn[0].read_bytes(),
        "PIL": Image.open(drawn[0]),
        "array": image,
        "planes": np.ascontiguousarray(image.transpose(2, 0, 1)),
        "mirrored twice": np.ascontiguousarray(image[:, ::-1])[:, ::-1],
        "rgba": np.dstack([image, np.full(image.shape[:2], 9, np.uint8)]),
    }
    for kind, other in kinds.items():
        assert same(segmenter(other, text=TEXTS), expected), kind


def test_one_text_may_be_given_alone(segmenter, drawn):
    one = segmenter(drawn[0], "red circle")
    assert same(one, segmenter(drawn[0], text=["red circle"]))
    assert [found.text for found in one.prompts] == ["red circle"]


def test_texts_each_go_with_all_boxes(segmenter, drawn):
    result = segmenter(drawn[0], text=["red circle", "blue star"], boxes=BOXES[0])
    assert [found.text for found in result.prompts] == ["red circle", "blue star"]
    assert all(found.boxes == [BOXES[0]] for found in result.prompts)
    assert all(found.box_labels == [1] for found in result.prompts)


def test_boxes_may_be_an_array(segmenter, drawn):
    as_list = segmenter(drawn[0], boxes=BOXES, labels=[1, 0])
    as_array = segmenter(drawn[0], boxes=np.array(BOXES, np.float64), labels=np.array([1, 0]))
    as_bools = segmenter(drawn[0], boxes=tuple(map(tuple, BOXES)), labels=[True, False])
    assert same(as_list, as_array) and same(as_list, as_bools)


def test_features_are_used_again(segmenter, drawn):
    features = segmenter.encode(drawn[0])
    assert len(features) == 1
    assert features.size_bytes > 0
    for text in TEXTS[:2]:
        result = segmenter.detect(features, text=text)
        assert same(result, segmenter(drawn[0], text=text))
        assert result.path == str(drawn[0])
    several = segmenter.detect(segmenter.encode([drawn[1]]), text=TEXTS)
    assert [same(several[0], segmenter(drawn[1], text=TEXTS)), len(several)] == [True, 1]


def test_features_outlive_the_segmenter_and_serve_it_alone(graphs, segmenter, drawn):
    other = sam3trt.Segmenter(graphs)
    features = other.encode(drawn[0])
    del other
    gc.collect()
    assert features.size_bytes > 0
    with pytest.raises(sam3trt.BadInputError, match="another model"):
        segmenter.detect(features, text="dog")


def test_results_own_their_memory(graphs, drawn, entries):
    other = sam3trt.Segmenter(graphs)
    result = other(drawn[0], text=TEXTS)
    del other
    gc.collect()
    assert entry(result) == prompts_of(entries[0])
    result.scores[:] = 0
    result.prompts[0].counts[0][:] = 0


def test_several_images_are_a_list(segmenter, drawn, arrays):
    results = segmenter([drawn[0], arrays[1], drawn[1]], text=TEXTS)
    expected = [segmenter(path, text=TEXTS) for path in drawn]
    assert [same(results[0], expected[0]), same(results[1], expected[1])] == [True, True]
    assert same(results[2], expected[1])
    assert [result.path for result in results] == [str(drawn[0]), None, str(drawn[1])]
    assert segmenter([], text="dog") == []
    assert len(segmenter((drawn[0],), text="dog")) == 1


def test_a_bad_image_does_not_lose_the_others(segmenter, drawn, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(drawn[0].read_bytes()[:500])
    images = [drawn[0], broken, np.zeros((4, 4, 3), np.float32), drawn[1]]
    results = segmenter(images, text=TEXTS, errors="return")
    assert same(results[0], segmenter(drawn[0], text=TEXTS))
    assert isinstance(results[1], sam3trt.BadInputError) and "broken.png" in str(results[1])
    assert isinstance(results[2], TypeError)
    assert same(results[3], segmenter(drawn[1], text=TEXTS))
    with pytest.raises(sam3trt.BadInputError, match="broken.png") as caught:
        segmenter(images, text=TEXTS)
    assert caught.value.index == 1
    assert same(caught.value.results[3], results[3])


def test_a_box_outside_one_image_is_an_error_of_that_image(segmenter, drawn):
    small = np.zeros((20, 20, 3), np.uint8)
    results = segmenter([drawn[0], small], boxes=BOXES, errors="return")
    assert isinstance(results[0], sam3trt.Result)
    assert isinstance(results[1], sam3trt.BadInputError)
    with pytest.raises(sam3trt.BadInputError, match="20x20"):
        segmenter(small, boxes=BOXES)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, sam3trt.BadInputError, "nothing to look for"),
        ({"text": []}, sam3trt.BadInputError, "nothing to look for"),
        ({"text": 3}, TypeError, "text: expected a str"),
        ({"text": ["a", None]}, TypeError, "text: expected a str"),
        ({"text": b"dog"}, TypeError, "text: expected a str"),
        ({"boxes": [1, 2, 3]}, sam3trt.BadInputError, "boxes: expected"),
        ({"boxes": [[[1, 2, 3, 4]]]}, sam3trt.BadInputError, "boxes: expected"),
        ({"boxes": "1,2,3,4"}, TypeError, "boxes: expected"),
        ({"boxes": [[1, 2, 3, 4], [1, 2]]}, TypeError, "boxes: expected"),
        ({"boxes": [1, 2, 10**400, 4]}, TypeError, "boxes: expected"),
        ({"boxes": [9, 9, 3, 3]}, sam3trt.BadInputError, "box 9,9,3,3"),
        ({"boxes": [1, 2, float("nan"), 4]}, sam3trt.BadInputError, "nan"),
        ({"boxes": BOXES, "labels": [1]}, sam3trt.BadInputError, "one for each of 2 boxes"),
        ({"boxes": BOXES, "labels": [1, 2]}, sam3trt.BadInputError, "expected 1 .* or 0"),
        ({"boxes": BOXES, "labels": "ab"}, sam3trt.BadInputError, "expected 1 .* or 0"),
        ({"text": "a", "labels": [1]}, sam3trt.BadInputError, "one for each of 0 boxes"),
        ({"text": "a", "threshold": 1.5}, sam3trt.BadInputError, "threshold: expected 0 to 1"),
        ({"text": "a", "threshold": float("nan")}, sam3trt.BadInputError, "threshold: expected"),
        ({"text": "a", "mask_threshold": "x"}, TypeError, "mask_threshold: expected a number"),
        ({"text": "a", "errors": "ignore"}, ValueError, "errors: expected"),
        ({"text": "a\0b" * 9000}, sam3trt.BadInputError, r"'a\\x00ba.* has \d+ tokens"),
    ],
)
def test_wrong_prompts_are_refused(segmenter, drawn, arguments, kind, message):
    with pytest.raises(kind, match=message):
        segmenter(drawn[0], **arguments)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", -1, 1024, 1.5, None, True])
def test_wrong_devices_are_refused(graphs, device):
    with pytest.raises(sam3trt.BadInputError, match="device: expected 'auto', 'cpu'"):
        sam3trt.Segmenter(graphs, device=device)


def test_a_device_chooses_what_the_folder_must_hold(graphs, tmp_path):
    assert sam3trt.Segmenter(graphs, device="cpu").device == "cpu"
    for device in ("cuda", "cuda:1", 0):
        with pytest.raises(sam3trt.BadInputError, match="holds no vision_encoder"):
            sam3trt.Segmenter(graphs, device=device)
    with pytest.raises(sam3trt.BadInputError):
        sam3trt.Segmenter(tmp_path)
    with pytest.raises(sam3trt.BadInputError):
        sam3trt.Segmenter(tmp_path / "missing")
    with pytest.raises(TypeError, match="threads: expected a whole number"):
        sam3trt.Segmenter(graphs, threads=1.5)
    with pytest.raises(sam3trt.BadInputError, match="threads: expected 0 to 4096"):
        sam3trt.Segmenter(graphs, threads=-1)


def test_a_segmenter_says_what_it_is(segmenter):
    assert segmenter.backend == "openvino"
    assert segmenter.semantics == "hf"
    assert segmenter.device == "cpu"
    assert segmenter.verified
    assert segmenter.max_images >= 1 and segmenter.max_boxes >= 1
    assert "openvino" in repr(segmenter)


def test_exceptions_are_of_their_kinds():
    assert issubclass(sam3trt.Error, RuntimeError)
    assert issubclass(sam3trt.BadInputError, (sam3trt.Error, ValueError))
    assert issubclass(sam3trt.UnavailableError, sam3trt.Error)
    assert issubclass(sam3trt.VerificationError, sam3trt.Error)


def test_threads_give_what_one_gives(segmenter, drawn):
    expected = [[segmenter(path, text=text) for path in drawn] for text in TEXTS]
    features = segmenter.encode(drawn[0])
    wrong = []

    def work(first: int) -> None:
        for step in range(6):
            text = (first + step) % len(TEXTS)
            path = step % len(drawn)
            if not same(segmenter(drawn[path], text=TEXTS[text]), expected[text][path]):
                wrong.append((first, step))
            if not same(segmenter.detect(features, text=TEXTS[text]), expected[text][0]):
                wrong.append((first, step, "features"))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_python_goes_on_while_a_call_works(segmenter, drawn):
    begun, done, times = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        start = time.perf_counter()
        segmenter(drawn[0], text=TEXTS)
        times.append(time.perf_counter() - start)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    longest = last = 0.0
    last = time.perf_counter()
    while not done.is_set():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        time.sleep(0.0005)
    thread.join()
    assert longest < times[0] / 2


def run_script(script: str, *arguments, timeout=120) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_ctrl_c_ends_a_list_between_two_images(graphs, drawn):
    done = run_script(
        """
        import os, signal, sys, threading, time
        import sam3trt
        segmenter = sam3trt.Segmenter(sys.argv[1])
        segmenter(sys.argv[2], text="dog")
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        begin = time.perf_counter()
        try:
            segmenter([sys.argv[2]] * 10000, text="dog")
        except KeyboardInterrupt:
            print("interrupted", time.perf_counter() - begin < 30)
        print(len(segmenter(sys.argv[2], text="dog").prompts))
        """,
        graphs,
        drawn[0],
    )
    assert done.stdout.split() == ["interrupted", "True", "1"], done.stderr


def test_a_signal_during_a_call_is_handled_after_it(segmenter, drawn):
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        segmenter(drawn[0], text=TEXTS)
        time.sleep(0.1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


def test_no_call_leaks_what_it_gives(segmenter, arrays):
    import resource

    small = np.ascontiguousarray(arrays[0][:64, :64])
    sizes = []
    for _ in range(3):
        for _ in range(20):
            result = segmenter(small, text="red circle", threshold=0.0)
            assert len(result) > 10
            result.masks.sum()
        gc.collect()
        sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert sizes[2] - sizes[1] < 20_000  # kB


def test_masks_on_the_device_need_one(segmenter, drawn):
    with pytest.raises(sam3trt.UnavailableError, match="runs on the CPU"):
        segmenter(drawn[0], text="dog", masks="device")
    with pytest.raises(ValueError, match="masks: expected 'host' or 'device'"):
        segmenter(drawn[0], text="dog", masks="gpu")
    assert segmenter(drawn[0], text="dog").device_masks is None

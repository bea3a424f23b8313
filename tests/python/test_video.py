"""VideoSession against transformers' classes, and in all the ways in which it is called."""

import json
import subprocess
import threading

import numpy as np
import pytest
import sam3trt
from clips import GOLDENS, decode, draw
from PIL import Image

# All kinds of runs; the other checkpoints are compared by the parity tests of the library.
DOCUMENT = json.loads((GOLDENS / "video_a.tracks.json").read_text(encoding="utf-8"))
CLICK = {"points": [28, 34]}
CLICK_OF_FILE = {"points": [[28, 34]], "point_labels": [1]}
BOX = {"box": [92, 23, 128, 61]}


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """uint8 (104, 136, 3)."""
    return [draw("harbour", frame) for frame in range(6)]


def lines(results) -> list[dict]:
    return [result.to_dict() for result in results]


@pytest.fixture(scope="module")
def clicked(tracker, frames) -> list[dict]:
    """What a click and a box on the first frame give."""
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    session.add(4, **BOX)
    found = lines(session.track(frames))
    assert any(line["objects"] for line in found)
    return found


def add_prompts(session: sam3trt.VideoSession, run: dict, after: bool, frame=None) -> bool:
    added = False
    for entry in run.get("prompts", []):
        if entry.get("after", False) != after or frame not in (None, entry["frame"]):
            continue
        session.add(
            entry["id"],
            points=entry.get("points"),
            labels=entry.get("point_labels"),
            box=entry.get("box"),
            mask=decode(entry["mask"]) if "mask" in entry else None,
            frame=entry["frame"],
        )
        added = True
    return added


@pytest.mark.parametrize("run", DOCUMENT["runs"], ids=lambda run: run["name"])
def test_clips_are_tracked_as_the_reference_does(tracker, run):
    session = sam3trt.VideoSession(tracker, live=run.get("live", False))
    if "texts" in run:
        session.add(text=run["texts"])
    add_prompts(session, run, after=False)
    step = 1 if run["first"] <= run["last"] else -1
    found = []
    for index in range(run["first"], run["last"] + step, step):
        frame = draw(run["clip"], index)
        results = session.step(frame, index)
        if add_prompts(session, run, after=True, frame=index):
            results = session.step(frame, index)  # again, corrected
        found += results
    found += session.finish()
    assert [result.frame for result in found] == [frame["frame"] for frame in run["frames"]]
    for result, frame in zip(found, run["frames"]):
        expected = [one for one in frame["objects"] if "texts" in run or one["area"] > 0]
        assert result.ids.tolist() == [one["id"] for one in expected]
        for one, other in zip(result, expected):
            assert one.prompt == other.get("prompt")
            mask = decode(other["mask"])
            either = (one.mask | mask).sum()
            assert either == 0 or (one.mask & mask).sum() / either > 0.99


def test_iteration_tracking_and_steps_give_the_same(tracker, frames, clicked):
    session = sam3trt.VideoSession(tracker, iter(frames))
    session.add(1, **CLICK)
    session.add(4, **BOX)
    assert lines(session) == clicked
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK, frame=0)
    session.add(4, **BOX, frame=0)
    found = [result for frame in frames for result in session.step(frame)] + session.finish()
    assert lines(found) == clicked
    assert [result.frame for result in found] == list(range(6))
    assert session.objects == [1, 4] and session.last_frame == 5
    assert "after frame 5: 2 objects" in repr(session)


def test_every_kind_of_frame_is_taken(tracker, frames, clicked, tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(frames[0]).save(path)
    kinds = [path, Image.fromarray(frames[1]), np.asfortranarray(frames[2])]
    kinds += [np.ascontiguousarray(frames[3].transpose(2, 0, 1)), *frames[4:]]
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    session.add(4, **BOX)
    assert lines(session.track(frame for frame in kinds)) == clicked
    session.reset()
    session.add(1, **CLICK)
    session.add(4, **BOX)
    assert lines(session.track(np.stack(frames))) == clicked


def test_frame_results_have_arrays_of_their_objects(tracker, frames):
    session = sam3trt.VideoSession(tracker)
    session.add(4, **BOX)
    session.add(2, mask=np.pad(np.ones((30, 40), bool), ((10, 64), (20, 76))))
    (result,) = session.step(frames[0])
    assert result.frame == 0 and result.size == (104, 136)
    assert len(result) == 2 and result.ids.tolist() == [2, 4]
    assert result.masks.shape == (2, 104, 136) and result.masks.dtype == bool
    assert result.areas.tolist() == result.masks.sum((1, 2)).tolist()
    assert result.boxes.shape == (2, 4) and result.scores.shape == (2,)
    assert result[0].mask[25, 40] and result[0].prompt is None and result[0].confirmed
    assert np.array_equal(decode(result.rle[1]), result[1].mask)
    line = json.loads(json.dumps(result.to_dict(time=0.04)))
    assert list(line) == ["frame", "time", "objects"] and line["time"] == 0.04
    keys = ["id", "prompt", "score", "object_score", "box", "area", "mask"]
    assert list(line["objects"][0]) == keys
    assert "2 'object', 4 'object'" in repr(result)
    assert result.plot(frames[0]).size == (136, 104)


def test_results_are_the_lines_of_the_program(tracker, program, graphs_of, frames, tmp_path):
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frames/{index:05}.png")
    objects = [{"id": 1, "frame": 0, **CLICK_OF_FILE}, {"id": 4, "frame": 2, **BOX}]
    prompts = {"objects": objects, "concepts": [{"text": "red apple"}]}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")
    command = [program, "track", "--model", graphs_of("video_a"), "--video", tmp_path / "frames"]
    command += ["--prompts", tmp_path / "prompts.json", "--hot-start", "2"]
    done = subprocess.run(command, check=True, capture_output=True)
    _, *expected = map(json.loads, done.stdout.splitlines())

    session = sam3trt.VideoSession(tracker, sorted((tmp_path / "frames").iterdir()), hot_start=2)
    session.add(text="red apple")
    session.add(1, **CLICK)
    session.add(4, **BOX, frame=2)
    found = [result.to_dict(line["time"]) for result, line in zip(session, expected, strict=True)]
    assert found == expected and any(line["objects"] for line in found)


def test_prompts_for_the_next_frame_wait_for_its_index(tracker, frames, clicked):
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    session.add(4, **BOX)
    found = lines(session.track(frames, start=7))
    assert [line["frame"] for line in found] == list(range(7, 13))
    assert [line["objects"] for line in found] == [line["objects"] for line in clicked]


def test_videos_are_tracked_backwards(tracker, frames):
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    with pytest.raises(sam3trt.BadInputError, match="start: give the index"):
        list(session.track(frames, backwards=True))
    found = list(session.track(frames[:3], start=9, backwards=True))
    assert [result.frame for result in found] == [9, 8, 7]
    found = list(session.track(frames[3:], backwards=True))
    assert [result.frame for result in found] == [6, 5, 4]


def test_texts_are_held_back_for_the_hot_start(tracker):
    frames = [draw("meadow", frame) for frame in range(4)]
    for options, delays in (
        ({"hot_start": 3}, [[], [], [0], [1]]),
        ({"hot_start": 0}, [[0], [1], [2], [3]]),
        ({"live": True}, [[0], [1], [2], [3]]),
    ):
        session = sam3trt.VideoSession(tracker, **options)
        session.add(text=["red apple", "blue bird"])
        session.add(text="red apple")
        found = [session.step(frame) for frame in frames]
        assert [[result.frame for result in some] for some in found] == delays
        rest = session.finish()
        assert len(rest) == 4 - sum(len(some) for some in found)
        results = [result for some in found for result in some] + rest
        prompts = {one.prompt for result in results for one in result}
        assert prompts <= {"red apple", "blue bird"} and prompts
        if options == {"hot_start": 0}:
            assert not all(one.confirmed for one in results[0])
            assert results[0][0].to_dict()["confirmed"] is False


def test_saved_sessions_go_on_as_if_there_had_been_no_break(tracker, frames, clicked, tmp_path):
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    session.add(4, **BOX)
    session.save(tmp_path / "before")  # what waits for the next frame is saved, too
    other = sam3trt.VideoSession(tracker)
    other.load(tmp_path / "before")
    found = [result for frame in frames[:3] for result in other.step(frame)]
    other.save(tmp_path / "middle")
    session.load(str(tmp_path / "middle"))
    assert session.objects == [1, 4] and session.last_frame == 2
    found += session.track(frames[3:])
    assert lines(found) == clicked


def test_files_that_are_no_session_are_refused(tracker, frames, segmenters, tmp_path):
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    session.step(frames[0])
    session.save(tmp_path / "saved")
    (tmp_path / "cut").write_bytes((tmp_path / "saved").read_bytes()[:-9])
    for name in ("cut", "missing"):
        with pytest.raises(sam3trt.BadInputError, match=name):
            session.load(tmp_path / name)
    assert session.objects == [1]
    with pytest.raises(sam3trt.Error, match="nowhere"):
        session.save(tmp_path / "nowhere" / "session")
    with pytest.raises(sam3trt.BadInputError, match="saved"):
        sam3trt.VideoSession(segmenters("video_c")).load(tmp_path / "saved")


def test_objects_come_and_go(tracker, frames):
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    assert session.objects == [] and session.last_frame is None
    session.step(frames[0])
    session.add(4, **BOX)
    session.step(frames[1])
    assert session.objects == [1, 4]
    session.remove(1)
    assert session.objects == [4]
    assert all(result.ids.tolist() in ([4], []) for result in session.step(frames[2]))
    session.add(5, **CLICK)
    session.remove(5)  # before any frame had it
    for _ in range(2):
        with pytest.raises(sam3trt.BadInputError, match="no object 5"):
            session.remove(5)
    session.reset()
    assert session.objects == [] and session.last_frame is None
    assert [len(result) for result in session.step(frames[0])] == [0]


def test_a_frame_that_fails_leaves_the_session_as_it_was(tracker, frames, clicked):
    session = sam3trt.VideoSession(tracker)
    session.add(1, **CLICK)
    session.add(4, box=[300, 300, 400, 400])
    with pytest.raises(sam3trt.BadInputError, match="does not touch"):
        session.step(frames[0])
    assert session.last_frame is None
    session.add(4, **BOX)  # in its place
    found = lines(session.step(frames[0]))
    tracking = session.track([frames[1], np.zeros((4, 4, 3), np.float32)])
    found += lines([next(tracking)])
    with pytest.raises(TypeError, match="uint8"):
        next(tracking)
    with pytest.raises(sam3trt.BadInputError, match="missing.png"):
        session.step("missing.png")
    assert session.last_frame == 1
    assert found + lines(session.track(frames[2:])) == clicked


def test_threads_take_turns(tracker, frames):
    session = sam3trt.VideoSession(tracker, live=True)
    session.add(1, **CLICK)
    found, errors = [], []

    def work() -> None:
        try:
            for _ in range(6):
                found.extend(result.frame for result in session.step(frames[0]))
                assert session.objects == [1]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and sorted(found) == list(range(18))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, sam3trt.BadInputError, "nothing to look for"),
        ({"object_id": 1}, sam3trt.BadInputError, "nothing points at it"),
        ({"object_id": "dog"}, TypeError, "a text is text="),
        ({"object_id": 1.5, **CLICK}, TypeError, "object_id: expected a whole number"),
        ({"object_id": -1, **CLICK}, sam3trt.BadInputError, "object_id: expected 0"),
        ({"object_id": 1, "text": "dog"}, sam3trt.BadInputError, "text: "),
        ({"object_id": 1, "boxes": [1, 2, 3, 4]}, sam3trt.BadInputError, "boxes: "),
        ({"object_id": 1, **CLICK, "labels": [1, 0]}, sam3trt.BadInputError, "of 1 points"),
        ({"object_id": 1, **CLICK, "labels": [3]}, sam3trt.BadInputError, "1 .* or 0"),
        ({"object_id": 1, **CLICK, "frame": -1}, sam3trt.BadInputError, "frame: expected 0"),
        ({"object_id": 1, **CLICK, "frame": "a"}, TypeError, "frame: expected a whole number"),
        ({"object_id": 1, "points": [[[1, 2]], [[3, 4]]]}, sam3trt.BadInputError, "one object"),
        ({"object_id": 1, "box": [9, 9, 3, 3]}, sam3trt.BadInputError, "box"),
        ({"object_id": 1, "mask": np.ones((3, 4))}, TypeError, "mask: .*float64"),
        (
            {"object_id": 1, "mask": np.ones((104, 136), bool), **CLICK},
            sam3trt.BadInputError,
            "one or the other",
        ),
        (CLICK, sam3trt.BadInputError, "needs an id"),
        ({"text": "dog", "frame": 3}, sam3trt.BadInputError, "needs an id"),
        ({"text": 3}, TypeError, "text: expected a str"),
        ({"text": "dog", "boxes": [[1, 2, 3]]}, sam3trt.BadInputError, "boxes: expected"),
    ],
)
def test_what_cannot_be_followed_is_refused(tracker, arguments, kind, message):
    session = sam3trt.VideoSession(tracker)
    with pytest.raises(kind, match=message):
        session.add(**arguments)
    assert session.objects == []


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"hot_start": -1}, sam3trt.BadInputError, "hot_start: expected 0"),
        ({"hot_start": 5000}, sam3trt.BadInputError, "hot start of 5000"),
        ({"hot_start": 1.5}, TypeError, "hot_start: expected a whole number"),
        ({"det_nms": 0}, sam3trt.BadInputError, "det_nms: expected more than 0 to 1"),
        ({"det_nms": "off"}, sam3trt.BadInputError, "det_nms: expected more than 0 to 1"),
        ({"fill_holes": -1}, sam3trt.BadInputError, "fill_holes: expected 0"),
        ({"max_objects": 0}, sam3trt.BadInputError, "max_objects: expected 1"),
        ({"length": 0}, sam3trt.BadInputError, "length: expected 1"),
        ({"frames": "clip.mp4"}, TypeError, "frames: expected an iterable of images"),
        ({"frames": 3}, TypeError, "frames: expected an iterable of images"),
    ],
)
def test_wrong_options_are_refused(tracker, options, kind, message):
    with pytest.raises(kind, match=message):
        sam3trt.VideoSession(tracker, **options)


def test_wrong_frames_are_refused(tracker, frames, segmenters):
    session = sam3trt.VideoSession(tracker, max_objects=1)
    with pytest.raises(TypeError, match="found a path|found 'clip.mp4'"):
        session.track("clip.mp4")
    with pytest.raises(sam3trt.BadInputError, match="made without any"):
        iter(session)
    session.add(1, **CLICK)
    session.add(2, **CLICK)
    with pytest.raises(sam3trt.BadInputError, match="one more than the 1"):
        session.step(frames[0])
    session.step(frames[0])  # without the one that was refused
    assert session.objects == [1]
    for index, kind in ((-1, sam3trt.BadInputError), (1.5, TypeError), (2**40, ValueError)):
        with pytest.raises(kind, match="index: expected"):
            session.step(frames[0], index)
    with pytest.raises(TypeError, match="segmenter: expected a Segmenter"):
        sam3trt.VideoSession("graphs")
    with pytest.raises(sam3trt.BadInputError, match="only detects"):
        sam3trt.VideoSession(segmenters("tiny_a"))

"""What `sam3trt track` writes: files, exports, overlays; interruptions and progress."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import clips
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

FRAMES = 6
CLICK = ("--point", "0:20,24")


@pytest.fixture
def track(run, exported):
    def call(*arguments, **options):
        return run("track", "--model", exported("hf", "video_a"), *arguments, **options)

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return clips.write_frames(tmp_path_factory.mktemp("clip") / "frames", FRAMES)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def decoded(mask: dict) -> np.ndarray:
    return coco_mask.decode({"size": mask["size"], "counts": mask["counts"].encode()}).astype(bool)


def probe(path: Path) -> dict:
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0"]
    command += ["-show_entries", "stream=width,height,nb_read_frames,avg_frame_rate", "-of", "json"]
    done = subprocess.run([*command, path], capture_output=True, check=True)
    return json.loads(done.stdout)["streams"][0]


@pytest.fixture
def two_objects(tmp_path) -> Path:
    path = tmp_path / "prompts.json"
    objects = [{"id": 1, "box": [6, 10, 34, 38]}, {"id": 3, "frame": 2, "points": [[80, 22]]}]
    path.write_text(json.dumps({"objects": objects}), encoding="utf-8")
    return path


def test_a_file_gets_the_lines_and_standard_output_a_summary(track, folder, tmp_path):
    output = tmp_path / "t.jsonl"
    result = track("--video", folder, *CLICK, "--output", output, check=True)
    assert len(lines_of(output)) == 1 + FRAMES
    assert result.stdout == f"{folder}: {FRAMES} frames, 1 object\n"
    again = track("--video", folder, *CLICK, "--output", output)
    assert again.code == 2
    assert "holds the results of an earlier run" in again.stderr
    assert len(lines_of(output)) == 1 + FRAMES


def test_the_summary_can_be_json(track, folder, two_objects, tmp_path):
    options = ("--prompts", two_objects, "--output", tmp_path / "t.jsonl", "--json")
    summary = json.loads(track("--video", folder, *options, check=True).stdout)
    assert summary["frames"] == FRAMES
    assert summary["errors"] == 0
    assert summary["video"] == {
        "path": str(folder),
        "width": clips.WIDTH,
        "height": clips.HEIGHT,
    }
    assert [item["id"] for item in summary["objects"]] == [1, 3]
    seen = {}
    for line in lines_of(tmp_path / "t.jsonl")[1:]:
        for item in line["objects"]:
            seen.setdefault(item["id"], line["frame"])
    assert {item["id"]: item["first"] for item in summary["objects"]} == seen
    assert seen[3] >= 2


def test_exports_say_what_the_lines_say(track, folder, two_objects, tmp_path):
    output = tmp_path / "t.jsonl"
    exports = [f"coco-vis:{tmp_path}/vis.json", f"davis:{tmp_path}/davis"]
    exports += [f"mot:{tmp_path}/mot.txt,mots:{tmp_path}/mots.txt"]
    options = ("--prompts", two_objects, "--output", output, "--export", *exports)
    track("--video", folder, *options, check=True)
    seen = {
        (line["frame"], item["id"]): item
        for line in lines_of(output)[1:]
        for item in line["objects"]
        if item["area"]
    }
    assert {number for _, number in seen} == {1, 3}

    vis = json.loads((tmp_path / "vis.json").read_text(encoding="utf-8"))
    assert vis["videos"][0]["file_names"] == [f"frame{i}.jpg" for i in range(FRAMES)]
    found = {}
    for annotation in vis["annotations"]:
        assert len(annotation["segmentations"]) == FRAMES
        for index, mask in enumerate(annotation["segmentations"]):
            assert (mask is None) == (annotation["bboxes"][index] is None)
            if mask is None:
                continue
            found[index, annotation["id"]] = mask
            encoded = {"size": mask["size"], "counts": mask["counts"].encode()}
            assert annotation["areas"][index] == coco_mask.area(encoded)
            assert annotation["bboxes"][index] == list(coco_mask.toBbox(encoded))
    assert found == {key: item["mask"] for key, item in seen.items()}

    rows = [line.split(",") for line in (tmp_path / "mot.txt").read_text().splitlines()]
    assert sorted((int(row[0]) - 1, int(row[1])) for row in rows) == sorted(seen)
    assert all(len(row) == 10 and row[7:] == ["-1", "-1", "-1"] for row in rows)

    covered = {}
    for line in (tmp_path / "mots.txt").read_text().splitlines():
        frame, number, _, height, width, counts = line.split(" ")
        mask = decoded({"size": [int(height), int(width)], "counts": counts})
        key = int(frame) - 1
        assert not (mask & covered.get(key, np.zeros_like(mask))).any()
        covered[key] = covered.get(key, np.zeros_like(mask)) | mask
        assert not (mask & ~decoded(seen[key, int(number)]["mask"])).any()

    for index in range(FRAMES):
        image = Image.open(tmp_path / f"davis/frame{index}.png")
        assert image.mode == "P"
        labels = np.asarray(image)
        masks = [decoded(item["mask"]) for (i, _), item in seen.items() if i == index]
        union = np.logical_or.reduce(masks) if masks else np.zeros(labels.shape, bool)
        assert ((labels > 0) == union).all()
        assert set(np.unique(labels)) <= {0, 1, 3}


def test_exports_without_a_file_of_lines(track, folder, tmp_path):
    export = ("--export", f"mot:{tmp_path}/mot.txt")
    result = track("--video", folder, *CLICK, *export, check=True)
    lines = [json.loads(line) for line in result.stdout.splitlines()][1:]
    seen = sum(bool(item["area"]) for line in lines for item in line["objects"])
    assert len((tmp_path / "mot.txt").read_text().splitlines()) == seen


def test_an_overlay_is_a_video_or_a_folder(track, folder, two_objects, tmp_path):
    odd = tmp_path / "odd"
    odd.mkdir()
    for path in folder.iterdir():
        Image.open(path).crop((0, 0, clips.WIDTH - 1, clips.HEIGHT - 1)).save(odd / path.name)
    for source in (folder, odd):
        target = tmp_path / f"{source.name}.mp4"
        options = ("--prompts", two_objects, "--overlay", target, "--fps", "10")
        track("--video", source, *options, check=True)
        found = probe(target)
        assert (found["width"], found["height"]) == (clips.WIDTH, clips.HEIGHT)
        assert found["nb_read_frames"] == str(FRAMES)
        assert found["avg_frame_rate"] == "10/1"
    images = tmp_path / "images"
    options = ("--prompts", two_objects, "--overlay", images, "--direction", "both")
    track("--video", folder, *options, check=True)
    assert sorted(path.name for path in images.iterdir()) == [
        f"frame{i}.png" for i in range(FRAMES)
    ]
    drawn = [np.asarray(Image.open(images / f"frame{i}.png")) for i in range(FRAMES)]
    assert {image.shape for image in drawn} == {(clips.HEIGHT, clips.WIDTH, 3)}
    assert any((image != clips.frame(i)).any() for i, image in enumerate(drawn))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".sam3trt")]


def test_an_output_is_never_an_input(track, folder, two_objects, tmp_path):
    video = clips.encode(folder, tmp_path / "clip.mkv")
    before = video.read_bytes()
    for options in (
        ("--output", video),
        ("--overlay", video),
        ("--export", f"mot:{video}"),
    ):
        result = track("--video", video, *CLICK, *options)
        assert result.code == 2
        assert "would overwrite the input" in result.stderr
    result = track("--video", folder, "--prompts", two_objects, "--output", two_objects)
    assert result.code == 2
    same = tmp_path / "same"
    result = track("--video", folder, *CLICK, "--output", same, "--export", f"mot:{same}")
    assert result.code == 2
    assert video.read_bytes() == before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interruption_leaves_everything_valid(program, exported, tmp_path, name):
    # A stream that never ends: the program is stopped in the middle of its work.
    source = ["ffmpeg", "-v", "quiet", "-nostdin", "-re", "-f", "lavfi"]
    source += ["-i", "testsrc2=size=96x64:rate=25", "-c:v", "mpeg2video", "-f", "mpegts", "-"]
    output, overlay, mot = (tmp_path / n for n in ("t.jsonl", "o.mp4", "mot.txt"))
    command = [program, "track", "--model", exported("hf", "video_a"), "--video", "-", *CLICK]
    command += ["--output", output, "--overlay", overlay, "--export", f"mot:{mot}"]
    with subprocess.Popen(source, stdout=subprocess.PIPE) as stream:
        process = subprocess.Popen(
            command, stdin=stream.stdout, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        end = time.monotonic() + 120
        while not output.exists() or len(output.read_bytes().splitlines()) < 5:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.Signals[name])
        errors = process.communicate(timeout=60)[1]
        stream.kill()
    assert process.returncode == -signal.Signals[name], errors
    assert f"stopped by {name}" in errors
    lines = lines_of(output)
    assert [line["frame"] for line in lines[1:]] == list(range(len(lines) - 1))
    assert int(probe(overlay)["nb_read_frames"]) == len(lines) - 1
    seen = sum(bool(item["area"]) for line in lines[1:] for item in line["objects"])
    assert len(mot.read_text().splitlines()) == seen
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".sam3trt")]
    # No program that it started is left.
    left = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, check=False)
    assert left.stdout == b""


def test_a_terminal_sees_frames_a_second_and_objects(program, exported, folder, tmp_path):
    terminal, end = pty.openpty()
    command = [program, "track", "--model", exported("hf", "video_a"), "--video", folder, *CLICK]
    many = clips.write_frames(tmp_path / "many", 60)
    command[command.index(folder)] = many
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=end
    )
    os.close(end)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    assert process.wait() == 0
    assert b"/60, " in shown
    assert b" frames/s, " in shown
    assert b" object" in shown

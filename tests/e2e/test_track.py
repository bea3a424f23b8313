"""`sam3trt track` as a user meets it: sources, lines, directions, bad input."""

import json
import os
import subprocess
from pathlib import Path

import clips
import pytest
from PIL import Image

FRAMES = 6
CLICK = ("--point", "0:20,24")


@pytest.fixture
def track(run, exported):
    """track(*arguments): runs the program on video_a and gives what it left."""

    def call(*arguments, model=None, **options):
        model = model or exported("hf", "video_a")
        return run("track", "--model", model, *arguments, **options)

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return clips.write_frames(tmp_path_factory.mktemp("clip") / "frames", FRAMES)


@pytest.fixture(scope="module")
def video(folder) -> Path:
    return clips.encode(folder, folder.parent / "clip.mkv")


def lines_of(text: str) -> tuple[dict, list[dict]]:
    """The first line and the others."""
    assert text.endswith("\n")
    first, *rest = [json.loads(line) for line in text.splitlines()]
    return first, rest


def frames_of(result, code: int = 0) -> list[dict]:
    assert result.code == code, result.stderr
    return lines_of(result.stdout)[1]


def assert_refused(result, code: int, *parts: str) -> None:
    assert result.code == code, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("sam3trt: error: ")
    for part in parts:
        assert part in result.stderr


def test_a_folder_gives_a_line_for_each_frame(track, folder):
    result = track("--video", folder, *CLICK, check=True)
    header, frames = lines_of(result.stdout)
    assert header == {
        "version": 1,
        "backend": "openvino",
        "semantics": "hf",
        "video": {
            "path": str(folder),
            "width": clips.WIDTH,
            "height": clips.HEIGHT,
            "frames": FRAMES,
            "fps": None,
        },
    }
    assert [line["frame"] for line in frames] == list(range(FRAMES))
    for line in frames:
        assert list(line) == ["frame", "time", "objects"]
        assert line["time"] is None
        for item in line["objects"]:
            keys = ["id", "prompt", "score", "object_score", "box", "area", "mask"]
            assert list(item) == keys
            assert item["id"] == 1
            assert item["prompt"] is None
            assert item["score"] == item["object_score"]
            assert item["mask"]["size"] == [clips.HEIGHT, clips.WIDTH]
    assert frames[0]["objects"]


def test_a_file_gives_what_its_images_give(track, folder, video):
    expected = frames_of(track("--video", folder, *CLICK))
    result = track("--video", video, *CLICK)
    found = frames_of(result)
    assert [line["objects"] for line in found] == [line["objects"] for line in expected]
    assert [line["time"] for line in found] == [pytest.approx(i / 25) for i in range(FRAMES)]
    assert lines_of(result.stdout)[0]["video"]["fps"] == 25.0


def test_standard_input_gives_what_the_file_gives(program, track, exported, tmp_path):
    # the length of clips of fewer than 16 frames counts, and is unknown on standard input
    video = clips.encode(clips.write_frames(tmp_path / "frames", 16), tmp_path / "clip.mkv")
    expected = frames_of(track("--video", video, *CLICK))
    with video.open("rb") as stream:
        command = [program, "track", "--model", exported("hf", "video_a"), "--video", "-", *CLICK]
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    header, frames = lines_of(done.stdout)
    assert frames == expected
    assert header["video"]["path"] == "-"
    assert header["video"]["frames"] is None
    assert header["video"]["fps"] == 25.0


def test_an_mp4_whose_index_is_at_its_end_is_read_from_a_redirected_file(
    program, exported, tmp_path
):
    # Large enough that nothing but seeking finds the index.
    source = ("-f", "lavfi", "-i", "nullsrc=size=640x480:rate=25,geq=random(1)*255:128:128")
    video = tmp_path / "clip.mp4"
    clips.ffmpeg(*source, "-frames:v", FRAMES, "-c:v", "mjpeg", "-q:v", "1", video)
    command = [program, "track", "--model", exported("hf", "video_a"), "--video", "-", *CLICK]
    with video.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(lines_of(done.stdout)[1]) == FRAMES


def test_patterns_give_what_the_folder_gives(track, folder):
    expected = frames_of(track("--video", folder, *CLICK))
    for pattern in ("frame%d.png", "frame*.png"):
        assert frames_of(track("--video", folder / pattern, *CLICK)) == expected


def test_frames_before_the_first_click_have_no_objects(track, folder):
    frames = frames_of(track("--video", folder, "--point", "3:26,24"))
    assert [line["frame"] for line in frames] == list(range(FRAMES))
    assert all(line["objects"] == [] for line in frames[:3])
    assert frames[3]["objects"]


def test_a_model_of_metas_semantics_follows_clicks_and_texts(track, exported, folder):
    model = exported("meta", "video_a")
    result = track("--video", folder, *CLICK, model=model)
    frames = frames_of(result)
    assert lines_of(result.stdout)[0]["semantics"] == "meta"
    assert [line["frame"] for line in frames] == list(range(FRAMES))
    assert all([entry["id"] for entry in line["objects"]] == [1] for line in frames)
    result = track("--video", folder, "--text", "red apple", model=model)
    assert [line["frame"] for line in frames_of(result)] == list(range(FRAMES))


@pytest.mark.parametrize("source", ["folder", "video"])
def test_directions_give_frames_in_the_order_in_which_they_are_tracked(track, request, source):
    path = request.getfixturevalue(source)
    click = ("--point", "2:24,24")
    backward = frames_of(track("--video", path, *click, "--direction", "backward"))
    assert [line["frame"] for line in backward] == [2, 1, 0]
    both = frames_of(track("--video", path, *click, "--direction", "both"))
    assert [line["frame"] for line in both] == [2, 3, 4, 5, 1, 0]
    text = frames_of(track("--video", path, "--text", "red", "--direction", "backward"))
    assert [line["frame"] for line in text] == [5, 4, 3, 2, 1, 0]


def test_prompts_of_a_file_are_what_options_say(track, folder, tmp_path):
    Image.fromarray(clips.disc(2)).save(tmp_path / "disc.png")
    prompts = tmp_path / "prompts.json"
    prompts.write_text(
        json.dumps(
            {
                "objects": [
                    {"id": 4, "points": [[20, 24]]},
                    {"id": 9, "frame": 2, "mask": "disc.png"},
                ],
            }
        ),
        encoding="utf-8",
    )
    frames = frames_of(track("--video", folder, "--prompts", prompts))
    clicked = frames_of(track("--video", folder, *CLICK))
    assert [item["id"] for item in frames[0]["objects"]] == [4]
    assert frames[0]["objects"][0]["mask"] == clicked[0]["objects"][0]["mask"]
    assert 9 in [item["id"] for item in frames[2]["objects"]]


def test_a_frame_that_cannot_be_read_is_a_line_with_its_error(track, folder, tmp_path):
    broken = tmp_path / "frames"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "frame2.png").write_bytes(b"\x89PNG broken")
    result = track("--video", broken, *CLICK)
    frames = frames_of(result, code=2)
    assert [line["frame"] for line in frames] == list(range(FRAMES))
    assert "frame2.png" in frames[2]["error"]
    assert "objects" not in frames[2]
    assert "frame2.png" in result.stderr


def test_a_file_that_breaks_off_keeps_its_frames_and_says_so(track, tmp_path):
    folder = clips.write_frames(tmp_path / "frames", 40)
    options = ("-c:v", "mpeg4", "-g", "5", "-movflags", "faststart")
    data = clips.encode(folder, tmp_path / "clip.mp4", *options).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    result = track("--video", tmp_path / "cut.mp4", "--point", "39:30,30")
    frames = frames_of(result, code=2)
    assert 5 < len(frames) < 40
    assert [line["frame"] for line in frames] == list(range(len(frames)))
    assert "breaks off" in frames[-1]["error"]
    assert all("objects" in line for line in frames[:-1])
    assert "object 1 is pointed at on frame 39" in result.stderr


def test_without_ffmpeg_folders_work_and_files_say_what_to_install(track, folder, video, tmp_path):
    bare = {"PATH": str(tmp_path)}
    assert_refused(track("--video", video, *CLICK, env=bare), 3, "ffmpeg", "install")
    assert len(frames_of(track("--video", folder, *CLICK, env=bare))) == FRAMES
    overlay = ("--overlay", tmp_path / "o.mp4")
    assert_refused(track("--video", folder, *CLICK, *overlay, env=bare), 3, "ffmpeg")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ("nothing to follow", "--text", "--prompts")),
        (("--point", "20"), ("--point 20", "x,y")),
        (("--point", "0:20,a"), ("--point",)),
        (("--point", "99999999999:1,2"), ("--point 99999999999:1,2", "frame")),
        (("--object-box", "0:5,5,1,1"), ("--object-box",)),
        (("--object-box", "0:1,1,5,5", "0:1,1,6,6"), ("--object-box 0:1,1,6,6", "--prompts")),
        (("--object-mask", "0:none.png"), ("none.png",)),
        (("--text", ""), ("is empty",)),
        ((*CLICK, "--det-nms", "2"), ("--det-nms 2", "off")),
        ((*CLICK, "--hot-start", "3", "--live"), ("--live",)),
        ((*CLICK, "--direction", "up"), ("--direction",)),
        ((*CLICK, "--export", "xml:a"), ("--export xml:a", "coco-vis:FILE")),
        ((*CLICK, "--export", "mot:"), ("--export mot:",)),
        ((*CLICK, "--overlay", "a.png"), ("--overlay a.png", ".mp4", "folder")),
        ((*CLICK, "--overlay", "a.mp4", "--direction", "backward"), ("--overlay a.mp4", "folder")),
        (("--point", "9:1,2", "--direction", "backward"), ("has no frame 9", "0 to 5")),
    ],
)
def test_what_cannot_be_meant_is_refused(track, folder, arguments, parts):
    assert_refused(track("--video", folder, *arguments), 2, *parts)


def test_sources_that_are_not_videos_are_refused(track, tmp_path):
    (tmp_path / "a.mp4").write_text("this is text", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    missing = tmp_path / "none.mp4"
    assert_refused(track("--video", missing, *CLICK), 2, str(missing), "no such file")
    assert_refused(track("--video", tmp_path / "a.mp4", *CLICK), 2, "a.mp4", "no video")
    assert_refused(track("--video", tmp_path / "empty", *CLICK), 2, "no image")
    assert_refused(track("--video", tmp_path / "%d.png", *CLICK), 2, "no file fits")
    assert_refused(track(*CLICK), 2, "--video")


def test_a_stream_is_read_only_once(program, exported, video):
    for direction, message in (("both", "only once"), ("backward", "only files")):
        with video.open("rb") as stream:
            command = [program, "track", "--model", exported("hf", "video_a"), "--video", "-"]
            command += ["--point", "2:24,24", "--direction", direction]
            done = subprocess.run(
                command, stdin=stream, capture_output=True, text=True, check=False
            )
        assert done.returncode == 2
        assert message in done.stderr


def test_a_point_on_a_frame_that_does_not_come_is_an_error_beside_the_results(track, folder):
    result = track("--video", folder, *CLICK, "--point", "77:1,1")
    assert len(frames_of(result, code=2)) == FRAMES
    assert "the object 1 is pointed at on frame 77" in result.stderr


def test_names_of_prompts_that_belong_to_images_are_refused(track, folder, tmp_path):
    prompts = tmp_path / "p.json"
    prompts.write_text('{"objects": [{"image": "a.png", "points": [[1, 2]]}]}', encoding="utf-8")
    assert_refused(track("--video", folder, "--prompts", prompts), 2, "a.png", '"frame"')
    prompts.write_text('{"objects": [{"pointss": [[1, 2]]}]}', encoding="utf-8")
    assert_refused(track("--video", folder, "--prompts", prompts), 2, 'unknown field "pointss"')


def test_help_has_an_example(run):
    result = run("track", "--help", check=True)
    assert "Example:" in result.stdout
    assert os.linesep not in result.stderr

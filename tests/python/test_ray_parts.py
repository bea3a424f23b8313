"""What sam3trt.ray does without Ray; tests/clients runs it on Ray."""

import pyarrow
import pytest
from sam3trt import parquet, ray
from sam3trt.result import PromptFound, Result

JOB = '{"text": "dog"}'


class FakeSegmenter:
    """Finds nothing, in images that are not b"bad"."""

    def __call__(self, images, text, errors):
        assert (text, errors) == ("dog", "return")
        return [
            ValueError("the image is bad")
            if image == b"bad"
            else Result(size=(2, 3), prompts=[PromptFound(text=text, presence=0.25)])
            for image in images
        ]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "in"
    for name, data in {"b.jpg": b"good", "a/c.PNG": b"bad", "a/d.jpeg": b"", "e.txt": b""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def output(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def work(paths, output):
    worker = ray._Worker(FakeSegmenter, {"text": "dog"}, str(output), JOB)
    rows = pyarrow.Table.from_pylist([ray._read({"path": str(path)}) for path in paths])
    return worker(rows)


def test_a_folder_s_images_are_found_in_its_folders(images):
    assert ray.images_under(images) == [
        str(images / name) for name in ("a/c.PNG", "a/d.jpeg", "b.jpg")
    ]


def test_every_image_of_a_batch_is_a_row_and_errors_say_why(images, output):
    paths = [images / "b.jpg", images / "a/c.PNG", images / "gone.jpg"]
    assert sorted(work(paths, output)["path"]) == sorted(map(str, paths))
    (part,) = parquet.parts_of(output)
    rows = {row["path"]: row for row in pyarrow.parquet.read_table(part).to_pylist()}
    assert set(rows) == set(map(str, paths))
    good, bad, gone = (rows[str(path)] for path in paths)
    assert (good["error"], good["width"], good["bytes"]) == (None, 3, 4)
    assert good["modified"] == paths[0].stat().st_mtime_ns
    assert (bad["error"], bad["bytes"]) == ("the image is bad", 3)
    assert "No such file" in gone["error"] and gone["bytes"] is None


def test_a_batch_of_unreadable_images_needs_no_model(output, tmp_path):
    work([tmp_path / "gone.jpg"], output)
    assert len(list(parquet.images_in(output))) == 1


def test_a_batch_that_is_written_twice_is_there_once(images, output):
    paths = [images / "b.jpg", images / "a/c.PNG"]
    work(paths, output)
    work(reversed(paths), output)
    assert len(parquet.parts_of(output)) == 1
    work(paths[:1], output)
    assert len(parquet.parts_of(output)) == 2
    assert not list(output.glob(".*"))


def test_only_what_no_part_has_is_missing(images, output):
    paths = ray.images_under(images)
    assert ray._missing(paths, output) == paths
    work(paths[1:], output)
    assert ray._missing(paths, output) == paths[:1]


def test_parts_of_another_job_are_refused(images, output):
    ray._check_job(output, JOB)
    work([images / "b.jpg"], output)
    ray._check_job(output, JOB)
    with pytest.raises(ValueError, match="results of another job"):
        ray._check_job(output, '{"text": "cat"}')


def test_parts_of_the_command_are_refused(output):
    parquet.write_parquet([{"path": "a.jpg", "error": "no"}], output)
    with pytest.raises(ValueError, match="not of Ray"):
        ray._check_job(output, JOB)


def test_the_summary_counts_images_not_rows(images, output):
    work(ray.images_under(images), output)
    summary = ray._summary(output, {str(images / "b.jpg")})
    assert summary == {"images": 3, "failed": 1, "new": 2}


def test_rays_retries_have_an_end():
    limits = ray._tried_twice()
    assert limits["max_task_retries"] == 1 and limits["max_restarts"] == -1

"""What README tells a new user to run works again and again."""

import json
import subprocess

import goldens
import pytest


@pytest.fixture
def demo():
    """demo(*texts): what tools/demo printed."""
    if not (goldens.ROOT / "build/sam3trt").exists():
        pytest.skip("tools/demo runs build/sam3trt, which this build is not")

    def run(*texts: str) -> str:
        command = [goldens.ROOT / "tools/demo", *texts]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_second_demo_takes_the_place_of_the_first(demo):
    folder = goldens.ROOT / "build/demo"
    for text in ("red circle", "blue star"):
        assert "36 frames of a clip" in demo(text)
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        texts = {p["text"] for image in results["images"] for p in image["prompts"]}
        assert texts == {text}
        _, *frames = (folder / "tracks.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(frames) == 36
        assert any(text in frame for frame in frames)
        other = "blue star" if text == "red circle" else "red circle"
        assert not any(other in frame for frame in frames)
        assert len(list((folder / "tracked").iterdir())) == 36

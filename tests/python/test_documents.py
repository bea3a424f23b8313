"""The Python of docs/python.md and of the notebook runs."""

import documents
import pytest
import sam3trt
from conftest import ROOT


@pytest.fixture
def place(drawn, tmp_path, monkeypatch):
    """A folder with what the documents name."""
    documents.lay_out(drawn, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs(place, capsys):
    blocks = documents.blocks_of(ROOT / "docs/python.md")
    assert len(blocks) >= 15
    documents.run(ROOT / "docs/python.md", blocks)
    printed = capsys.readouterr().out
    assert "<Result 'shapes.png' 640x440: 2 'red circle', 1 'blue star'>" in printed
    assert (place / "found.png").is_file() and (place / "found.json").is_file()


def test_what_the_page_says_of_clicks_and_videos_runs(place, graphs_of):
    """With a random checkpoint; the small one need not have a tracker."""
    page = ROOT / "docs/python.md"
    blocks = [block for block in documents.blocks_of(page) if block.requires == "tracker"]
    assert len(blocks) >= 5
    documents.run(page, blocks, sam3trt=sam3trt, seg=sam3trt.Segmenter(graphs_of("video_a")))


def test_the_notebook_runs(place):
    cells = documents.cells_of(ROOT / "examples/notebook.ipynb")
    assert len(cells) >= 5
    documents.run(ROOT / "examples/notebook.ipynb", cells)

"""The whole of docs/python.md, and the notebook in a real kernel."""

import documents
import nbclient
import nbformat
import pytest
import ray
from conftest import ROOT


@pytest.fixture
def place(drawn, tmp_path, monkeypatch):
    """A folder with what the documents name."""
    documents.lay_out(drawn, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_of_the_page_runs(place):
    page = ROOT / "docs/python.md"
    try:
        assert set(documents.run(page, documents.blocks_of(page))) <= {"cuda", "tracker"}
    finally:
        ray.shutdown()


def test_the_notebook_runs_in_a_kernel_and_shows_images(place):
    notebook = nbformat.read(ROOT / "examples/notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(shown) == 3

"""Texts: cleaned as the reference cleans them, too long, and the files of tokenizers."""

import gzip
import json
import shutil
import subprocess

import goldens
import pytest

CAT = goldens.ROOT / "test_images" / "cat.jpg"
LONG = "a photograph of the small red circle in the upper left corner " * 3 + "near the table"
# Pairs that Meta's tokenizer takes for the same text.
SAME = [
    ("\uff32\uff25\uff24 circle", "RED circle"),
    ("red \u2019circle\u2019", "red 'circle'"),
    ("\u201cred\u201d", '"red"'),
    ("R&amp;D caf\u00c3\u00a9", "r&d caf\u00e9"),
    ("\ufb01re\u3000 truck ", "fire truck"),
]


@pytest.fixture
def infer(run, exported):
    """infer(semantics, *arguments): runs `infer` on one picture."""

    def call(semantics: str, *arguments):
        return run("infer", "--model", exported(semantics, "tiny_a"), "--image", CAT, *arguments)

    return call


def prompts(result) -> list:
    assert result.code == 0, result.stderr
    return json.loads(result.stdout)["images"][0]["prompts"]


def test_texts_are_cleaned_under_metas_semantics_and_shown_as_given(infer):
    texts = [text for pair in SAME for text in pair]
    found = prompts(infer("meta", "--text", *texts))
    assert [prompt["text"] for prompt in found] == texts
    for given, meant in zip(found[::2], found[1::2]):
        assert given["presence"] == meant["presence"]
        assert given["instances"] == meant["instances"]


def test_texts_stay_as_they_are_under_hugging_faces_semantics(infer):
    found = prompts(infer("hf", "--text", *SAME[0]))
    assert found[0]["presence"] != found[1]["presence"]


def test_a_text_longer_than_the_context_is_refused_under_hugging_faces_semantics(infer, tmp_path):
    result = infer("hf", "--text", "dog", LONG, "--output", tmp_path / "r.json")
    assert result.code == 2
    assert result.stderr.startswith("sam3trt: error: the text 'a photograph of")
    assert "tokens" in result.stderr
    assert "near the table'; shorten the text" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_text_longer_than_the_context_is_cut_with_one_warning_under_metas_semantics(infer):
    result = infer("meta", "--text", LONG, "--text", "dog")
    assert [prompt["text"] for prompt in prompts(result)] == [LONG, "dog"]
    (warning,) = result.stderr.splitlines()
    assert warning.startswith("sam3trt: warning: the text 'a photograph of")
    assert warning.endswith("near the table'")


def test_a_box_in_parts_of_the_image_gets_a_warning(infer):
    result = infer("hf", "--box", "0.1,0.17,0.35,0.5")
    assert prompts(result)
    assert "--box 0.1,0.17,0.35,0.5: lies in the first pixel" in result.stderr
    assert "warning" not in infer("hf", "--box", "10,17,35,50").stderr


@pytest.fixture(scope="module")
def export_with(program, checkpoint, tmp_path_factory):
    """export_with(*arguments): a run of `export` on a sam3.pt alone in a folder, the tokenizer it
    writes, and that folder."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copy(checkpoint("meta", "tiny_a") / "sam3.pt", folder)

    def call(*arguments):
        output = tmp_path_factory.mktemp("graphs")
        common = ["--checkpoint", folder / "sam3.pt", "--component", "all", "--output", output]
        command = [str(part) for part in (program, "export", *common, *arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done, output / "detector.tokenizer.json", folder

    return call


def test_a_list_of_merges_is_a_tokenizer(checkpoint, export_with, tmp_path):
    source = checkpoint("meta", "tiny_a")
    result, written, folder = export_with("--tokenizer", source)
    assert result.returncode == 0, result.stderr
    merges = (source / "merges.txt").read_text().splitlines()[1:]
    text = "\n".join(['"bpe_simple_vocab_16e6.txt#version: 0.2', *merges, ""])
    packed = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    for tokenizer in (packed, tmp_path):
        result, again, _ = export_with("--tokenizer", tokenizer)
        assert result.returncode == 0, result.stderr
        assert again.read_bytes() == written.read_bytes()
    shutil.copy(packed, folder)
    result, again, _ = export_with()
    assert result.returncode == 0, result.stderr
    assert again.read_bytes() == written.read_bytes()
    (folder / packed.name).unlink()


def test_what_is_not_a_tokenizer_is_named_with_the_files_that_are(export_with, tmp_path):
    result, _, folder = export_with("--tokenizer", CAT)
    assert result.returncode == 2
    assert f"{CAT}: is not a tokenizer; expected tokenizer.json" in result.stderr
    assert "bpe_simple_vocab_16e6.txt.gz" in result.stderr
    for arguments in ((), ("--tokenizer", tmp_path)):
        result, _, _ = export_with(*arguments)
        assert result.returncode == 2
        assert "tokenizer" in result.stderr
        assert "bpe_simple_vocab_16e6.txt.gz" in result.stderr
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(1 << 26)))
    result, _, _ = export_with("--tokenizer", bomb)
    assert result.returncode == 2
    assert "bomb.gz: holds more than" in result.stderr

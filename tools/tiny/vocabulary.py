"""The byte-pair vocabulary of the small SAM 3, in the file format of CLIP's tokenizer.

Order as in CLIP: 256 byte symbols, the same with `</w>`, the merges, the start and the end mark.
Every text can be tokenised; the words of the synthetic prompts are one token each. The merges are
learnt greedily from WORDS, so the files are the same on every machine.
"""

import json
from collections import Counter
from pathlib import Path

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"
# The word pattern of CLIP (OpenAI CLIP, clip/simple_tokenizer.py).
PATTERN = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
WORDS = """red orange yellow green cyan blue purple pink circle circles square squares triangle
triangles star stars ring rings cross crosses heart hearts moon moons shape shapes object objects
small large plain striped dotted visual a the""".split()


def byte_symbols() -> dict[int, str]:
    """The printable character of every byte, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    table.update({byte: chr(256 + rank) for rank, byte in enumerate(rest)})
    return table


def merge_once(word: list[str], pair: tuple[str, str]) -> None:
    """Joins every occurrence of `pair` in `word`, in place."""
    at = 0
    while at + 1 < len(word):
        if (word[at], word[at + 1]) == pair:
            word[at : at + 2] = [pair[0] + pair[1]]
        at += 1


def learn_merges() -> list[tuple[str, str]]:
    """Most frequent pair first (ties: the smaller pair) until every word is one token."""
    words = [[*word[:-1], word[-1] + "</w>"] for word in WORDS]
    merges = []
    while any(len(word) > 1 for word in words):
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word in words:
            merge_once(word, best)
    return merges


def build_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Token to id, and the merges."""
    merges = learn_merges()
    symbols = list(byte_symbols().values())
    tokens = [*symbols, *(symbol + "</w>" for symbol in symbols)]
    tokens += ["".join(pair) for pair in merges] + [BOS, EOS]
    return {token: index for index, token in enumerate(tokens)}, merges


def encode(text: str) -> list[int]:
    """Ids of a lower-case text of words and blanks, with both marks, without padding."""
    vocabulary, merges = build_vocabulary_cached()
    symbols = byte_symbols()
    ids = [vocabulary[BOS]]
    for word in text.split():
        pieces = [symbols[byte] for byte in word.encode()]
        pieces[-1] += "</w>"
        for pair in merges:
            merge_once(pieces, pair)
        ids += [vocabulary[piece] for piece in pieces]
    return [*ids, vocabulary[EOS]]


_cache: list = []


def build_vocabulary_cached() -> tuple[dict[str, int], list[tuple[str, str]]]:
    if not _cache:
        _cache.append(build_vocabulary())
    return _cache[0]


def tokenizer_json(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> dict:
    """tokenizer.json as Hugging Face's tokenizers library reads it."""
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocabulary[mark], "content": mark, **flags} for mark in (BOS, EOS)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": PATTERN},
                    "behavior": "Removed",
                    "invert": True,
                },
                {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "trim_offsets": True,
                    "use_regex": True,
                },
            ],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [EOS, vocabulary[EOS]],
            "cls": [BOS, vocabulary[BOS]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": EOS,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [" ".join(pair) for pair in merges],
        },
    }


def write(folder: Path, context_length: int) -> None:
    """Writes vocab.json, merges.txt, tokenizer.json and the two small configuration files."""
    vocabulary, merges = build_vocabulary_cached()
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS}
    settings = {
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": context_length,
        "processor_class": "Sam3Processor",
        "tokenizer_class": "CLIPTokenizer",
    }
    files = {
        "vocab.json": vocabulary,
        "tokenizer.json": tokenizer_json(vocabulary, merges),
        "tokenizer_config.json": special | settings,
        "special_tokens_map.json": special,
    }
    for name, value in files.items():
        text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")

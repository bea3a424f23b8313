"""A small CLIP-format byte-pair tokenizer for tiny test checkpoints.

The vocabulary has CLIP's order: 256 byte symbols, the same with `</w>`, the merges, then the start
and the end mark. Every byte string can be tokenised. The merges are learnt from a fixed word list,
so the files are the same on every machine.
"""

import json
from collections import Counter
from pathlib import Path

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"
CONTEXT_LENGTH = 32

# CLIP's word pattern (OpenAI CLIP, clip/simple_tokenizer.py; the same in Hugging Face's CLIP).
PATTERN = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)

WORDS = """
visual person persons people man woman child astronaut helmet flag suit face hand coffee cup mug
plate spoon table wooden cat cats ear eye whiskers dog dogs horse horses bird birds car cars bus
bicycle rocket launch tower tree trees grass flower flowers sky cloud clouds water river sea boat
brick wall window windows door house building street road sign light lamp chair sofa bed book
books bottle glass orange apple banana bread cake shoe shoes shirt hat red green blue white black
yellow brown striped small large left right the a an of on in with and without round shiny dark
bright
""".split()


def byte_symbols() -> dict[int, str]:
    """Printable code point of every byte, in CLIP's order (GPT-2's bytes_to_unicode table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in printable}
    missing = [byte for byte in range(256) if byte not in table]
    table.update({byte: chr(256 + rank) for rank, byte in enumerate(missing)})
    return table


def learn_merges(count: int) -> list[tuple[str, str]]:
    """The `count` most frequent pairs of the word list, learnt greedily; ties in text order."""
    words = [[*word[:-1], word[-1] + "</w>"] for word in WORDS]
    merges = []
    for _ in range(count):
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        if not pairs:
            raise ValueError(f"the word list gives only {len(merges)} merges, {count} were asked")
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at + 1 < len(word):
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = ["".join(best)]
                at += 1
    return merges


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    symbols = list(byte_symbols().values())
    tokens = symbols + [symbol + "</w>" for symbol in symbols]
    tokens += ["".join(pair) for pair in merges] + [BOS, EOS]
    vocab = {token: index for index, token in enumerate(tokens)}
    if len(vocab) != len(tokens):
        raise ValueError("two merges give the same token")
    return vocab


def tokenizer_json(vocab: dict[str, int], merges: list[tuple[str, str]]) -> dict:
    special = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": vocab[BOS], "content": BOS, **special},
            {"id": vocab[EOS], "content": EOS, **special},
        ],
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
            "sep": [EOS, vocab[EOS]],
            "cls": [BOS, vocab[BOS]],
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
            "vocab": vocab,
            "merges": [" ".join(pair) for pair in merges],
        },
    }


def write(folder: Path, merge_count: int, context_length: int = CONTEXT_LENGTH) -> dict[str, int]:
    """Writes the five tokenizer files into `folder` and returns the vocabulary."""
    merges = learn_merges(merge_count)
    vocab = vocabulary(merges)
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS}
    config = {
        **special,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": context_length,
        "tokenizer_class": "CLIPTokenizer",
    }

    def dump(name: str, value: object) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8", newline="\n")

    dump("vocab.json", vocab)
    dump("tokenizer.json", tokenizer_json(vocab, merges))
    dump("tokenizer_config.json", config)
    dump("special_tokens_map.json", special)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return vocab

"""Makes the tokenizer's reference data in tests/data/text/ with transformers' CLIPTokenizerFast.

Usage: python tools/reference/tokenizer_goldens.py bpe_simple_vocab_16e6.txt.gz

The argument is CLIP's list of merges, which the PyPI packages open-clip-torch and clip-anytorch
ship. Only the merges that the test strings use (and some more, so that merges compete) go into the
committed vocabulary: with all merges that are ever applied kept in their order, every string
splits as with the full list. The tool asserts that on every string.
"""

import gzip
import json
import random
import sys
import unicodedata
from pathlib import Path

import tokenizers
import transformers
from transformers import CLIPTokenizerFast

OUT = Path(__file__).resolve().parents[2] / "tests" / "data" / "text"
MARKS = ["<|startoftext|>", "<|endoftext|>"]

NOUN_TEXT = """
cat dog person car bicycle bus traffic light spoon coffee cup laptop keyboard rocket tree window
player goalkeeper zebra umbrella skateboard sneaker shoelace chimney lighthouse tomato broccoli
pizza sandwich giraffe elephant pigeon violin trumpet balloon ladder scaffolding excavator forklift
conveyor bottle bookshelf armchair nightstand toothbrush
"""
NOUNS = NOUN_TEXT.split()
SUFFIX_TEXT = "s t re ve m ll d x sam lla r v l em"
TEMPLATES = [
    "{}",
    "a {}",
    "the red {}",
    "A photo of a {}.",
    "two {}s",
    "{} on the left",
    "every {} that is not blue",
    "{}, {}",
    "person holding a {}",
    "THE BIG {}!!!",
    "child's {}",
    "{}-like object (small)",
]
SPACES = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
EMOJI = [
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f469\U0001f3fd\u200d\U0001f680", "\U0001f1e9\U0001f1ea", "\U0001f1fa\U0001f1f8",
    "\u2764\ufe0f", "\u2764\ufe0f\u200d\U0001f525", "1\ufe0f\u20e3", "#\ufe0f\u20e3",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\u2603",
    "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f44d\U0001f3ff", "\u231a",
    "\U0001f9d1\u200d\U0001f4bb",
]  # fmt: skip
NORMALIZATION = [
    "e\u0301", "\u00e9", "caf\u0065\u0301", "a\u0323\u0307", "a\u0307\u0323", "\u1e9b\u0323",
    "q\u0307\u0323", "\u212b", "\u212a", "\u2126", "\u0958", "\u0915\u093c", "\u0344", "\u1fee",
    "\u1100\u1161\u11a8", "\uac00\u11a8", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u11a8\u1100",
    "\ud55c\uad6d\uc5b4", "\u2adc", "\ufb1d", "\ufb01", "\u00bd", "\u2460", "\uff21\uff22",
    "o\u0302\u0301", "\u1ed1", "\u0301", "\u0301a", "a\u0301\u0301\u0301", "\U0001d15e",
    "\U0001109a", "\u1b05\u1b35", "\u0cc6\u0cc2\u0cd5", "\uf900", "\ufa0e", "A\u030a", "\u01d5",
    "u\u0308\u0304", "\u0130", "I\u0307", "i\u0307", "\u0049\u0307\u0323",
]  # fmt: skip
CASES = [
    "\u0130stanbul", "D\u0130YARBAKIR", "\u0131\u015f\u0131k", "I\u0130\u0131i", "Stra\u00dfe",
    "STRASSE", "\u1e9e", "GRO\u1e9eE", "\u03a3", "\u039f\u0394\u039f\u03a3",
    "\u03a3\u039f\u03a6\u039f\u03a3 \u039f\u0394\u039f\u03a3",
    "\u03c3\u03c2", "A\u03a3", "\u03a3.", "\u01c4 \u01c5 \u01c6", "\u01c8ub", "\u1f88\u1fbc",
    "\u13a0\u13f5\uab70", "\u1c90\u10d0", "\u2160\u2171", "\u24b6\u24d0", "\uff28\uff25\uff2c",
    "\u0410\u0411\u0412 \u0430\u0431\u0432", "\u0531\u0587", "\u1e60", "\U00010400\U00010428",
    "\U0001d400", "\u2c00\u2c30", "\ua77d\ua7ae", "\u023a\u2c65", "\u03f4\u1e9e", "\u00c0\u00c9",
]  # fmt: skip
NUMBERS = [
    "0123456789", "2nd", "3.14", "1,000,000", "1/2", "x2", "2x4x8", "\u0663\u0664\u0665",
    "\u096a\u096b", "\u00b2\u00b3", "\u00bc\u00bd", "\u2167", "\u2460\u2461", "\u3007\u4e00",
    "\U0001d7d8\U0001d7ff", "\u0e51\u0e52", "\uff11\uff12", "\u3220", "\u0bf0", "\u137c", "\u2189",
    "\U00010107", "-273.15\u00b0C", "1e-9", "0x7F", "12:30pm", "5\u00d77", "\u2077\u2084",
]  # fmt: skip
ENTITIES = [
    "&amp;", "&amp;amp;", "&lt;b&gt;", "&#39;s", "&nbsp;", "R&amp;D", "&quot;cat&quot;", "&eacute;",
    "&#x1F600;", "<br/>", "<b>dog</b>", "&copy 2025", "&;", "&&", "a&b",
]  # fmt: skip
MARK_TEXTS = [
    "<|startoftext|>", "<|endoftext|>", "<|StartOfText|>", "<|ENDOFTEXT|>", "<|ENDOFTEXT|>!!",
    "<|endoftext|>!!", "a<|endoftext|>b", "a <|startoftext|> b", "<|endoftext|><|endoftext|>",
    "<|startoftext|", "|endoftext|>", "<|endoftext|>>", "<<|endoftext|>", "<|endo ftext|>",
    "<|start<|endoftext|>oftext|>", "  <|endoftext|>  ", "!<|EndOfText|>?", "<|pad|>", "<|",
    "x<|EndOfText|>y", "<|\u212aendoftext|>", "caf<|endoftext|>\u0301", "<|endoftext|>'s",
    "'s<|STARTOFTEXT|>'s", "<|STARTOFTEXT|><|ENDOFTEXT|>", "</w>", "cat</w>", "\u0120cat",
]  # fmt: skip


def contraction_strings():
    result = []
    for suffix in ["", *SUFFIX_TEXT.split()]:
        for apostrophe in ["'", "\u2019", "''", "`"]:
            for word in ["it", "DON", "", "!", "7", "\u00e9"]:
                result.append(word + apostrophe + suffix)
                result.append((word + apostrophe + suffix).upper())
    return result


def block_strings(rng):
    """Runs of assigned characters from blocks of 128 all over the code space."""
    starts = [*range(0x0, 0x3400, 128), *range(0x4E00, 0x9F00, 0x1500), *range(0xA000, 0xAC00, 128)]
    starts += [*range(0xAC00, 0xD780, 0x1000), *range(0xF900, 0xFFFF, 128)]
    starts += [*range(0x10000, 0x13000, 128), *range(0x16800, 0x17000, 256), 0x1B000, 0x1B100]
    starts += [*range(0x1D000, 0x1D800, 128), *range(0x1E000, 0x1FB00, 128), 0x20000, 0x2A700]
    starts += [0x30000, 0xE0000, 0xE0100, 0xF0000, 0x10FF80]
    result = []
    for start in starts:
        # Surrogates are no characters; what is unassigned here may be a letter elsewhere.
        pool = [
            chr(c)
            for c in range(start, start + 128)
            if unicodedata.category(chr(c)) not in ("Cs", "Cn")
        ]
        for length in (1, 3, 7):
            if pool:
                result.append("".join(rng.choice(pool) for _ in range(length)))
    return result


def mixed_strings(rng, count):
    pool = [*NOUNS, *EMOJI, *NORMALIZATION, *CASES, *NUMBERS, *ENTITIES, *SPACES, *MARK_TEXTS]
    pool += [" "] * 60 + list("'\"!?.,;:-_()[]{}#@%*/\\|<>~^=+$") * 2 + ["'s", "'LL", "n't"] * 4
    return ["".join(rng.choice(pool) for _ in range(rng.randint(2, 9))) for _ in range(count)]


def all_strings():
    rng = random.Random(3)
    strings = ["", " ", "   ", "\n", "!", "!!", "a", "A"]
    strings += [t.format(n, rng.choice(NOUNS)) for n in NOUNS for t in TEMPLATES]
    strings += contraction_strings()
    for group in (EMOJI, NORMALIZATION, CASES, NUMBERS, ENTITIES, MARK_TEXTS):
        strings += group
        strings += [f"the {text} cat" for text in group]
        strings += [f"{text}{text}" for text in group]
    strings += [f"a{space}b" for space in SPACES] + [f"{space}{space}a {space}" for space in SPACES]
    strings += [chr(c) for c in range(0x21)] + [f"x{chr(c)}y" for c in range(0x7F, 0xA1)]
    strings += ["cat " * 400, "z" * 1500, "supercalifragilistic" * 30, "ab" * 300, "\u00e9" * 200]
    strings += ["".join(rng.choice("ACGT") for _ in range(600)), "\U0001f600" * 64, "7" * 99]
    strings += block_strings(rng)
    strings += mixed_strings(rng, 700)
    return list(dict.fromkeys(strings))


def byte_symbols():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def make_vocabulary(merges):
    symbols = byte_symbols()
    tokens = symbols + [s + "</w>" for s in symbols] + [a + b for a, b in merges] + MARKS
    assert len(tokens) == len(set(tokens))
    return {token: i for i, token in enumerate(tokens)}


def make_tokenizer(merges):
    return CLIPTokenizerFast(make_vocabulary(merges), list(merges), model_max_length=32)


def reduce_merges(merges, used_tokens, rng):
    """The merges that make `used_tokens`, 300 others, and the merges their parts need."""
    made_by = {a + b: (a, b) for a, b in merges}
    wanted = [t for t in used_tokens if t in made_by] + rng.sample(sorted(made_by), 300)
    kept = set()
    while wanted:
        token = wanted.pop()
        if token in made_by and token not in kept:
            kept.add(token)
            wanted += made_by[token]
    return [(a, b) for a, b in merges if a + b in kept]


def main():
    lines = gzip.decompress(Path(sys.argv[1]).read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    full = make_tokenizer(merges)
    strings = all_strings()
    expected = [full.tokenize(text) for text in strings]
    kept = reduce_merges(merges, {t for tokens in expected for t in tokens}, random.Random(4))
    reduced = make_tokenizer(kept)
    cases = []
    for text, tokens in zip(strings, expected, strict=True):
        assert reduced.tokenize(text) == tokens, text
        padded = reduced(text, padding="max_length", truncation=True, max_length=32)
        plain = reduced(text, add_special_tokens=False)["input_ids"]
        assert padded["input_ids"][1:31] == (plain + [reduced.eos_token_id] * 30)[:30]
        cases.append([text, plain])

    OUT.mkdir(parents=True, exist_ok=True)
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    header = json.dumps({"made_by": "tools/reference/tokenizer_goldens.py", "versions": versions})
    body = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (OUT / "goldens.json").write_text(header[:-1] + ',\n"cases": [\n' + body + "\n]}\n")
    saved = json.loads(reduced.backend_tokenizer.to_str())
    saved["model"]["vocab"] = dict(sorted(saved["model"]["vocab"].items(), key=lambda e: e[1]))
    (OUT / "tokenizer.json").write_text(json.dumps(saved, separators=(",", ":")) + "\n")
    merges_text = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in kept)
    (OUT / "merges.txt").write_text(merges_text)
    (OUT / "vocab.json").write_text(json.dumps(saved["model"]["vocab"], separators=(",", ":")))
    print(f"{len(cases)} strings, {len(kept)} merges")


if __name__ == "__main__":
    main()

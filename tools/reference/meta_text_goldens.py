"""Makes tests/data/text/meta: what Meta's tokenizer makes of texts, cleaning and token ids.

Usage: python tools/reference/meta_text_goldens.py

Needs sam3 0.1.4, ftfy 6.3.1 and regex. Reads tests/data/text/merges.txt, so tokenizer_goldens.py
comes first. Writes the merges as the gzip file that Meta's class reads, and goldens.json: lists of
text, cleaned text (null: as it is) and ids without marks.
"""

import gzip
import html.entities
import importlib.util
import json
import random
import sys
import types
import unicodedata
from importlib.metadata import distribution, version
from pathlib import Path

import ftfy.badness
import ftfy.chardata
import tokenizer_goldens

OUT = tokenizer_goldens.OUT / "meta"
MERGES = OUT / "bpe_simple_vocab_16e6.txt.gz"
PAGES = ftfy.chardata.CHARMAP_ENCODINGS

TYPED = [
    "the red \u2019circle\u2019", "\u201cdog\u201d", "\u2018cat\u2019", "a dog\u2019s bowl",
    "\uff32\uff25\uff24 circle", "\uff35\uff80\uff70\uff9d", "\uff76\uff9e\uff97\uff7d",
    "\uff8a\uff9f\uff9d", "\uffa1\uffa2\uffe8", "red\u3000circle", "\ufb01re truck",
    "\ufb02ower", "o\ufb03ce \ufb04oor", "\ufb05eam \ufb06one",
    "\u0149 \u01c4 \u01c5 \u01c6 \u0133s \u01f1", "caf\xe9", "cafe\u0301",
    "A\u030angstro\u0308m", "na\xefve fa\xe7ade", "\xbfQu\xe9?", "10 \u20ac", "\xa35",
    "\xbd cup", "red \u2013 blue \u2014 green", "wait\u2026", "3\xd74", "20\xb0C", "\u2116 5",
    "\u2122\xae\xa9", "a\xa0b", "a\xadb", "\u200bred\u200b circle", "\ufeffdog", "dog\ufeff",
    "zero\u200cwidth\u200djoiner", "a\u2060b",
    "\u202b\u05db\u05dc\u05d1 \u05d0\u05d3\u05d5\u05dd\u202c",
    "\u0643\u0644\u0628 \u0623\u062d\u0645\u0631", "\u200f\u05e9\u05dc\u05d5\u05dd\u200e",
    "\u2067cat\u2069", "\u0e44\u0e01\u0e48 \u0e41\u0e14\u0e07",
    "\u0939\u093f\u0928\u094d\u0926\u0940", "\ud55c\uad6d\uc5b4",
    "\u65e5\u672c\u8a9e \u306e \u72ac", "\u039f\u0394\u039f\u03a3", "\u03a3",
    "\u03a3\u0391\u03a3 \u03a3\u0391\u03a3.", "\u0391\u03a3'", "\u0391\u03a3\u2019\u0391",
    "\u0130stanbul", "ISPARTA I", "\u1e9e", "\u01c5", "it'\u017f", "it's", "'\u017f 'S",
    "<start_of_text>", "<end_of_text>", "<START_OF_TEXT>dog<End_Of_Text>",
    "<\u017ftart_of_text>", "<|startoftext|>", "<|endoftext|> cat", "<start_of_text", "cat</w>",
    "a<end_of_text>b", "\x1b[31mred\x1b[0m circle", "\x1b[1;31m", "\x1b[m x", "\x1b[\u0663m x",
    "\x1b[3", "\x1b x", "a\x00b", "tab\tline\r\nnext\rlast", "a\x0bb\x0cc", "a\u2028b\u2029c",
    "a\x85b", "\x7f\x01dog\x1f", "\u206adog\u206f", "\ufff9x\ufffa\ufffb\ufffc", "\ufffd",
    "x\ufffd\ufffdy", "\U000e0041", "\U0001d173", "\U0001f415",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\u2764\ufe0f\u200d\U0001f525 heart", "\U0001f1e9\U0001f1ea flag", "1\ufe0f\u20e3", "R&D",
    "AT&T", "this&not that", "a & b", "&", "&&amp;", "\xaf\\_(\u30c4)_/\xaf",
    "(\u256f\xb0\u25a1\xb0)\u256f\ufe35 \u253b\u2501\u253b",
    "( \u0361\xb0 \u035c\u0296 \u0361\xb0)", "(\u0ca0_\u0ca0)",
    "\u30fd\u0f3c\u0e88\u0644\u035c\u0e88\u0f3d\uff89", "\xd2_\xd3", "\xdc", "\xc5\xc4\xd6",
    "\xc1 noite", "\xe0 la carte", "\xd8 5 mm", "S\xe3o Paulo", "voil\xe0", "Gr\xf6\xdfe",
    "\u0153uvre", "\u0152", "\u0153", "s\u0153ur", "\xd0 \xf0 \xde \xfe",
    "l\u2019\xe9t\xe9 \u2013 \xab\xa0rouge\xa0\xbb",
    "\uff8c\uff9e\uff99\uff70 \uff84\uff97\uff6f\uff78", "\u2460\u2461\u2462",
    "\uff21\uff22\uff23\uff11\uff12\uff13\uff01\uff1f", "\uff5e\uff02\uff07", "a \uff06amp; b",
    "\uff06\uff41\uff4d\uff50\uff1b",
]  # fmt: skip
REFERENCES = [
    "&amp;", "&amp;amp;", "&amp;amp;amp;amp;lt;", "&lt;b&gt;", "<b>&amp;</b>", "<&amp;amp;lt;",
    "&#39;s", "&#x27;", "&#X27;", "&#39", "&#39x", "&nbsp;dog&nbsp;", "&nbsp",
    "&quot;cat&quot;", "&copy 2025", "&eacute;", "&EACUTE;", "P&EACUTE;REZ", "&nTILDE;",
    "&notit;", "<&notit;", "<&notin;", "<&not it", "&#0;", "&#1;", "&#13;x", "&#128;", "&#129;",
    "&#x9f;", "&#xd83d;&#xdc15;", "&#x1f415;", "&#x110000;", "&#99999999999999999999;",
    "&#xfdd0;", "&#xffff;", "&#59;", "&#x3b", "&#38;amp;", "&;", "&#;", "&#x;", "&#xg;",
    "&#1a;", "&unknown;", "<&unknown;x", "&ampamp;", "<&ampamp;", "<&amp;#60;", "&Jscr;ohn",
    "&CounterClockwiseContourIntegral;", "<&CounterClockwiseContourIntegral;", "&fflig;",
    "&bne;", "&acE;", "&BSOL;", "&SZLIG;", "&AMP;", "&GT", "&lt", "a &lt; b\n&lt;",
    "<\n&amp;eacute;", "&eacute\u0301;", "&hearts;&HEARTS;", "&aacute&AACUTE", "&\xe9acute;",
    "<&amp\xe9;", "&#\u0663;", "&#1\u0663;", "&amp;eacute;&amp;amp;eacute;", "&lsquo;x&rsquo;",
    "&ldquo;x&rdquo;", "&#8217;", "&#146;", "&zwj;", "<&lsquo;x&rsquo;", "<&Sigma;&#931;",
    "<a&#133;b", "&#8232;x", "<&#8232;x", "<&#xFF21;", "&#xFF21;",
]  # fmt: skip
SENTENCES = [
    "caf\xe9", "\xdcn\xefc\xf6d\xe9", "\u201cquoted\u201d \u2013 it\u2019s",
    "na\xefve fa\xe7ade", "Gr\xf6\xdfe", "voil\xe0 le travail", "\xe0 la carte",
    "\u0160\xe1rka \u010dte", "\u017c\xf3\u0142w", "\u0142\xf3d\u017a",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
    "\u0441\u043e\u0431\u0430\u043a\u0430", "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac",
    "\u03c3\u03ba\u03cd\u03bb\u03bf\u03c2", "\u0130stanbul a\u011fa\xe7", "\u0131\u015f\u0131k",
    "\u0105\u017euolas", "10 \u20ac \u2026 \u2122", "\u65e5\u672c\u8a9e",
    "\u72ac \u304c \u8d70\u308b", "\ud55c\uad6d\uc5b4",
    "\u0643\u0644\u0628 \u0623\u062d\u0645\u0631", "\u05e9\u05dc\u05d5\u05dd",
    "\u0939\u093f\u0928\u094d\u0926\u0940", "\U0001f415 dog", "\u2764\ufe0f", "\xbd cup",
    "\xe0", "\xe0s vezes", "\xc0quele", "\xc6on", "no\xa0break", "\xd3", "S\xe3o",
    "\xc0\xc9\xce\xd5\xdc", "fi\u0301n", "\u2022 item", "\u2714 done", "\U00010348",
]  # fmt: skip

SPACED = [
    "\xc3\xa0 la",
    "\xc3 quele",
    "f\xc3 cil",
    "\xc3 la mode",
    "\xc3 s vezes",
    "\xc2 \xc2",
    "x \xc3",
    "\xc2",
    "caf\xc3\x80\xc0\x80",
]
NEIGHBOURS = [
    "azAZ .,?!9\x1a",
    "\xc2\xc3\xce\xd0\xd8\xd9\u0412\u0413\u0420\u0421\u0392\u0393"
    "\u039e\u039f\xe2\xe5\xe0\u221a\u2248\u03b2\u20ac\u0101\xd7\u0153"
    "\u0160\u0178",
    "\xec\xee\xef\xf2\xf4\xfa\xf9\xfb\xf3\xb0\xa2\u03c0"
    "\xb1\u2202\u2020\u2260\xae\u2122\xb4\u2264\u2265\xa5\xb5\xf8"
    "\xea\xe4\u0432\u0402\u0413\u045e\u0412\u0402\u0412\xb2\xb3\xb9"
    "\xbc\xbd\xbe",
]


def load_tokenizer():
    """Meta's class. Its module imports torch and iopath for what is not used here."""
    for name in ("torch", "iopath", "iopath.common", "iopath.common.file_io"):
        module = sys.modules.setdefault(name, types.ModuleType(name))
        module.LongTensor = None
        module.g_pathmgr = types.SimpleNamespace(open=lambda path, mode: Path(path).open(mode))
    path = distribution("sam3").locate_file("sam3/model/tokenizer_ve.py")
    spec = importlib.util.spec_from_file_location("tokenizer_ve", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer(str(MERGES))


def joined(items, count):
    return ["|".join(items[i : i + count]) for i in range(0, len(items), count)]


def entity_strings():
    names = sorted(html.entities.html5)
    capitals = sorted({name.upper() for name in names if name.islower()})
    closed = [name for name in names if name.endswith(";")]
    strings = joined([f"&{name}" for name in closed], 12) + joined([f"&{n}" for n in capitals], 12)
    return strings + joined([f"<&{name} " for name in names], 16)


def garble(text, page):
    return text.encode().decode(page, errors="replace")


def mojibake_strings(rng):
    result = []
    for text in SENTENCES:
        for page in PAGES:
            once = garble(text, page)
            result += [once, f"the {once} cat", once.replace("\xa0", " ")]
            result.append(once.replace(rng.choice(once), rng.choice("\ufffd?"), 1))
        result.append(garble(garble(text, "sloppy-windows-1252"), "sloppy-windows-1252"))
        result.append(garble(garble(text, "latin-1"), "sloppy-windows-1252"))
        result.append(garble(text, "latin-1") + " " + rng.choice(SENTENCES))
        result.append(text.encode().decode("cp1252", errors="replace"))
        pairs = "".join(
            c
            if ord(c) < 0x10000
            else chr(0xD800 + ((ord(c) - 0x10000) >> 10)) + chr(0xDC00 + (ord(c) & 0x3FF))
            for c in text
        )
        result.append(pairs.encode("utf-8", "surrogatepass").decode("latin-1"))
    return result + SPACED


def neighbour_strings(rng, count):
    """Characters that ftfy has rules about, beside each other in all ways."""
    groups = []
    for ranges in ftfy.badness.MOJIBAKE_CATEGORIES.values():
        characters, previous = [], None
        rest = iter(ranges)
        for c in rest:
            if c == "-" and previous:
                c = next(rest)
                characters += map(chr, range(ord(previous) + 1, ord(c) + 1))
            else:
                characters.append(c)
            previous = c
        groups.append(characters)
    groups += map(list, NEIGHBOURS)
    result = []
    for _ in range(count):
        length = rng.choice((2, 2, 3, 3, 4, 5, 8))
        result.append("".join(rng.choice(rng.choice(groups)) for _ in range(length)))
    return result


def mixed_strings(rng, count):
    pool = TYPED + REFERENCES + [garble(text, "sloppy-windows-1252") for text in SENTENCES]
    pool += [" ", "\n", "<", "&", ";", "dog", "red circle", "'s", "\u0301"] * 8
    return ["".join(rng.choice(pool) for _ in range(rng.randint(2, 5))) for _ in range(count)]


def all_strings():
    rng = random.Random(5)
    strings = [t for t in tokenizer_goldens.all_strings() if len(t) < 300][::4]
    for group in (TYPED, REFERENCES):
        strings += group + [f"a {text} dog" for text in group] + [f"{text}{text}" for text in group]
    strings += entity_strings() + mojibake_strings(rng) + neighbour_strings(rng, 1500)
    strings += mixed_strings(rng, 700)
    strings += [chr(c) for c in range(1, 0x180)] + [f"x{chr(c)}y" for c in range(0xFF00, 0xFFF0)]
    strings += [
        "\u00c3\u00a9" * 60,
        "&amp;" * 60,
        "&" + "amp;" * 60,
        "\u00c3\u0192\u00c2\u00a9" * 20,
        " ".join(["dog"] * 60),
    ]
    return [
        text
        for text in dict.fromkeys(strings)
        if not any(unicodedata.category(c) in ("Cs", "Cn") for c in text)
    ]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    merges = (tokenizer_goldens.OUT / "merges.txt").read_text(encoding="utf-8").rstrip("\n")
    # Meta's class takes an empty last line for a merge.
    text = merges.replace("#version: 0.2", '"bpe_simple_vocab_16e6.txt#version: 0.2', 1)
    MERGES.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    tokenizer = load_tokenizer()
    cases = []
    for text in all_strings():
        cleaned = tokenizer.clean_fn(text)
        ids = tokenizer.encode(text)
        cases.append([text, None if cleaned == text else cleaned, ids])
    versions = {name: version(name) for name in ("sam3", "ftfy", "regex")}
    head = {"made_by": "tools/reference/meta_text_goldens.py", "versions": versions}
    head |= {"marks": [tokenizer.sot_token_id, tokenizer.eot_token_id]}
    head = json.dumps(head)
    body = ",\n".join(json.dumps(case, separators=(",", ":"), ensure_ascii=False) for case in cases)
    (OUT / "goldens.json").write_text(head[:-1] + ',\n"cases": [\n' + body + "\n]}\n", "utf-8")
    print(f"{len(cases)} strings, {sum(case[1] is not None for case in cases)} of them changed")


if __name__ == "__main__":
    main()

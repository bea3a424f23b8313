"""Makes the tables that src/text needs to clean texts as Meta's tokenizer does.

Usage: python tools/reference/text_tables.py

Writes src/text/html_entity_table.cpp (Python's html.entities, and the names that ftfy adds to it)
and src/text/mojibake_tables.cpp (the code pages that ftfy tries, and which neighbouring characters
it takes for text that was decoded with the wrong one). Needs ftfy.
"""

import html
import html.entities
import itertools
import re
from importlib.metadata import version
from pathlib import Path

from ftfy import badness, chardata, fixes

TEXT = Path(__file__).resolve().parents[2] / "src" / "text"
LAST = 0x10FFFF
ANY, WORD, SPACE = "any", "word", "space"
PARSER = re._parser
CODE_PAGES = chardata.CHARMAP_ENCODINGS


def header(what):
    return (
        f"// {what}\n"
        f"// Made by tools/reference/text_tables.py (ftfy {version('ftfy')}); not edited.\n\n"
    )


def wrapped(items, width=100, indent="    "):
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) > width:
            lines.append(line.rstrip())
            line = indent
        line += item + " "
    return "\n".join([*lines, line.rstrip()])


def entity(name, value):
    return name + "=" + ",".join(f"{ord(c):X}" for c in value)


def write_entities():
    plain = html.entities.html5
    added = {
        name[1:]: value for name, value in chardata.HTML_ENTITIES.items() if name[1:] not in plain
    }
    assert all(plain[n[1:]] == v for n, v in chardata.HTML_ENTITIES.items() if n[1:] in plain)
    text = header("Named character references of HTML 5, and in capitals what ftfy reads too.")
    text += '#include "text/html_entities.hpp"\n\nnamespace sam3trt::text_tables {\n\n'
    for name, table in (("kHtmlEntities", plain), ("kCapitalEntities", added)):
        items = [entity(*item) for item in sorted(table.items())]
        text += f'const std::string_view {name} = R"(\n{wrapped(items, indent="")}\n)";\n\n'
    (TEXT / "html_entity_table.cpp").write_text(text + "}  // namespace sam3trt::text_tables\n")
    print(f"{len(plain)} entities, {len(added)} in capitals")


def ranges_of(codes):
    codes = sorted(codes)
    ranges = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return tuple(map(tuple, ranges))


def complement(ranges):
    result, start = [], 0
    for first, last in ranges:
        if first > start:
            result.append((start, first - 1))
        start = last + 1
    return tuple([*result, (start, LAST)])


def set_of(items):
    """A set of ranges for what stands between brackets."""
    negated = items[0][0] is PARSER.NEGATE
    codes = set()
    for kind, value in items[negated:]:
        if kind is PARSER.LITERAL:
            codes.add(value)
        elif kind is PARSER.RANGE:
            codes.update(range(value[0], value[1] + 1))
        else:
            assert kind is PARSER.CATEGORY and len(items) == 1, (kind, value)
            return {PARSER.CATEGORY_WORD: WORD, PARSER.CATEGORY_SPACE: SPACE}[value]
    return complement(ranges_of(codes)) if negated else ranges_of(codes)


def sequences(tree):
    """All sequences of sets that an expression matches, in the order in which it tries them."""
    parts = []
    for kind, value in tree:
        if kind is PARSER.LITERAL:
            parts.append([[((value, value),)]])
        elif kind is PARSER.NOT_LITERAL:
            parts.append([[complement(((value, value),))]])
        elif kind is PARSER.IN:
            parts.append([[set_of(value)]])
        elif kind is PARSER.ANY:
            parts.append([[ANY]])
        elif kind is PARSER.AT:
            assert value is PARSER.AT_BEGINNING
            parts.append([["start"]])
        elif kind is PARSER.BRANCH:
            parts.append([s for branch in value[1] for s in sequences(branch)])
        else:
            assert kind is PARSER.MAX_REPEAT and tuple(value[:2]) == (0, 1), (kind, value)
            parts.append([*sequences(value[2]), []])
    return [sum(choice, []) for choice in itertools.product(*parts)]


class Tables:
    def __init__(self):
        self.sets = {ANY: 0, WORD: 1, SPACE: 2}

    def number(self, characters):
        return self.sets.setdefault(characters, len(self.sets))

    def rules(self, name, tree):
        rows = []
        for sequence in sequences(tree):
            at_start = sequence[0] == "start"
            sets = [self.number(s) for s in sequence[at_start:]]
            assert 0 < len(sets) <= 7
            rows.append(
                f"{{{len(sets)}, {str(at_start).lower()}, {{{', '.join(map(str, sets))}}}}},"
            )
        return (
            f"constexpr MojibakeRule {name}Rules[] = {{\n{wrapped(rows)}\n}};\n"
            f"const std::span<const MojibakeRule> {name} = {name}Rules;\n\n"
        )

    def range_tables(self):
        ranges, starts = [], [0]
        for characters in self.sets:
            if not isinstance(characters, str):
                ranges += characters
            starts.append(len(ranges))
        rows = [f"{{0x{first:X}, 0x{last:X}}}," for first, last in ranges]
        return (
            f"constexpr CharRange kRanges[] = {{\n{wrapped(rows)}\n}};\n"
            f"constexpr uint16_t kStarts[] = {{\n{wrapped([f'{s},' for s in starts])}\n}};\n"
            "const std::span<const CharRange> kCharRanges = kRanges;\n"
            "const std::span<const uint16_t> kCharSetStarts = kStarts;\n\n"
        )


def code_pages():
    text = "constexpr CodePage kPages[] = {\n"
    for name in CODE_PAGES:
        upper = bytes(range(0x80, 0x100)).decode(name)
        assert len(set(upper)) == 128
        sloppy = b"\x1a".decode(name) == "\ufffd"
        assert sloppy == name.startswith("sloppy")
        assert bytes(c for c in range(128) if c != 0x1A).decode(name).isascii()
        rows = wrapped([f"0x{ord(c):X}," for c in upper], indent="      ")
        text += f'    {{"{name.removeprefix("sloppy-")}",\n     {str(sloppy).lower()},\n'
        text += f"     {{{rows.strip().rstrip(',')}}}}},\n"
    return text + "};\nconst std::span<const CodePage> kCodePages = kPages;\n\n"


def characters(tables, name, pattern):
    return f"const uint8_t {name} = {tables.number(set_of(pattern))};\n"


def one_to_many(name, table):
    rows = []
    for code, text in sorted(table.items()):
        escaped = "".join(f"\\U{ord(c):08X}" if ord(c) >= 0xA0 else c for c in text)
        escaped = escaped.replace('"', '\\"') if text != "\\" else "\\\\"
        rows.append(f'{{0x{code:X}, U"{escaped}"}},')
    return (
        f"constexpr Replacement {name}Table[] = {{\n{wrapped(rows)}\n}};\n"
        f"const std::span<const Replacement> {name} = {name}Table;\n\n"
    )


def write_mojibake():
    tables = Tables()
    parse = PARSER.parse
    body = tables.rules(
        "kBadNeighbours", parse(badness.BADNESS_RE.pattern, badness.BADNESS_RE.flags)
    )
    body += tables.rules("kSpacedUtf8", parse(chardata.ALTERED_UTF8_RE.pattern.decode("latin-1")))
    body += tables.rules("kLossyUtf8", parse(chardata.LOSSY_UTF8_RE.pattern.decode("latin-1")))
    for name, key in (
        ("kFirstOf2", "utf8_first_of_2"),
        ("kFirstOf3", "utf8_first_of_3"),
        ("kFirstOf4", "utf8_first_of_4"),
        ("kContinuation", "utf8_continuation"),
        ("kStrictContinuation", "utf8_continuation_strict"),
    ):
        (group,) = parse(f"[{chardata.UTF8_CLUES[key]}]")
        body += characters(tables, name, group[1])
    controls = [(PARSER.LITERAL, c) for c in chardata.CONTROL_CHARS]
    body += characters(tables, "kRemovedControls", controls)
    body += "\n" + code_pages()
    body += one_to_many("kLigatures", chardata.LIGATURES)
    body += one_to_many("kWidths", chardata.WIDTH_MAP)
    assert len(tables.sets) < 256
    assert fixes.SINGLE_QUOTE_RE.pattern == "[\u02bc\u2018-\u201b]"
    assert fixes.DOUBLE_QUOTE_RE.pattern == "[\u201c-\u201f]"
    text = header("Code pages, and characters that stand beside each other in badly decoded text.")
    text += '#include "text/mojibake_tables.hpp"\n\nnamespace sam3trt::text_tables {\n\n'
    text += "// clang-format off\n" + body + tables.range_tables() + "// clang-format on\n\n"
    (TEXT / "mojibake_tables.cpp").write_text(text + "}  // namespace sam3trt::text_tables\n")
    print(f"{len(tables.sets)} sets of characters")


if __name__ == "__main__":
    write_entities()
    write_mojibake()

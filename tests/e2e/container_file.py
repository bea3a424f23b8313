"""The container files of serving/container, as instructions."""

import goldens


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, its text), lines that go on joined."""
    text = (goldens.ROOT / "serving/container" / name).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def last(name: str, instruction: str) -> str:
    return [text for word, text in instructions(name) if word == instruction][-1]

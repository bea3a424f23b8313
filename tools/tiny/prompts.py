"""Prompts for synthetic scenes: texts, exemplar boxes, and the items each prompt means."""

from dataclasses import dataclass, field

import numpy as np
from scenes import Item, Scene
from shapes import COLORS, FILLS, PLURALS, SHAPES, SIZES

ATTRIBUTES = ("size", "fill", "color", "shape")
VALUES = {"size": SIZES, "fill": FILLS, "color": tuple(COLORS), "shape": tuple(SHAPES)}
# Which attributes a text names, and how often.
PATTERNS = (
    (("color", "shape"), 0.36),
    (("shape",), 0.15),
    (("color",), 0.09),
    (("size", "color", "shape"), 0.1),
    (("size", "shape"), 0.07),
    (("fill", "shape"), 0.09),
    (("fill", "color", "shape"), 0.06),
    (("size", "color"), 0.02),
    (("fill",), 0.02),
    (("size",), 0.02),
    (("fill", "color"), 0.02),
)
WEIGHTS = [weight for _, weight in PATTERNS]
UNRELATED = """dog cat car person tree house bird cup coffee rocket horse boat flower hexagon arrow
table chair banana apple face hand window shoe bottle""".split()


@dataclass
class Prompt:
    """text is "visual" where only boxes are given; boxes are pairs (item, label 1 or 0)."""

    text: str
    targets: list[int]
    boxes: list[tuple[int, int]] = field(default_factory=list)
    concept: dict[str, str] = field(default_factory=dict)


def matches(item: Item, concept: dict[str, str]) -> bool:
    return all(getattr(item, name) == value for name, value in concept.items())


def targets_of(scene: Scene, concept: dict[str, str]) -> list[int]:
    return [i for i, item in enumerate(scene.items) if matches(item, concept)]


def phrase(rng: np.random.Generator, concept: dict[str, str]) -> str:
    """The concept in words, at times in the plural or with an article."""
    plural = rng.random() < 0.3
    if "shape" in concept:
        noun = PLURALS[concept["shape"]] if plural else concept["shape"]
    else:
        noun = ("shape", "object")[rng.integers(2)] + ("s" if plural else "")
    words = [concept[name] for name in ATTRIBUTES[:3] if name in concept] + [noun]
    article = rng.random()
    if article < 0.08 and not plural:
        words.insert(0, "a")
    elif article < 0.16:
        words.insert(0, "the")
    return " ".join(words)


def sample_concept(rng: np.random.Generator, scene: Scene) -> dict[str, str]:
    """A concept that at least one item of the scene has."""
    item = scene.items[rng.integers(len(scene.items))]
    names = PATTERNS[rng.choice(len(PATTERNS), p=WEIGHTS)][0]
    return {name: getattr(item, name) for name in names}


def near_miss(rng: np.random.Generator, scene: Scene) -> dict[str, str] | None:
    """A concept that no item has, mostly one attribute away from an item's."""
    for _ in range(12):
        concept = sample_concept(rng, scene)
        names = list(concept)
        name = names[rng.integers(len(names))]
        values = VALUES[name]
        if rng.random() < 0.6:
            values = sorted({getattr(item, name) for item in scene.items})
        concept[name] = str(values[rng.integers(len(values))])
        if not targets_of(scene, concept):
            return concept
    return None


def present_text(rng, scene: Scene) -> Prompt:
    if rng.random() < 0.03:
        return Prompt(
            ("shape", "shapes", "object", "objects")[rng.integers(4)], list(range(len(scene.items)))
        )
    concept = sample_concept(rng, scene)
    return Prompt(phrase(rng, concept), targets_of(scene, concept), concept=concept)


def absent_text(rng, scene: Scene) -> Prompt:
    concept = None if rng.random() < 0.07 else near_miss(rng, scene)
    if concept is None:
        word = UNRELATED[rng.integers(len(UNRELATED))]
        color = list(COLORS)[rng.integers(len(COLORS))]
        return Prompt(word if rng.random() < 0.5 else f"{color} {word}", [])
    return Prompt(phrase(rng, concept), [], concept=concept)


def of_kind(scene: Scene, kind: tuple[str, str]) -> list[int]:
    return [i for i, item in enumerate(scene.items) if item.kind == kind]


def exemplar(rng, scene: Scene) -> Prompt:
    """Boxes alone: one or two of a kind (colour and shape); at times a negative beside them."""
    shown = int(rng.integers(len(scene.items)))
    if rng.random() < 0.6:  # kinds with several instances are the interesting ones
        several = [i for i, t in enumerate(scene.items) if len(of_kind(scene, t.kind)) > 1]
        shown = several[rng.integers(len(several))] if several else shown
    alike = of_kind(scene, scene.items[shown].kind)
    boxes = [(shown, 1)]
    if len(alike) > 2 and rng.random() < 0.2:
        boxes.append((next(i for i in alike if i != shown), 1))
    others = [i for i in range(len(scene.items)) if i not in alike]
    if others and rng.random() < 0.15:
        boxes.append((others[rng.integers(len(others))], 0))
    return Prompt("visual", alike, boxes)


def text_and_positive(rng, scene: Scene) -> Prompt:
    prompt = present_text(rng, scene)
    prompt.boxes = [(prompt.targets[rng.integers(len(prompt.targets))], 1)]
    return prompt


def text_and_negative(rng, scene: Scene) -> Prompt:
    """A text, less the kind that a negative box marks; mostly a kind that the text covers."""
    broad = [
        c
        for c in ({"shape": t.shape} for t in scene.items)
        if len({scene.items[i].kind for i in targets_of(scene, c)}) > 1
    ] + [
        c
        for c in ({"color": t.color} for t in scene.items)
        if len({scene.items[i].kind for i in targets_of(scene, c)}) > 1
    ]
    if broad and rng.random() < 0.8:
        concept = broad[rng.integers(len(broad))]
    else:
        concept = sample_concept(rng, scene)
    targets = targets_of(scene, concept)
    pool = targets if rng.random() < 0.8 else range(len(scene.items))
    marked = int(pool[rng.integers(len(pool))])
    removed = of_kind(scene, scene.items[marked].kind)
    rest = [i for i in targets if i not in removed]
    return Prompt(phrase(rng, concept), rest, [(marked, 0)], concept)


MAKERS = (
    *[present_text] * 3,
    *[absent_text] * 4,
    exemplar,
    exemplar,
    text_and_positive,
    text_and_negative,
    text_and_negative,
)


def training_prompts(rng: np.random.Generator, scene: Scene) -> list[Prompt]:
    """One prompt of every maker, in that order; the scene must have an item."""
    return [make(rng, scene) for make in MAKERS]

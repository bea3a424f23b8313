"""The held-out set: seeded scenes with text, exemplar and negative-box cases; numpy only.

Scenes come in groups that share a palette of colours and shapes and one list of texts, so that a
program can be run on many pictures at once; most texts are near misses in some of the pictures.
"""

from dataclasses import dataclass

import numpy as np
from prompts import PATTERNS, UNRELATED, WEIGHTS, of_kind, phrase, targets_of
from scenes import Scene, held_out_scene
from shapes import COLORS, FILLS, SHAPES, SIZES

GROUP = 10
TEXTS = 12


@dataclass
class Case:
    """One picture with one prompt. boxes: (item, label); shown: items excluded from the score."""

    scene: int
    role: str  # "text", "exemplar" or "negative"
    text: str
    targets: list[int]
    concept: dict[str, str]
    boxes: list[tuple[int, int]]
    removed: list[int]


@dataclass
class Suite:
    scenes: list[Scene]
    texts: list[list[str]]  # of each group
    cases: list[Case]


def group_texts(rng, palette) -> list[tuple[str, dict]]:
    """TEXTS different texts: ten of the palette, one of any colour and shape, one unrelated."""
    choices = dict(size=SIZES, fill=FILLS, color=palette[0], shape=palette[1])
    texts: dict[str, dict] = {}
    while len(texts) < TEXTS - 2:
        names = PATTERNS[rng.choice(len(PATTERNS), p=WEIGHTS)][0]
        concept = {name: str(choices[name][rng.integers(len(choices[name]))]) for name in names}
        if concept not in texts.values():
            texts[phrase(rng, concept)] = concept
    while len(texts) < TEXTS - 1:
        concept = {"color": str(rng.choice(list(COLORS))), "shape": str(rng.choice(list(SHAPES)))}
        if concept not in texts.values():
            texts[phrase(rng, concept)] = concept
    texts[UNRELATED[rng.integers(len(UNRELATED))]] = {"shape": "none of these"}
    return list(texts.items())


def exemplar_case(rng, index: int, scene: Scene) -> Case | None:
    several = [i for i, item in enumerate(scene.items) if len(of_kind(scene, item.kind)) > 1]
    if not several:
        return None
    shown = several[rng.integers(len(several))]
    alike = of_kind(scene, scene.items[shown].kind)
    return Case(index, "exemplar", "visual", alike, {}, [(shown, 1)], [])


def negative_case(rng, index: int, scene: Scene) -> Case | None:
    concepts = [{name: getattr(t, name)} for t in scene.items for name in ("shape", "color")]
    concepts = [c for c in concepts if len({scene.items[i].kind for i in targets_of(scene, c)}) > 1]
    if not concepts:
        return None
    concept = concepts[rng.integers(len(concepts))]
    covered = targets_of(scene, concept)
    marked = covered[rng.integers(len(covered))]
    removed = of_kind(scene, scene.items[marked].kind)
    rest = [i for i in covered if i not in removed]
    text = concept["shape"] if "shape" in concept else concept["color"] + " shape"
    return Case(index, "negative", text, rest, concept, [(marked, 0)], removed)


def build(seed: int, count: int) -> Suite:
    """`count` pictures (rounded up to whole groups) and all their cases."""
    suite = Suite([], [], [])
    for group in range((count + GROUP - 1) // GROUP):
        rng = np.random.default_rng([seed, group, 2])
        palette = (
            [str(c) for c in rng.choice(list(COLORS), 3, replace=False)],
            [str(s) for s in rng.choice(list(SHAPES), 3, replace=False)],
        )
        texts = group_texts(rng, palette)
        suite.texts.append([text for text, _ in texts])
        for _ in range(GROUP):
            index = len(suite.scenes)
            scene, _ = held_out_scene(seed, index, palette)
            suite.scenes.append(scene)
            suite.cases += [
                Case(index, "text", text, targets_of(scene, concept), concept, [], [])
                for text, concept in texts
            ]
            extra = (exemplar_case(rng, index, scene), negative_case(rng, index, scene))
            suite.cases += [case for case in extra if case]
    return suite


def pixel_box(scene: Scene, item: int) -> list[float]:
    height, width = scene.ids.shape
    return [float(v) for v in scene.box(item) * [width, height, width, height]]

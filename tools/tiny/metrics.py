"""Figures of the held-out set from detections; numpy only, except `coco_ap` (pycocotools).

A result is a dict with "presence" and "detections": a list of (score, mask), mask bool [H, W].
"""

import contextlib
import io

import numpy as np
from suite import Case, Suite

KEPT = 0.5  # a detection counts as an answer above this score
SAME = 0.5  # mask IoU from which a detection is taken for an item
IOU_STEPS = np.linspace(0.5, 0.95, 10)


def ious(masks: list[np.ndarray], ids: np.ndarray, count: int) -> np.ndarray:
    """IoU of every mask with every item's visible part: [masks, items]."""
    table = np.zeros((len(masks), count))
    areas = np.bincount(ids[ids >= 0], minlength=count)
    for row, mask in enumerate(masks):
        hit = ids[mask]
        shared = np.bincount(hit[hit >= 0], minlength=count)
        table[row] = shared / np.maximum(areas + mask.sum() - shared, 1)
    return table


def scored(case: Case, result: dict, table: np.ndarray) -> tuple[list[int], list[int]]:
    """Detections and items that count for AP: without the marked item of an exemplar case."""
    rows, items = list(range(len(table))), list(case.targets)
    if case.role == "exemplar":
        marked = case.boxes[0][0]
        items.remove(marked)
        if rows and table[:, marked].max() >= SAME:
            rows.remove(int(table[:, marked].argmax()))
    return rows, items


def quick_ap(cases: list[Case], results: list[dict], tables: list[np.ndarray]) -> tuple:
    """AP and AP50 as COCO defines them (greedy matching by score, 101 recall points)."""
    wanted, scores, hits = 0, [], []
    for case, result, table in zip(cases, results, tables):
        rows, items = scored(case, result, table)
        wanted += len(items)
        free = np.ones((len(IOU_STEPS), len(items)), bool)
        for row in sorted(rows, key=lambda r: -result["detections"][r][0]):
            hit = np.zeros(len(IOU_STEPS), bool)
            for step, limit in enumerate(IOU_STEPS):
                open_ious = np.where(free[step], table[row, items], 0) if items else np.zeros(1)
                best = int(open_ious.argmax())
                if open_ious[best] >= limit:
                    free[step, best], hit[step] = False, True
            scores.append(result["detections"][row][0])
            hits.append(hit)
    if not scores or not wanted:
        return 0.0, 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits)[order], 0)
    recall = right / wanted
    precision = right / (np.arange(len(order)) + 1)[:, None]
    precision = np.maximum.accumulate(precision[::-1], 0)[::-1]
    points = np.linspace(0, 1, 101)
    values = []
    for step in range(len(IOU_STEPS)):
        at = np.searchsorted(recall[:, step], points)
        values.append(np.append(precision[:, step], 0)[at].mean())
    return float(np.mean(values)), float(values[0])


def coco_ap(suite: Suite, cases, results, tables) -> tuple[float, float]:
    """AP and AP50 by pycocotools; every case is an image of its own with one category."""
    from pycocotools import mask as rle
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images, truths, found = [], [], []
    for number, (case, result, table) in enumerate(zip(cases, results, tables), 1):
        scene = suite.scenes[case.scene]
        height, width = scene.ids.shape
        images.append({"id": number, "width": width, "height": height})
        rows, items = scored(case, result, table)

        def entry(mask: np.ndarray, number: int = number, **more) -> dict:
            code = rle.encode(np.asfortranarray(mask, np.uint8))
            area = float(mask.sum())
            shared = dict(image_id=number, category_id=1, segmentation=code, area=area, iscrowd=0)
            return shared | more

        for item in items:
            truths.append(entry(scene.mask(item), id=len(truths) + 1, bbox=[0, 0, 1, 1]))
        for row in rows:
            score, mask = result["detections"][row]
            found.append(entry(mask, score=float(score)))
    if not found or not truths:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(images=images, annotations=truths, categories=[{"id": 1}], info={})
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def answers(result: dict, table: np.ndarray) -> list[int]:
    """The item that every kept detection covers (or -1)."""
    found = []
    for (score, _), row in zip(result["detections"], table):
        if score > KEPT:
            best = int(row.argmax()) if len(row) else -1
            found.append(best if best >= 0 and row[best] >= SAME else -1)
    return found


def confusion(suite: Suite, cases, results, tables, name: str) -> float:
    """Share of the answers to texts naming `name` that lie on an item with another value of it."""
    wrong = total = 0
    for case, result, table in zip(cases, results, tables):
        if name in case.concept:
            for item in answers(result, table):
                if item >= 0:
                    total += 1
                    value = getattr(suite.scenes[case.scene].items[item], name)
                    wrong += value != case.concept[name]
    return wrong / max(total, 1)


def found_share(cases, results, tables, wanted: str) -> float:
    """Share of the items in the cases' `wanted` list ("targets" or "removed") that are answered."""
    hit = total = 0
    for case, result, table in zip(cases, results, tables):
        items = getattr(case, wanted)
        hit += len(set(items) & set(answers(result, table)))
        total += len(items)
    return hit / max(total, 1)


def false_share(cases, results, tables) -> float:
    """Share of the answers that lie on no target."""
    wrong = total = 0
    for case, result, table in zip(cases, results, tables):
        found = answers(result, table)
        wrong += sum(item not in case.targets for item in found)
        total += len(found)
    return wrong / max(total, 1)


def summarise(suite: Suite, results: list[dict], exact: bool) -> dict[str, float]:
    """All figures; `exact` takes pycocotools for the average precisions."""
    tables = [
        ious(
            [m for _, m in r["detections"]],
            suite.scenes[c.scene].ids,
            len(suite.scenes[c.scene].items),
        )
        for c, r in zip(suite.cases, results)
    ]

    def role(name: str) -> tuple[list, list, list]:
        at = [i for i, case in enumerate(suite.cases) if case.role == name]
        return tuple([source[i] for i in at] for source in (suite.cases, results, tables))

    def ap(part: tuple) -> tuple[float, float]:
        return coco_ap(suite, *part) if exact else quick_ap(*part)

    text, shown, negative = role("text"), role("exemplar"), role("negative")
    right = [(r["presence"] > 0.5) == bool(c.targets) for c, r in zip(*text[:2])]
    figures = dict(zip(("text_ap", "text_ap50"), ap(text)))
    figures["presence_accuracy"] = float(np.mean(right))
    figures["absent_share"] = float(np.mean([not c.targets for c in text[0]]))
    for name in ("color", "shape", "size", "fill"):
        figures[f"{name}_confusion"] = confusion(suite, *text, name)
    figures["text_recall"] = found_share(*text, "targets")
    figures["text_false"] = false_share(*text)
    figures |= dict(zip(("exemplar_ap", "exemplar_ap50"), ap(shown)))
    figures |= dict(zip(("negative_ap", "negative_ap50"), ap(negative)))
    figures["negative_removed"] = 1 - found_share(*negative, "removed")
    figures["negative_recall"] = found_share(*negative, "targets")
    counts = {"pictures": len(suite.scenes), "text_cases": len(text[0])}
    return figures | counts | {"exemplar_cases": len(shown[0]), "negative_cases": len(negative[0])}

"""Figures of tracking; numpy only. track_check.py compares them with vos-benchmark and trackeval.

J and F as DAVIS defines them: the mean IoU of an object's masks, and the F measure of their
outlines within 0.8 % of the diagonal. HOTA of Luiten et al. (IJCV 2021) over masks.
"""

from functools import cache

import numpy as np

ALPHAS = np.arange(0.05, 0.99, 0.05)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two bool masks; 1 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, below, or both; at the border from fewer."""
    edge = np.zeros_like(mask)
    edge[:-1, :-1] = (
        (mask[:-1, :-1] ^ mask[:-1, 1:])
        | (mask[:-1, :-1] ^ mask[1:, :-1])
        | (mask[:-1, :-1] ^ mask[1:, 1:])
    )
    edge[-1, :-1] = mask[-1, :-1] ^ mask[-1, 1:]
    edge[:-1, -1] = mask[:-1, -1] ^ mask[1:, -1]
    return edge


def widened(edge: np.ndarray, radius: int) -> np.ndarray:
    """Everything within `radius` pixels of an edge."""
    height, width = edge.shape
    padded = np.pad(edge, radius)
    out = np.zeros_like(edge)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                y, x = radius + dy, radius + dx
                out |= padded[y : y + height, x : x + width]
    return out


def outline_f(found: np.ndarray, truth: np.ndarray) -> float:
    radius = int(np.ceil(0.008 * np.hypot(*truth.shape)))
    a, b = outline(found), outline(truth)
    count_a, count_b = np.count_nonzero(a), np.count_nonzero(b)
    if not count_a and not count_b:
        return 1.0
    if not count_a or not count_b:
        return 0.0
    precision = np.count_nonzero(a & widened(b, radius)) / count_a
    recall = np.count_nonzero(b & widened(a, radius)) / count_b
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def j_and_f(found: list[np.ndarray], truth: list[np.ndarray]) -> tuple[float, float]:
    """Means over the frames of one object."""
    j = np.mean([iou(a, b) for a, b in zip(found, truth)])
    f = np.mean([outline_f(a, b) for a, b in zip(found, truth)])
    return float(j), float(f)


def best_pairs(scores: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows and columns with the largest sum of scores [R, C], C at most about 12."""
    rows, columns = scores.shape

    @cache
    def best(row: int, used: int) -> tuple[float, tuple]:
        if row == rows:
            return 0.0, ()
        result = best(row + 1, used)
        for column in range(columns):
            if not used >> column & 1 and scores[row, column] > 0:
                more, pairs = best(row + 1, used | 1 << column)
                if more + scores[row, column] > result[0]:
                    result = (more + scores[row, column], ((row, column), *pairs))
        return result

    return list(best(0, 0)[1])


def hota(frames: list[np.ndarray], truths: int, found: int, seen: list[tuple]) -> dict:
    """Sums that `combine_hota` puts together, for one sequence.

    frames: IoU [truths, found] of each frame; seen: which truths and which tracks are on it.
    """
    potential = np.zeros((truths, found))
    truth_count, found_count = np.zeros((truths, 1)), np.zeros((1, found))
    for table, (a, b) in zip(frames, seen):
        alone = table.sum(0)[None, :] + table.sum(1)[:, None] - table
        shared = np.divide(table, alone, out=np.zeros_like(table), where=alone > 0)
        potential += shared
        truth_count[a] += 1
        found_count[0, b] += 1
    alignment = potential / np.maximum(truth_count + found_count - potential, 1e-12)
    hit, matched = np.zeros(len(ALPHAS)), np.zeros((len(ALPHAS), truths, found))
    total_truth, total_found = truth_count.sum(), found_count.sum()
    for table in frames:
        for row, column in best_pairs(alignment * table):
            good = table[row, column] >= ALPHAS - np.finfo(float).eps
            hit += good
            matched[good, row, column] += 1
    union = np.maximum(truth_count + found_count - matched, 1)
    association = (matched * (matched / union)).sum((1, 2))
    return {"hit": hit, "truth": total_truth, "found": total_found, "association": association}


def combine_hota(parts: list[dict]) -> dict[str, float]:
    hit = sum(part["hit"] for part in parts)
    truth, found = (sum(part[name] for part in parts) for name in ("truth", "found"))
    association = sum(part["association"] for part in parts) / np.maximum(hit, 1)
    detection = hit / np.maximum(truth + found - hit, 1)
    return {
        "hota": float(np.sqrt(detection * association).mean()),
        "det_a": float(detection.mean()),
        "ass_a": float(association.mean()),
    }

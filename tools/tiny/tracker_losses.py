"""Losses of the tracker, with their sources.

Cross-entropy with dice on masks as for the detector (losses.py), the greater part of it at points
around the object, as many for a small one as for a large one, where logits are interpolated as for
a result of the image's size (points: PointRend, arXiv 1912.08193); the best of several masks, the
predicted IoU and the logit of presence as in Segment Anything 2 (arXiv 2408.00714). There is
nothing ambiguous in the drawn scenes, so the other masks learn a little from each object, too.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from config import GRID, IMAGE_SIZE
from losses import dice

WEIGHTS = {"mask": 2.0, "dice": 2.0, "near": 4.0, "near_dice": 5.0}
WEIGHTS |= {"score": 1.0, "appears": 1.5, "cells": 0.4}
OTHERS = 1.0  # weight of the mean over several masks, beside the best one
NEAR = 64  # points along a side of the box around an object
SEEN, HIDDEN = 40, 3  # pixels, at least and at most


@dataclass
class Truth:
    """What a call of the decoder should give, a row to an object on a frame."""

    masks: torch.Tensor  # bool [N, S, S]
    cover: torch.Tensor  # [N, M, M] of the object
    others: torch.Tensor  # [N, M, M] of all other objects
    pixels: torch.Tensor  # [N] that show the object
    weight: torch.Tensor  # [N]


def extents(seen: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """First and last column, first and last row [N] of masks [N, S, S]; of nothing S and -1."""
    side = seen.shape[-1]
    at = torch.arange(side, device=seen.device, dtype=torch.float32)
    found = []
    for axis in (1, 2):
        line = seen.any(axis)
        low = torch.where(line, at, float(side)).amin(1)
        found.append((low, torch.where(line, at, -1.0).amax(1)))
    return found


def near_weights(target: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """[N, M, M] with sum 1: cells in the doubled box of a mask, and those of other objects, which
    must not be taken for it, fully, the rest by a tenth."""
    side = target.shape[-1]
    at = torch.arange(side, device=target.device, dtype=torch.float32)
    inside = []
    for low, high in extents(target > 0.02):
        half = (high - low + 1).clamp(min=4)[:, None]
        inside.append((at - ((low + high) / 2)[:, None]).abs() < half)
    near = inside[1][:, :, None] & inside[0][:, None, :]
    weight = 0.1 + 0.9 * (near | (others > 0.3))
    return weight / weight.sum((1, 2), keepdim=True)


def near_points(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Points x y [N, K, K, 2] from -1 to 1 over the image, in a box with a margin around each mask,
    and whether they lie in it, bool [N, K, K]."""
    steps = (torch.arange(NEAR, device=masks.device) + 0.5) / NEAR
    lines = []
    for low, high in extents(masks):
        margin = 6 + 0.15 * (high - low).clamp(min=0)
        begin, end = (low - margin).clamp(0, IMAGE_SIZE - 2), (high + 1 + margin)
        end = end.clamp(max=IMAGE_SIZE).maximum(begin + 1)
        lines.append(begin[:, None] + steps * (end - begin)[:, None])
    x = lines[0][:, None, :].expand(-1, NEAR, -1)
    y = lines[1][:, :, None].expand(-1, -1, NEAR)
    last = IMAGE_SIZE - 1
    index = y.long().clamp(max=last) * IMAGE_SIZE + x.long().clamp(max=last)
    truth = masks.flatten(1).gather(1, index.flatten(1)).view(index.shape)
    return torch.stack([x, y], -1) * (2 / IMAGE_SIZE) - 1, truth


def entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def shape_loss(logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """[N, M] of logits [N, M, cells] against cover and weights [N, cells]."""
    wide = target[:, None].expand_as(logits)
    sums = (entropy(logits, wide) * weights[:, None]).sum(-1)
    return WEIGHTS["mask"] * sums + WEIGHTS["dice"] * dice(logits, wide)


def overlap(masks: torch.Tensor, near: torch.Tensor, points: torch.Tensor, truth: torch.Tensor):
    """IoU [N, M] of masks [N, M, S, S] with the truth at the points, in cells of the masks; `near`
    are the masks at the points. What is found elsewhere counts as wrong."""
    side = masks.shape[-1]
    low, high = points[:, 0, 0], points[:, -1, -1]  # [N, 2]
    area = (high - low).prod(1) * (side / 2) ** 2 / (NEAR - 1) ** 2
    found, wanted = near > 0, truth[:, None]
    shared = (found & wanted).sum((-1, -2)) * area[:, None]
    union = (found | wanted).sum((-1, -2)) * area[:, None]
    at = (torch.arange(side, device=masks.device) + 0.5) * (2 / side) - 1
    beside = (at < low[:, :, None]) | (at > high[:, :, None])  # [N, 2, S]
    beside = beside[:, 0, None, :] | beside[:, 1, :, None]
    return shared / (union + ((masks > 0) & beside[:, None]).sum((-1, -2))).clamp(min=1e-3)


def decoded_loss(out: dict, truth: Truth):
    """Loss of calls of the decoder and figures. A few pixels count neither as seen nor as out of
    sight."""
    masks = out["masks"]
    seen = (truth.pixels >= SEEN).float()
    clear = ((truth.pixels >= SEEN) | (truth.pixels <= HIDDEN)).float()
    weight = truth.weight * seen
    count = weight.sum().clamp(min=1)
    weights = near_weights(truth.cover, truth.others)
    points, inside = near_points(truth.masks)
    near = F.grid_sample(masks, points, padding_mode="border", align_corners=False)
    wide = inside.flatten(1).float()[:, None].expand(-1, masks.shape[1], -1)
    flat = near.flatten(2)
    each = shape_loss(masks.flatten(2), truth.cover.flatten(1), weights.flatten(1))
    each = each + WEIGHTS["near"] * entropy(flat, wide).mean(-1)
    each = each + WEIGHTS["near_dice"] * dice(flat, wide)
    several = each[:, 1:]
    shape = each[:, 0] + several.amin(1) + OTHERS * several.mean(1)
    step = truth.cover.shape[-1] // GRID
    coarse = F.avg_pool2d(truth.cover, step).flatten(1)
    coarse_weights = (F.avg_pool2d(weights, step) * step * step).flatten(1)
    for cells in out["cells"]:
        shape = shape + WEIGHTS["cells"] * shape_loss(cells[:, None], coarse, coarse_weights)[:, 0]
    quality = overlap(masks.detach(), near.detach(), points, inside)
    score = (out["scores"] - quality).abs().sum(1)
    appears = entropy(out["appears"][:, 0], seen) * truth.weight * clear
    right = ((out["appears"][:, 0] > 0).float() == seen).float()
    loss = ((shape + WEIGHTS["score"] * score) * weight).sum() / count
    loss = loss + WEIGHTS["appears"] * appears.sum() / (truth.weight * clear).sum().clamp(min=1)
    best = quality.gather(1, out["scores"][:, 1:].argmax(1, keepdim=True) + 1)[:, 0]
    found = best * (out["appears"][:, 0] > 0)
    return loss, {
        "iou": mean_over(best, seen),
        "single": mean_over(quality[:, 0], seen),
        "seen": mean_over(right, clear),
        "found": found.detach(),
    }


def mean_over(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean of the chosen rows; chosen is 0 or 1."""
    return ((values * chosen).sum() / chosen.sum().clamp(min=1)).detach()

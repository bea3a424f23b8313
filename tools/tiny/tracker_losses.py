"""Losses of the tracker, with their sources.

Cross-entropy with dice on masks as for the detector (losses.py); the best of several masks, the
predicted IoU and the logit of presence as in Segment Anything 2 (arXiv 2408.00714). There is
nothing ambiguous in the drawn scenes, so the other masks learn a little from each object, too.
"""

import torch
import torch.nn.functional as F
from config import GRID
from losses import dice

WEIGHTS = {"mask": 4.0, "dice": 4.0, "score": 1.0, "appears": 1.0, "cells": 0.5}
OTHERS = 0.3  # share of the masks that are not the best


def near_weights(target: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """[N, S, S] with sum 1: cells in the doubled box of a mask, and those of other objects, which
    must not be taken for it, fully, the rest by a tenth."""
    side = target.shape[-1]
    at = torch.arange(side, device=target.device, dtype=torch.float32)
    inside = []
    for axis in (1, 2):
        seen = (target > 0.02).any(axis)
        low = torch.where(seen, at, float(side)).amin(1, keepdim=True)
        high = torch.where(seen, at, -1.0).amax(1, keepdim=True)
        half = (high - low + 1).clamp(min=4)
        inside.append((at - (low + high) / 2).abs() < half)
    near = inside[1][:, :, None] & inside[0][:, None, :]
    weight = 0.1 + 0.9 * (near | (others > 0.3))
    return weight / weight.sum((1, 2), keepdim=True)


def shape_loss(logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """[N, M] of logits [N, M, cells] against cover and weights [N, cells]."""
    wide = target[:, None].expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, wide, reduction="none")
    entropy = (entropy * weights[:, None]).sum(-1)
    return WEIGHTS["mask"] * entropy + WEIGHTS["dice"] * dice(logits, wide)


def overlap(masks: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """IoU [N, M] of logits [N, M, S, S] with cover [N, S, S]."""
    found, truth = masks > 0, (target > 0.5)[:, None]
    shared, union = (found & truth).sum((-1, -2)), (found | truth).sum((-1, -2))
    return shared / union.clamp(min=1)


def decoded_loss(out: dict, target: torch.Tensor, others: torch.Tensor, pixels: torch.Tensor):
    """Loss of one call of the decoder and figures. target and others: cover [N, S, S] of the object
    and of all others; pixels [N]: how many of the image show the object. A few pixels count neither
    as seen nor as out of sight."""
    masks = out["masks"]
    seen = (pixels >= 60).float()
    clear = ((pixels >= 60) | (pixels == 0)).float()
    count = seen.sum().clamp(min=1)
    weights = near_weights(target, others)
    each = shape_loss(masks.flatten(2), target.flatten(1), weights.flatten(1))
    several = each[:, 1:]
    shape = each[:, 0] + several.amin(1) + OTHERS * several.mean(1)
    step = target.shape[-1] // GRID
    coarse = F.avg_pool2d(target, step).flatten(1)
    coarse_weights = (F.avg_pool2d(weights, step) * step * step).flatten(1)
    for cells in out["cells"]:
        shape = shape + WEIGHTS["cells"] * shape_loss(cells[:, None], coarse, coarse_weights)[:, 0]
    quality = overlap(masks.detach(), target)
    score = (out["scores"] - quality).abs().sum(1)
    appears = F.binary_cross_entropy_with_logits(out["appears"][:, 0], seen, reduction="none")
    right = ((out["appears"][:, 0] > 0).float() == seen).float()
    loss = ((shape + WEIGHTS["score"] * score) * seen).sum() / count
    loss = loss + WEIGHTS["appears"] * (appears * clear).sum() / clear.sum().clamp(min=1)
    best = quality.gather(1, out["scores"][:, 1:].argmax(1, keepdim=True) + 1)[:, 0]
    return loss, {
        "iou": ((best * seen).sum() / count).detach(),
        "single": ((quality[:, 0] * seen).sum() / count).detach(),
        "seen": ((right * clear).sum() / clear.sum().clamp(min=1)).detach(),
    }

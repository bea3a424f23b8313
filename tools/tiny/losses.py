"""Training losses, each with its source.

DETR: Carion et al., arXiv 2005.12872 (Hungarian matching, L1 + generalised IoU, auxiliary losses
of every decoder layer). Focal loss: Lin et al., arXiv 1708.02002. Presence token and recognition
conditional on presence: SAM 3, arXiv 2511.16719. Dice with cross-entropy on masks: Mask2Former,
arXiv 2112.01527. Loss weights 2 / 5 / 2 for class / L1 / GIoU: Deformable DETR, arXiv 2010.04159.
"""

import numpy as np
import torch
from config import GRID, MASK_SIZE
from network import KIND_CLASSES
from torch.nn import functional as F

WEIGHTS = {
    "class": 2.0,
    "l1": 5.0,
    "giou": 2.0,
    "presence": 2.0,
    "mask": 4.0,
    "dice": 4.0,
    "semantic": 1.0,
    "cell_concept": 2.0,
    "cell_kind": 0.5,
}


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """cx cy w h to x0 y0 x1 y1."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def generalised_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """GIoU of two broadcastable sets of corner boxes (arXiv 1902.09630)."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    hull = (high - low).prod(-1).clamp(min=1e-7)
    return shared / union.clamp(min=1e-7) - (hull - union) / hull


@torch.no_grad()
def match(scores: torch.Tensor, boxes: torch.Tensor, wanted: torch.Tensor, valid: torch.Tensor):
    """Hungarian matching. scores [L,P,Q], boxes [L,P,Q,4] cxcywh, wanted [P,N,4] corners,
    valid [P,N]. Returns layer, prompt, query and target indices of all matched pairs."""
    from scipy.optimize import linear_sum_assignment  # the tracker's training does without

    x0y0, x1y1 = wanted[..., :2], wanted[..., 2:]
    target = torch.cat([(x0y0 + x1y1) / 2, x1y1 - x0y0], -1)
    l1 = (boxes[:, :, :, None] - target[None, :, None]).abs().sum(-1)
    giou = generalised_iou(corners(boxes)[:, :, :, None], wanted[None, :, None])
    cost = 5 * l1 - 2 * giou - 2 * scores.sigmoid()[..., None]
    costs = cost.cpu().numpy()
    counts = valid.sum(1).cpu().numpy()
    slots = [np.flatnonzero(row) for row in valid.cpu().numpy()]
    pairs = []
    for layer in range(costs.shape[0]):
        for prompt in range(costs.shape[1]):
            if counts[prompt]:
                query, column = linear_sum_assignment(costs[layer, prompt][:, slots[prompt]])
                head = np.empty((len(query), 4), np.int64)
                head[:, 0], head[:, 1] = layer, prompt
                head[:, 2], head[:, 3] = query, slots[prompt][column]
                pairs.append(head)
    return torch.from_numpy(np.concatenate(pairs)).to(scores.device).unbind(1)


def focal(logits: torch.Tensor, target: torch.Tensor, alpha=0.4, gamma=2.0) -> torch.Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    wrong = target * (1 - probability) + (1 - target) * probability
    return loss * wrong**gamma * (target * alpha + (1 - target) * (1 - alpha))


def dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """1 - soft dice of every mask; logits and target [M, pixels]."""
    probability = logits.sigmoid()
    shared = (probability * target).sum(-1)
    return 1 - (2 * shared + 1) / (probability.square().sum(-1) + target.square().sum(-1) + 1)


def near_weights(boxes: torch.Tensor) -> torch.Tensor:
    """[M, S, S] weights with sum 1: pixels in the doubled box count fully, others by a tenth."""
    side = (torch.arange(MASK_SIZE, device=boxes.device) + 0.5) / MASK_SIZE
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    inside_x = (side - centre[:, :1]).abs() < half[:, :1]
    inside_y = (side - centre[:, 1:]).abs() < half[:, 1:]
    weight = 0.1 + 0.9 * (inside_y[:, :, None] & inside_x[:, None, :])
    return weight / weight.sum((1, 2), keepdim=True)


def box_losses(output: dict, rows, wanted, pairs, count: float) -> dict[str, torch.Tensor]:
    layer, prompt, query, slot = pairs
    scores = output["scores"][:, rows]
    boxes = output["boxes"][:, rows][layer, prompt, query]
    target = wanted[prompt, slot]
    hot = torch.zeros_like(scores)
    hot[layer, prompt, query] = 1
    whole = torch.cat([(target[:, :2] + target[:, 2:]) / 2, target[:, 2:] - target[:, :2]], -1)
    return {
        "class": focal(scores, hot).sum() / count,
        "l1": (boxes - whole).abs().sum() / count,
        "giou": (1 - generalised_iou(corners(boxes), target)).sum() / count,
    }


def mask_losses(output: dict, cover: torch.Tensor, wanted, pairs) -> dict[str, torch.Tensor]:
    """Masks of the last and the first decoder layer against the coverage of each mask cell."""
    total: dict[str, torch.Tensor] = {"mask": 0.0, "dice": 0.0}
    layer, prompt, query, slot = pairs
    for wanted_layer, share in ((output["scores"].shape[0] - 1, 1.0), (0, 0.3)):
        at = layer == wanted_layer
        p, q, s = prompt[at], query[at], slot[at]
        queries = torch.zeros(
            (*cover.shape[:2], output["mask_queries"].shape[-1]),
            dtype=output["mask_queries"].dtype,
            device=p.device,
        ).index_put((p, s), output["mask_queries"][wanted_layer][p, q])
        logits = torch.bmm(queries, output["pixel_embeds"].flatten(2).to(queries.dtype))
        logits = logits[p, s].float()
        target = cover[p, s].flatten(1)
        weights = near_weights(wanted[p, s]).flatten(1)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        total["mask"] = total["mask"] + share * (entropy * weights).sum(-1).mean()
        total["dice"] = total["dice"] + share * dice(logits, target).mean()
    return total


def cell_targets(cover: torch.Tensor) -> torch.Tensor:
    """Share of each encoder cell that a mask covers: [..., S, S] to [..., GRID * GRID]."""
    step = MASK_SIZE // GRID
    shape = (*cover.shape[:-2], GRID, step, GRID, step)
    return cover.reshape(shape).mean((-3, -1)).flatten(-2)


def cell_kind_loss(logits: torch.Tensor, cells: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
    """Auxiliary: size, fill, colour and shape of the item that owns a cell, from level x1.

    It stands in for the pretraining of the published backbone. cells [B,N,cells], kind [B,N,4].
    """
    share, owner = cells.max(1)
    seen = share > 0.35
    loss = logits.new_zeros(())
    labels = torch.gather(kind.long(), 1, owner[..., None].expand(-1, -1, 4))
    for i, part in enumerate(torch.split(logits, KIND_CLASSES, dim=-1)):
        target = torch.where(seen, labels[..., i], -1)
        loss = loss + F.cross_entropy(part.flatten(0, 1), target.flatten(), ignore_index=-1)
    return loss


def total_loss(output: dict, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Weighted sum and the parts. batch adds to the network's input: box [B,N,4] corners,
    cover [B,N,S,S] in 0..1, kind [B,N,4], target [P,N] bool."""
    rows, images = batch["positive_rows"], batch["image_of_prompt"]
    target = batch["target"]
    wanted = batch["box"][images[rows]]
    valid = target[rows]
    pairs = match(output["scores"][:, rows], output["boxes"][:, rows], wanted, valid)
    cover = batch["cover"]
    cells = cell_targets(cover)
    concept = (cells[images] * target[..., None]).sum(1).clamp(max=1)
    union = (cover[images[rows]] * valid[..., None, None]).sum(1).clamp(max=1).flatten(1)
    present = target.any(1).float().expand(output["presence"].shape)
    semantic = output["semantic"].flatten(1)
    parts = box_losses(output, rows, wanted, pairs, max(float(valid.sum()), 1.0))
    parts |= mask_losses(output, cover[images[rows]], wanted, pairs)
    parts["presence"] = (
        F.binary_cross_entropy_with_logits(output["presence"], present, reduction="none")
        .mean(1)
        .sum()
    )
    parts["semantic"] = (
        F.binary_cross_entropy_with_logits(semantic, union) + dice(semantic, union).mean()
    )
    parts["cell_concept"] = 4 * F.binary_cross_entropy_with_logits(output["cell_concept"], concept)
    parts["cell_kind"] = cell_kind_loss(output["cell_kind"], cells, batch["kind"])
    return sum(WEIGHTS[name] * value for name, value in parts.items()), parts

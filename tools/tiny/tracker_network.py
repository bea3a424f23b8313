"""The training forward pass of transformers' tracker over clips: prompt, then memory.

It calls the modules of Sam3TrackerVideoModel in the order of its inference, for many objects at
once and with gradients, and gives all masks of the decoder. Tokens of the frozen vision encoder go
in, so that the encoder is not part of it.
"""

import torch
import torch.nn.functional as F
from config import GRID, IMAGE_SIZE, MASK_SIZE
from torch import nn
from tracker_config import TRACKER_WIDTH
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import get_1d_sine_pe

MEMORY_SIZE = 4 * MASK_SIZE  # side of the masks that the memory encoder reads
POINTER_LIMIT = 16  # as many pointers to an object as a video of some length has
FARTHEST = 256  # frames back to which a pointer may go
NO_OBJECT = -1024.0


class TrackerNetwork(nn.Module):
    """`tracker` is a Sam3TrackerVideoModel without vision encoder, `neck` its Sam3VisionNeck."""

    def __init__(self, config):
        super().__init__()
        from transformers import Sam3TrackerVideoModel
        from transformers.models.sam3.modeling_sam3 import Sam3VisionNeck

        self.tracker = Sam3TrackerVideoModel(config, remove_vision_encoder=True)
        self.neck = Sam3VisionNeck(config.vision_config)
        # All masks come back from every call, with the tokens that they were made of.
        self.decoder._dynamic_multimask_via_stability = lambda masks, scores: (masks, scores)
        self.decoder.transformer.register_forward_hook(
            lambda _module, _inputs, outputs: setattr(self, "_outputs", outputs)
        )
        # For an auxiliary loss, not exported: which cells of the image belong to the object, told
        # from what the decoder and the memory attention make of them.
        self.decoded_cells = nn.Linear(TRACKER_WIDTH, 1)
        self.attended_cells = nn.Linear(TRACKER_WIDTH, 1)
        for head in (self.decoded_cells, self.attended_cells):
            nn.init.zeros_(head.weight)
        self.heads_alone = False  # these two learn, and nothing learns from them
        self.eval()  # without dropout, and the branch above is taken; gradients flow all the same

    @property
    def decoder(self) -> nn.Module:
        return self.tracker.mask_decoder

    def levels(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Maps of the decoder's two fine levels and of the coarse one; tokens [N, cells, width].
        What does not depend on an object is made here, too, once for all calls that follow."""
        tracker = self.tracker
        self._place = tracker.get_image_wide_positional_embeddings()
        self._nothing = tracker.prompt_encoder(
            input_points=tokens.new_zeros(1, 1, 1, 2),
            input_labels=torch.full((1, 1, 1), -1, device=tokens.device),
            input_boxes=None,
            input_masks=None,
        )
        back = torch.arange(FARTHEST, device=tokens.device, dtype=torch.float32)
        sine = get_1d_sine_pe(back / (POINTER_LIMIT - 1), dim=TRACKER_WIDTH)
        self._times = tracker.temporal_positional_encoding_projection_layer(sine)
        grid = tokens.view(len(tokens), GRID, GRID, -1).permute(0, 3, 1, 2)
        maps = [layer(grid) for layer in self.neck.fpn_layers[:3]]
        return [self.decoder.conv_s0(maps[0]), self.decoder.conv_s1(maps[1]), maps[2]]

    def decode(self, image: torch.Tensor, fine: list[torch.Tensor], prompt: dict) -> dict:
        """One object to a row. `prompt`: points [N,1,P,2] with labels [N,1,P], boxes [N,1,4],
        masks [N,1,M,M] as logits, all optional."""
        if prompt:
            points, labels = prompt.get("points"), prompt.get("labels")
            if points is None and "boxes" not in prompt:
                points = image.new_zeros(len(image), 1, 1, 2)
                labels = torch.full((len(image), 1, 1), -1, device=image.device)
            sparse, dense = self.tracker.prompt_encoder(
                input_points=points,
                input_labels=labels,
                input_boxes=prompt.get("boxes"),
                input_masks=prompt.get("masks"),
            )
        else:
            sparse, dense = (part.expand(len(image), *part.shape[1:]) for part in self._nothing)
        masks, scores, _, appears = self.decoder(
            image_embeddings=image,
            image_positional_embeddings=self._place.expand(len(image), -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            high_resolution_features=fine,
        )
        tokens, cells = self._outputs
        tokens = tokens[:, 0, 2 : 2 + self.decoder.num_mask_tokens]
        return {
            "masks": masks[:, 0].float(),
            "scores": scores[:, 0].float(),
            "appears": appears[:, 0].float(),
            "tokens": tokens,
            "cells": [self.cells(self.decoded_cells, cells[:, 0])],
        }

    def cells(self, head: nn.Module, features: torch.Tensor) -> torch.Tensor:
        """Logits [N, cells] of one of the two auxiliary heads."""
        return head(features.detach() if self.heads_alone else features)[..., 0].float()

    def without_memory(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.tracker.no_memory_embedding.reshape(1, -1, 1, 1)

    def pointer(self, tokens: torch.Tensor, appears: torch.Tensor) -> torch.Tensor:
        """[N, width] from the chosen mask's token and the object's logit [N, 1]."""
        pointer = self.tracker.object_pointer_proj(tokens)
        return torch.where(appears > 0, pointer, self.tracker.no_object_pointer)

    def remember(self, image: torch.Tensor, masks: torch.Tensor, appears: torch.Tensor):
        """Memory [cells, N, channels], its place [cells, 1, channels]; masks [N,1,*,*] of 0..1."""
        tracker = self.tracker
        masks = F.interpolate(masks, (MEMORY_SIZE, MEMORY_SIZE), mode="bilinear")
        config = tracker.config
        masks = masks * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        memory, place = tracker.memory_encoder(image, masks)
        hidden = tracker.occlusion_spatial_embedding_parameter[..., None, None]
        memory = memory + (appears <= 0).to(memory.dtype)[..., None, None] * hidden
        return memory.flatten(2).permute(2, 0, 1), place[:1].flatten(2).permute(2, 0, 1)

    def attend(self, image: torch.Tensor, history: list[dict], now: int) -> torch.Tensor:
        """The image's map [N, C, G, G] with what `history` says about the objects on frame `now`.

        Entries: memory, place, pointer, t and whether they count as prompted frames.
        """
        tracker = self.tracker
        memory, place, pointers, times = [], [], [], []
        for entry in history:
            back = now - entry["t"]
            if entry["prompted"]:
                index = -1
            elif back < tracker.num_maskmem:
                index = back - 1
            else:
                continue
            memory.append(entry["memory"])
            place.append(entry["place"] + tracker.memory_temporal_positional_encoding[index])
        for entry in history:
            back = now - entry["t"]
            if entry["prompted"] or back < POINTER_LIMIT:
                times.append(self._times[back])
                pointers.append(entry["pointer"])
        tokens = torch.stack(pointers).to(memory[0].dtype)
        sine = self.neck.position_encoding(image[:1].shape, image.device, torch.float32)
        out = tracker.memory_attention(
            current_vision_features=image.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=sine.flatten(2).permute(2, 0, 1),
            memory=torch.cat([*memory, tokens]),
            memory_posision_embeddings=torch.cat([*place, torch.stack(times)[:, None]]),
            num_object_pointer_tokens=len(tokens),
        )
        return (
            out.squeeze(0)
            .reshape(len(image), GRID * GRID, -1)
            .transpose(1, 2)
            .unflatten(2, (GRID, GRID))
        )


@torch.no_grad()
def initialise(network: TrackerNetwork, tokens: torch.Tensor, detector: dict) -> None:
    """Random matrices, and a neck that gives the main directions of the detector's features.

    tokens [N, cells, width] of some images; `detector` holds the tensors of the detector's neck by
    their name in it. The neck then begins where the detector's training ended, only narrower.
    """
    tracker = network.tracker
    for name, parameter in tracker.named_parameters():
        if parameter.dim() > 1 and "embed" not in name.split(".")[-2:][0]:
            if "positional" not in name and "no_" not in name and "occlusion" not in name:
                nn.init.xavier_uniform_(parameter)
    for module in (tracker.prompt_encoder.point_embed, tracker.prompt_encoder.not_a_point_embed):
        nn.init.normal_(module.weight, std=0.5)
    for name in ("iou_token", "mask_tokens", "obj_score_token"):
        nn.init.normal_(getattr(tracker.mask_decoder, name).weight, std=0.5)
    nn.init.normal_(tracker.memory_temporal_positional_encoding, std=0.1)
    nn.init.normal_(tracker.no_object_pointer, std=0.3)
    nn.init.normal_(tracker.occlusion_spatial_embedding_parameter, std=0.3)
    for layer in tracker.memory_encoder.memory_fuser.layers:
        layer.scale.fill_(0.3)
    look_nearby(tracker)
    # A mask of 0 and 1 becomes logits of -10 and 10.
    tracker.mask_downsample.weight.fill_(20 / 16)
    tracker.mask_downsample.bias.fill_(-10)
    # One random matrix of positions for points and for cells, as the reference's weights have it.
    tracker.prompt_encoder.shared_embedding.positional_embedding.copy_(
        tracker.shared_image_embedding.positional_embedding
    )
    grid = tokens.view(len(tokens), GRID, GRID, -1).permute(0, 3, 1, 2)
    for number, layer in enumerate(network.neck.fpn_layers):
        own = {
            name.removeprefix(f"fpn_layers.{number}."): value.to(tokens)
            for name, value in detector.items()
            if name.startswith(f"fpn_layers.{number}.")
        }
        narrow_level(layer, own, grid)


def look_nearby(tracker: nn.Module) -> None:
    """Lets attention begin with what is near: equal projections of queries and keys.

    Positions are random Fourier features in the decoder, whose products fall with the distance, and
    rotations in the memory attention, where equal constant parts do the same.
    """
    transformer = tracker.mask_decoder.transformer
    crossing = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        crossing += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in crossing:
        nn.init.orthogonal_(attention.q_proj.weight, gain=2**0.5)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
    for layer in tracker.memory_attention.layers:
        for attention in (layer.self_attn, layer.cross_attn_image):
            nn.init.orthogonal_(attention.q_proj.weight, gain=0.5)
            attention.k_proj.weight.copy_(attention.q_proj.weight)
            attention.q_proj.bias.fill_(0.8)
            attention.k_proj.bias.fill_(0.8)


def narrow_level(layer: nn.Module, own: dict, grid: torch.Tensor) -> None:
    """Loads a level of the detector's neck, both projections in their principal directions."""
    for index, part in enumerate(layer.scale_layers):
        for name, parameter in part.named_parameters():
            parameter.copy_(own[f"scale_layers.{index}.{name}"])
    inner = grid
    for part in layer.scale_layers:
        inner = part(inner)
    middle = F.conv2d(inner, own["proj1.weight"], own["proj1.bias"])
    outer = F.conv2d(middle, own["proj2.weight"], own["proj2.bias"], padding=1)
    a, a_mean = principal(middle, TRACKER_WIDTH, keep_mean=True)
    b, b_mean = principal(outer, TRACKER_WIDTH, keep_mean=False)
    # middle is about a' a middle; the first direction carries the mean.
    layer.proj1.weight.copy_(torch.einsum("ki,iocd->kocd", a, own["proj1.weight"]))
    layer.proj1.bias.copy_(a @ own["proj1.bias"])
    folded = torch.einsum("ko,oicd,ji->kjcd", b, own["proj2.weight"], a)
    scale = 1 / (torch.einsum("ko,nohw->nkhw", b, outer - b_mean[:, None, None]).std() + 1e-6)
    layer.proj2.weight.copy_(folded * scale)
    layer.proj2.bias.copy_((b @ (own["proj2.bias"] - b_mean)) * scale)


def principal(maps: torch.Tensor, count: int, keep_mean: bool) -> tuple:
    """[count, C] orthonormal main directions of the cells of maps [N, C, H, W], and their mean."""
    cells = maps.permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = cells.mean(0)
    if not keep_mean:
        cells = cells - mean
    _, vectors = torch.linalg.eigh(cells.T @ cells)
    return vectors.T.flip(0)[:count].to(maps), mean.to(maps)


def to_side(ids: torch.Tensor, side: int) -> torch.Tensor:
    """Masks [..., S, S] in 0..1 averaged to [..., side, side]."""
    flat = ids.float().reshape(-1, 1, IMAGE_SIZE, IMAGE_SIZE)
    return F.interpolate(flat, (side, side), mode="area").reshape(*ids.shape[:-2], side, side)

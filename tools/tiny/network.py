"""The training forward pass of Sam3Model, with the outputs of every decoder layer.

It calls the modules of transformers' Sam3Model in the order of Sam3Model.forward, several prompts
to an image, and runs the mask head only where something is to be segmented. Two linear heads for
auxiliary losses stand beside the model and are not exported.
"""

import torch
from config import GRID, QUERIES, WIDTH
from shapes import COLORS, FILLS, SHAPES, SIZES
from torch import nn

KIND_CLASSES = (len(SIZES), len(FILLS), len(COLORS), len(SHAPES))


def initialise(model: nn.Module) -> None:
    """Xavier-uniform matrices as in DETR; reference boxes on a grid; box steps start at zero."""
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "embed" not in name.split(".")[-2]:
            if "position_embeddings" not in name and "reference_points" not in name:
                nn.init.xavier_uniform_(parameter)
    for name in ("query_embed", "presence_token"):
        nn.init.normal_(getattr(model.detr_decoder, name).weight, std=0.5)
    for name in ("label_embed", "cls_embed"):
        nn.init.normal_(getattr(model.geometry_encoder, name).weight, std=0.5)
    text = model.text_encoder.get_input_embeddings()
    nn.init.normal_(text.weight, std=0.2)
    side = round(QUERIES**0.5)
    centres = (torch.arange(side) + 0.5) / side
    grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).reshape(-1, 2)
    boxes = torch.cat([grid, torch.full((len(grid), 2), 0.2)], 1)
    with torch.no_grad():
        model.detr_decoder.reference_points.weight.copy_(torch.logit(boxes))
        model.detr_decoder.box_head.layer3.weight.zero_()
        model.detr_decoder.box_head.layer3.bias.zero_()


class TrainingNetwork(nn.Module):
    """`sam` is the Sam3Model that is trained."""

    def __init__(self, sam: nn.Module):
        super().__init__()
        self.sam = sam
        self.cell_kind = nn.Linear(WIDTH, sum(KIND_CLASSES))
        self.cell_concept = nn.Linear(WIDTH, 1)

    def vision(self, pixels: torch.Tensor) -> tuple[list, list]:
        """Feature maps of the levels x4, x2, x1 and the sine positions of each, in fp32."""
        encoder = self.sam.vision_encoder
        tokens = encoder.backbone(pixels).last_hidden_state
        grid = tokens.view(len(tokens), GRID, GRID, -1).permute(0, 3, 1, 2)
        levels = [layer(grid) for layer in encoder.neck.fpn_layers[:3]]
        places = [encoder.neck.position_encoding(x.shape, x.device, torch.float32) for x in levels]
        return levels, places

    def geometry(self, batch: dict, levels: list, places: list, count: int) -> tuple:
        """Geometry tokens [prompts, boxes + 1, width] and their mask; unused rows are zero."""
        picked = batch["geometry_rows"]
        images = batch["image_of_prompt"][picked]
        labels = batch["label"][picked].long()
        output = self.sam.geometry_encoder(
            box_embeddings=batch["exemplar"][picked],
            box_mask=labels != -10,
            box_labels=torch.where(labels == -10, 0, labels),
            img_feats=(levels[2][images],),
            img_pos_embeds=(places[2][images],),
        )
        width = output.last_hidden_state.shape[1]
        tokens = torch.zeros(
            (count, width, WIDTH), dtype=output.last_hidden_state.dtype, device=picked.device
        )
        mask = torch.zeros((count, width), dtype=torch.bool, device=picked.device)
        tokens = tokens.index_copy(0, picked, output.last_hidden_state)
        return tokens, mask.index_copy(0, picked, output.attention_mask)

    def forward(self, batch: dict) -> dict[str, torch.Tensor]:
        """batch: pixels [B,3,S,S], tokens and attention [P,T], image_of_prompt [P],
        geometry_rows [R], exemplar [P,N,4] cxcywh, label [P,N], positive_rows [Q]."""
        sam = self.sam
        levels, places = self.vision(batch["pixels"])
        images = batch["image_of_prompt"]
        count = len(images)
        text = sam.get_text_features(
            input_ids=batch["tokens"], attention_mask=batch["attention"], return_dict=True
        ).pooler_output
        shown, shown_mask = self.geometry(batch, levels, places, count)
        prompt = torch.cat([text, shown.to(text.dtype)], 1)
        mask = torch.cat([batch["attention"].bool(), shown_mask], 1)
        encoded = sam.detr_encoder(
            vision_features=[levels[2][images]],
            text_features=prompt,
            vision_pos_embeds=[places[2][images].to(levels[2].dtype)],
            text_mask=mask,
        )
        decoded = sam.detr_decoder(
            vision_features=encoded.last_hidden_state,
            text_features=prompt,
            vision_pos_encoding=encoded.pos_embeds_flattened,
            text_mask=mask,
            spatial_shapes=encoded.spatial_shapes,
        )
        states = decoded.intermediate_hidden_states
        with torch.autocast(states.device.type, enabled=False):
            reference = torch.logit(decoded.reference_boxes.float(), eps=1e-3)
            boxes = (reference + sam.detr_decoder.box_head(states.float()).float()).sigmoid()
            scores = sam.dot_product_scoring(states.float(), prompt.float(), mask).squeeze(-1)
        return {
            "boxes": boxes,
            "scores": scores.float(),
            "presence": decoded.presence_logits.float().squeeze(-1),
            "cell_kind": self.cell_kind(levels[2].flatten(2).transpose(1, 2)).float(),
            "cell_concept": self.cell_concept(encoded.last_hidden_state).float().squeeze(-1),
            **self.masks(batch, levels, encoded.last_hidden_state, prompt, mask, states),
        }

    def masks(self, batch, levels, encoded, prompt, mask, states) -> dict[str, torch.Tensor]:
        """Pixel and query embeddings of the prompts in positive_rows (Sam3MaskDecoder)."""
        rows = batch["positive_rows"]
        head = self.sam.mask_decoder
        memory, tokens = encoded[rows], prompt[rows]
        allowed = mask[rows][:, None, None, :].expand(-1, -1, memory.shape[1], -1)
        normed = head.prompt_cross_attn_norm(memory)
        memory = memory + head.prompt_cross_attn(normed, tokens, tokens, allowed)[0]
        images = batch["image_of_prompt"][rows]
        grid = memory.transpose(1, 2).reshape(len(rows), WIDTH, GRID, GRID)
        pixels = head.pixel_decoder([levels[0][images], levels[1][images], grid])
        return {
            "pixel_embeds": head.instance_projection(pixels),
            "mask_queries": head.mask_embedder(states[:, rows]),
            "semantic": head.semantic_projection(pixels).float(),
        }


def normalise(image: torch.Tensor) -> torch.Tensor:
    """uint8 [B,S,S,3] to the image processor's output [B,3,S,S]: (x / 255 - 0.5) / 0.5."""
    return (image.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous()

"""Meta's SAM 3 image model (PyPI `sam3` 0.1.4) put together at any size, for the CPU.

The package's own builder fixes every size; its classes take them as arguments, so this module calls
the classes with the values of a configuration and leaves everything else as the builder has it.
"""

import gzip
import tempfile
from pathlib import Path

import tiny_tokenizer
import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class OnCpu(TorchFunctionMode):
    """Turns the literal device "cuda" in Meta's code into "cpu" and skips page-locked copies."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs["device"] = "cpu"
        if function is torch.Tensor.pin_memory:
            return args[0]
        return function(*args, **kwargs)


def _tokenizer(merge_count: int):
    from sam3.model.tokenizer_ve import SimpleTokenizer

    merges = tiny_tokenizer.learn_merges(merge_count)
    # The real file's merges are followed by further lines; here nothing may follow the last one.
    text = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "merges.txt.gz"
        path.write_bytes(gzip.compress(text.encode("utf-8")))
        return SimpleTokenizer(bpe_path=str(path))


def _attention(config: dict, width: int, dropout: float = 0.1, **options):
    from sam3.model.model_misc import MultiheadAttentionWrapper

    return MultiheadAttentionWrapper(
        num_heads=config["num_attention_heads"], dropout=dropout, embed_dim=width, **options
    )


def _vision(config: dict, sam2_neck: bool):
    from sam3.model.necks import Sam3DualViTDetNeck
    from sam3.model.position_encoding import PositionEmbeddingSine
    from sam3.model.vitdet import ViT

    vit = config["backbone_config"]
    trunk = ViT(
        img_size=vit["image_size"],
        pretrain_img_size=vit["pretrain_image_size"],
        patch_size=vit["patch_size"],
        embed_dim=vit["hidden_size"],
        depth=vit["num_hidden_layers"],
        num_heads=vit["num_attention_heads"],
        mlp_ratio=vit["intermediate_size"] / vit["hidden_size"],
        norm_layer="LayerNorm",
        drop_path_rate=0.1,
        qkv_bias=True,
        use_abs_pos=True,
        tile_abs_pos=True,
        global_att_blocks=tuple(vit["global_attn_indexes"]),
        rel_pos_blocks=(),
        use_rope=True,
        use_interp_rope=True,
        window_size=vit["window_size"],
        pretrain_use_cls_token=True,
        retain_cls_token=False,
        ln_pre=True,
        ln_post=False,
        return_interm_layers=False,
        bias_patch_embed=False,
    )
    width = config["fpn_hidden_size"]
    return Sam3DualViTDetNeck(
        position_encoding=PositionEmbeddingSine(num_pos_feats=width, normalize=True),
        d_model=width,
        scale_factors=config["scale_factors"],
        trunk=trunk,
        add_sam2_neck=sam2_neck,
    )


def _text(config: dict, width: int, merge_count: int):
    from sam3.model.text_encoder_ve import TextTransformer, VETextEncoder

    sizes = {
        "context_length": config["max_position_embeddings"],
        "vocab_size": config["vocab_size"],
        "width": config["hidden_size"],
        "heads": config["num_attention_heads"],
        "layers": config["num_hidden_layers"],
    }
    text = VETextEncoder(d_model=width, tokenizer=_tokenizer(merge_count), **sizes)
    # VETextEncoder fixes the ratio of the MLP at 4.
    text.encoder = TextTransformer(
        mlp_ratio=config["intermediate_size"] / config["hidden_size"],
        output_dim=config["projection_dim"],
        output_tokens=True,
        use_ln_post=True,
        **sizes,
    )
    return text


def _fusion_encoder(config: dict):
    from sam3.model.encoder import TransformerEncoderFusion, TransformerEncoderLayer

    width = config["hidden_size"]
    layer = TransformerEncoderLayer(
        activation="relu",
        d_model=width,
        dim_feedforward=config["intermediate_size"],
        dropout=0.1,
        pos_enc_at_attn=True,
        pos_enc_at_cross_attn_keys=False,
        pos_enc_at_cross_attn_queries=False,
        pre_norm=True,
        self_attention=_attention(config, width, batch_first=True),
        cross_attention=_attention(config, width, batch_first=True),
    )
    return TransformerEncoderFusion(
        layer=layer,
        num_layers=config["num_layers"],
        d_model=width,
        num_feature_levels=1,
        frozen=False,
        use_act_checkpoint=True,
        add_pooled_text_to_img_feat=False,
        pool_text_with_mask=True,
    )


def _decoder(config: dict, vit: dict):
    from sam3.model.decoder import TransformerDecoder, TransformerDecoderLayer

    width = config["hidden_size"]
    layer = TransformerDecoderLayer(
        activation="relu",
        d_model=width,
        dim_feedforward=config["intermediate_size"],
        dropout=0.1,
        cross_attention=_attention(config, width),
        n_heads=config["num_attention_heads"],
        use_text_cross_attention=True,
    )
    return TransformerDecoder(
        layer=layer,
        num_layers=config["num_layers"],
        num_queries=config["num_queries"],
        return_intermediate=True,
        box_refine=True,
        num_o2m_queries=0,
        dac=True,
        boxRPB="log",
        d_model=width,
        frozen=False,
        interaction_layer=None,
        dac_use_selfatt_ln=True,
        resolution=vit["image_size"],
        stride=vit["patch_size"],
        use_act_checkpoint=True,
        presence_token=True,
    )


def _geometry(config: dict):
    from sam3.model.encoder import TransformerEncoderLayer
    from sam3.model.geometry_encoders import SequenceGeometryEncoder
    from sam3.model.position_encoding import PositionEmbeddingSine

    width = config["hidden_size"]
    layer = TransformerEncoderLayer(
        activation="relu",
        d_model=width,
        dim_feedforward=config["intermediate_size"],
        dropout=0.1,
        pos_enc_at_attn=False,
        pre_norm=True,
        self_attention=_attention(config, width, batch_first=False),
        pos_enc_at_cross_attn_queries=False,
        pos_enc_at_cross_attn_keys=True,
        cross_attention=_attention(config, width, batch_first=False),
    )
    return SequenceGeometryEncoder(
        pos_enc=PositionEmbeddingSine(num_pos_feats=width, normalize=True),
        encode_boxes_as_points=False,
        points_direct_project=True,
        points_pool=True,
        points_pos_enc=True,
        boxes_direct_project=True,
        boxes_pool=True,
        boxes_pos_enc=True,
        d_model=width,
        num_layers=config["num_layers"],
        layer=layer,
        use_act_ckpt=True,
        add_cls=True,
        add_post_encode_proj=True,
        roi_size=config["roi_size"],
    )


def _scoring(config: dict):
    from sam3.model.model_misc import MLP, DotProductScoring

    width = config["hidden_size"]
    prompt_mlp = MLP(
        input_dim=width,
        hidden_dim=config["intermediate_size"],
        output_dim=width,
        num_layers=2,
        dropout=0.1,
        residual=True,
        out_norm=nn.LayerNorm(width),
    )
    return DotProductScoring(d_model=width, d_proj=width, prompt_mlp=prompt_mlp)


def _segmentation_head(config: dict):
    from sam3.model.maskformer_segmentation import PixelDecoder, UniversalSegmentationHead

    width, stages = config["hidden_size"], config["num_upsampling_stages"]
    pixel_decoder = PixelDecoder(
        num_upsampling_stages=stages, interpolation_mode="nearest", hidden_dim=width
    )
    return UniversalSegmentationHead(
        hidden_dim=width,
        upsampling_stages=stages,
        aux_masks=False,
        presence_head=False,
        dot_product_scorer=None,
        act_ckpt=True,
        cross_attend_prompt=_attention(config, width, dropout=0.0),
        pixel_decoder=pixel_decoder,
    )


def build(
    config: dict,
    merge_count: int,
    kind: type | None = None,
    sam2_neck: bool = False,
    **options,
):
    """Meta's `Sam3Image`, or a class of it, for a complete Sam3Config dictionary; call it inside
    `OnCpu()`. `sam2_neck` adds the tracker's neck; `options` are further arguments of the class."""
    from sam3.model.model_misc import TransformerWrapper
    from sam3.model.sam3_image import Sam3Image
    from sam3.model.vl_combiner import SAM3VLBackbone

    vision, width = config["vision_config"], config["detr_decoder_config"]["hidden_size"]
    model = (kind or Sam3Image)(
        backbone=SAM3VLBackbone(
            visual=_vision(vision, sam2_neck),
            text=_text(config["text_config"], width, merge_count),
            scalp=1,
        ),
        transformer=TransformerWrapper(
            encoder=_fusion_encoder(config["detr_encoder_config"]),
            decoder=_decoder(config["detr_decoder_config"], vision["backbone_config"]),
            d_model=width,
        ),
        input_geometry_encoder=_geometry(config["geometry_encoder_config"]),
        segmentation_head=_segmentation_head(config["mask_decoder_config"]),
        num_feature_levels=1,
        o2m_mask_predict=True,
        dot_prod_scoring=_scoring(config["detr_decoder_config"]),
        use_instance_query=False,
        multimask_output=True,
        inst_interactive_predictor=None,
        matcher=None,
        **options,
    )
    return model.eval()

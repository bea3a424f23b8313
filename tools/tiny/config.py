"""The configuration of the small SAM 3: a Sam3Config with few, narrow layers.

The ratio of grid to window is 3 as in the published model, so that position tiling, windowed and
global blocks, and the scaled rotary positions are all used.
"""

IMAGE_SIZE = 336
PATCH_SIZE = 14
GRID = IMAGE_SIZE // PATCH_SIZE
WINDOW = 8
MASK_SIZE = 4 * GRID
CONTEXT_LENGTH = 32  # Sam3Processor always pads the text to 32 tokens
WIDTH = 96
HEADS = 3
QUERIES = 36

BACKBONE = dict(
    hidden_size=160,
    intermediate_size=448,
    num_hidden_layers=6,
    num_attention_heads=5,
    image_size=IMAGE_SIZE,
    patch_size=PATCH_SIZE,
    window_size=WINDOW,
    global_attn_indexes=[2, 5],
    pretrain_image_size=WINDOW * PATCH_SIZE,
)
TEXT = dict(
    hidden_size=128,
    intermediate_size=128,
    projection_dim=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=CONTEXT_LENGTH,
    hidden_act="gelu",
)


def build_config(vocabulary: dict[str, int]):
    """The Sam3Config for a vocabulary that ends with the start and the end mark."""
    from transformers import Sam3Config

    size = len(vocabulary)
    shared = dict(hidden_size=WIDTH, num_attention_heads=HEADS)
    text = TEXT | dict(
        model_type="clip_text_model",
        vocab_size=size,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    return Sam3Config(
        vision_config=dict(
            model_type="sam3_vision_model",
            backbone_config=BACKBONE | dict(model_type="sam3_vit_model"),
            fpn_hidden_size=WIDTH,
            scale_factors=[4.0, 2.0, 1.0, 0.5],
            backbone_feature_sizes=[[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
        ),
        text_config=text,
        geometry_encoder_config=shared
        | dict(num_layers=1, intermediate_size=192, roi_size=3, dropout=0.0),
        detr_encoder_config=shared | dict(num_layers=3, intermediate_size=256, dropout=0.0),
        detr_decoder_config=shared
        | dict(num_layers=3, intermediate_size=256, num_queries=QUERIES, dropout=0.0),
        mask_decoder_config=shared | dict(num_upsampling_stages=3, dropout=0.0),
    )


def preprocessor_config() -> dict:
    """preprocessor_config.json: bilinear resize to a square, mean and deviation 0.5."""
    side = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "Sam3ImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "mask_size": {"height": MASK_SIZE, "width": MASK_SIZE},
        "processor_class": "Sam3Processor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": side,
    }

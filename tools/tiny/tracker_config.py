"""The configuration of the small SAM 3's tracker, and of the whole checkpoint with it.

The tracker is 64 wide, whatever the detector's width: the reference's memory has 64 channels, and a
pointer to an object must consist of whole parts of that size, which 96 is not. Its neck therefore
has a width of its own, which stands in `tracker_config.vision_config`.
"""

from copy import deepcopy

from config import GRID, IMAGE_SIZE, PATCH_SIZE

TRACKER_WIDTH = 64
MEMORY_CHANNELS = 64
TRACKED_AT_MOST = 32

PROMPT_ENCODER = dict(hidden_size=TRACKER_WIDTH, image_size=IMAGE_SIZE, patch_size=PATCH_SIZE)
MASK_DECODER = dict(
    hidden_size=TRACKER_WIDTH,
    mlp_dim=256,
    num_hidden_layers=2,
    num_attention_heads=2,
    iou_head_hidden_dim=64,
)
MEMORY = dict(
    memory_attention_hidden_size=TRACKER_WIDTH,
    memory_attention_num_layers=2,
    memory_attention_feed_forward_hidden_size=256,
    memory_attention_dropout=0.0,
    memory_attention_rope_dropout=0.0,
    memory_attention_rope_feat_sizes=[GRID, GRID],
    memory_encoder_hidden_size=TRACKER_WIDTH,
    memory_encoder_output_channels=MEMORY_CHANNELS,
    mask_downsampler_embed_dim=TRACKER_WIDTH,
    memory_fuser_embed_dim=TRACKER_WIDTH,
    memory_fuser_intermediate_dim=256,
)


def build_tracker_config(vision: dict):
    """The Sam3TrackerVideoConfig for a detector's vision_config."""
    from transformers import Sam3TrackerVideoConfig

    vision = deepcopy(vision) | dict(fpn_hidden_size=TRACKER_WIDTH)
    return Sam3TrackerVideoConfig(
        vision_config=vision,
        prompt_encoder_config=PROMPT_ENCODER,
        mask_decoder_config=MASK_DECODER,
        image_size=IMAGE_SIZE,
        **MEMORY,
    )


def whole_config(detector: dict, tracker: dict) -> dict:
    """config.json of a checkpoint with both halves."""
    return {
        "architectures": ["Sam3VideoModel"],
        "detector_config": detector,
        "dtype": "float16",
        "low_res_mask_size": 4 * GRID,
        "max_num_objects": TRACKED_AT_MOST,
        "model_type": "sam3_video",
        "tracker_config": tracker,
    }

"""Names and shapes of the tensors of Hugging Face's `Sam3Model` and of its tracker.

Both are derived from a configuration; `make_goldens.py` and `make_tracker_goldens.py` assert that
these tables equal the state dicts of the real classes.
"""

Shapes = dict[str, tuple[int, ...]]


def _linear(out: Shapes, name: str, outputs: int, inputs: int) -> None:
    out[f"{name}.weight"] = (outputs, inputs)
    out[f"{name}.bias"] = (outputs,)


def _conv(out: Shapes, name: str, outputs: int, inputs: int, kernel: int) -> None:
    out[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
    out[f"{name}.bias"] = (outputs,)


def _deconv(out: Shapes, name: str, inputs: int, outputs: int) -> None:
    out[f"{name}.weight"] = (inputs, outputs, 2, 2)
    out[f"{name}.bias"] = (outputs,)


def _norm(out: Shapes, name: str, width: int) -> None:
    out[f"{name}.weight"] = (width,)
    out[f"{name}.bias"] = (width,)


def _attention(out: Shapes, name: str, width: int, output: str = "o_proj") -> None:
    for part in ("q_proj", "k_proj", "v_proj", output):
        _linear(out, f"{name}.{part}", width, width)


def _mlp(out: Shapes, name: str, width: int, hidden: int) -> None:
    _linear(out, f"{name}.fc1", hidden, width)
    _linear(out, f"{name}.fc2", width, hidden)


def _head(out: Shapes, name: str, sizes: list[int]) -> None:
    for index, (inputs, outputs) in enumerate(zip(sizes, sizes[1:]), start=1):
        _linear(out, f"{name}.layer{index}", outputs, inputs)


def _vision(out: Shapes, config: dict) -> None:
    backbone = config["backbone_config"]
    width, patch = backbone["hidden_size"], backbone["patch_size"]
    grid = backbone["pretrain_image_size"] // patch
    name = "vision_encoder.backbone"
    out[f"{name}.embeddings.position_embeddings"] = (1, grid * grid, width)
    out[f"{name}.embeddings.patch_embeddings.projection.weight"] = (
        width,
        backbone["num_channels"],
        patch,
        patch,
    )
    _norm(out, f"{name}.layer_norm", width)
    for index in range(backbone["num_hidden_layers"]):
        layer = f"{name}.layers.{index}"
        _norm(out, f"{layer}.layer_norm1", width)
        _attention(out, f"{layer}.attention", width)
        _norm(out, f"{layer}.layer_norm2", width)
        _mlp(out, f"{layer}.mlp", width, backbone["intermediate_size"])
    neck(out, "vision_encoder.neck", config)


def neck(out: Shapes, name: str, config: dict) -> None:
    """The four levels of a neck, also for `tracker_neck`."""
    width, fpn = config["backbone_config"]["hidden_size"], config["fpn_hidden_size"]
    for index, scale in enumerate(config["scale_factors"]):
        level = f"{name}.fpn_layers.{index}"
        channels = width
        if scale >= 2.0:
            _deconv(out, f"{level}.scale_layers.0", width, width // 2)
            channels = width // 2
        if scale == 4.0:
            _deconv(out, f"{level}.scale_layers.2", width // 2, width // 4)
            channels = width // 4
        _conv(out, f"{level}.proj1", fpn, channels, 1)
        _conv(out, f"{level}.proj2", fpn, fpn, 3)


def _text(out: Shapes, config: dict, detector_width: int) -> None:
    width = config["hidden_size"]
    name = "text_encoder.text_model"
    out[f"{name}.embeddings.token_embedding.weight"] = (config["vocab_size"], width)
    out[f"{name}.embeddings.position_embedding.weight"] = (config["max_position_embeddings"], width)
    for index in range(config["num_hidden_layers"]):
        layer = f"{name}.encoder.layers.{index}"
        _attention(out, f"{layer}.self_attn", width, "out_proj")
        _norm(out, f"{layer}.layer_norm1", width)
        _mlp(out, f"{layer}.mlp", width, config["intermediate_size"])
        _norm(out, f"{layer}.layer_norm2", width)
    _norm(out, f"{name}.final_layer_norm", width)
    out["text_encoder.text_projection.weight"] = (config["projection_dim"], width)
    _linear(out, "text_projection", detector_width, width)


def _fusion_layer(out: Shapes, layer: str, config: dict) -> None:
    width = config["hidden_size"]
    _attention(out, f"{layer}.self_attn", width)
    _attention(out, f"{layer}.cross_attn", width)
    _mlp(out, f"{layer}.mlp", width, config["intermediate_size"])
    for norm in ("layer_norm1", "layer_norm2", "layer_norm3"):
        _norm(out, f"{layer}.{norm}", width)


def _geometry(out: Shapes, config: dict) -> None:
    width, name = config["hidden_size"], "geometry_encoder"
    out[f"{name}.label_embed.weight"] = (2, width)
    out[f"{name}.cls_embed.weight"] = (1, width)
    _linear(out, f"{name}.boxes_direct_project", width, 4)
    _conv(out, f"{name}.boxes_pool_project", width, width, config["roi_size"])
    _linear(out, f"{name}.boxes_pos_enc_project", width, width + 2)
    _linear(out, f"{name}.final_proj", width, width)
    for norm in ("vision_layer_norm", "prompt_layer_norm", "output_layer_norm"):
        _norm(out, f"{name}.{norm}", width)
    for index in range(config["num_layers"]):
        _fusion_layer(out, f"{name}.layers.{index}", config)


def _decoder(out: Shapes, config: dict) -> None:
    width, name = config["hidden_size"], "detr_decoder"
    for index in range(config["num_layers"]):
        layer = f"{name}.layers.{index}"
        for attention in ("self_attn", "text_cross_attn", "vision_cross_attn"):
            _attention(out, f"{layer}.{attention}", width)
            _norm(out, f"{layer}.{attention}_layer_norm", width)
        _mlp(out, f"{layer}.mlp", width, config["intermediate_size"])
        _norm(out, f"{layer}.mlp_layer_norm", width)
    _norm(out, f"{name}.output_layer_norm", width)
    _norm(out, f"{name}.presence_layer_norm", width)
    out[f"{name}.query_embed.weight"] = (config["num_queries"], width)
    out[f"{name}.reference_points.weight"] = (config["num_queries"], 4)
    out[f"{name}.presence_token.weight"] = (1, width)
    _head(out, f"{name}.box_head", [width, width, width, 4])
    _head(out, f"{name}.presence_head", [width, width, width, 1])
    _head(out, f"{name}.ref_point_head", [2 * width, width, width])
    for axis in "xy":
        _head(out, f"{name}.box_rpb_embed_{axis}", [2, width, config["num_attention_heads"]])


def _masks(out: Shapes, config: dict) -> None:
    width, name = config["hidden_size"], "mask_decoder"
    for stage in range(config["num_upsampling_stages"]):
        _conv(out, f"{name}.pixel_decoder.conv_layers.{stage}", width, width, 3)
        _norm(out, f"{name}.pixel_decoder.norms.{stage}", width)
    for layer in range(3):
        _linear(out, f"{name}.mask_embedder.layers.{layer}", width, width)
    _conv(out, f"{name}.instance_projection", width, width, 1)
    _conv(out, f"{name}.semantic_projection", 1, width, 1)
    _attention(out, f"{name}.prompt_cross_attn", width)
    _norm(out, f"{name}.prompt_cross_attn_norm", width)


def _scoring(out: Shapes, config: dict) -> None:
    width, name = config["hidden_size"], "dot_product_scoring"
    _head(out, f"{name}.text_mlp", [width, config["intermediate_size"], width])
    _norm(out, f"{name}.text_mlp_out_norm", width)
    _linear(out, f"{name}.text_proj", width, width)
    _linear(out, f"{name}.query_proj", width, width)


def image_model_shapes(config: dict) -> Shapes:
    """Every tensor of `Sam3Model(config)`; `config` is a complete Sam3Config dictionary."""
    out: Shapes = {}
    _vision(out, config["vision_config"])
    _text(out, config["text_config"], config["detr_encoder_config"]["hidden_size"])
    _geometry(out, config["geometry_encoder_config"])
    for index in range(config["detr_encoder_config"]["num_layers"]):
        _fusion_layer(out, f"detr_encoder.layers.{index}", config["detr_encoder_config"])
    _decoder(out, config["detr_decoder_config"])
    _masks(out, config["mask_decoder_config"])
    _scoring(out, config["detr_decoder_config"])
    return out


def _feed_forward(out: Shapes, name: str, sizes: list[int]) -> None:
    """A head of at least two layers, named proj_in, layers.N, proj_out."""
    last = len(sizes) - 2
    for index, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        part = {0: "proj_in", last: "proj_out"}.get(index, f"layers.{index - 1}")
        _linear(out, f"{name}.{part}", outputs, inputs)


def _projections(out: Shapes, name: str, width: int, inner: int, memory: int | None = None) -> None:
    """Attention whose heads are `inner` wide in all, over keys and values `memory` wide."""
    _linear(out, f"{name}.q_proj", inner, width)
    _linear(out, f"{name}.k_proj", inner, memory or width)
    _linear(out, f"{name}.v_proj", inner, memory or width)
    _linear(out, f"{name}.o_proj", width, inner)


def _sam_prompts(out: Shapes, config: dict) -> None:
    width, channels = config["hidden_size"], config["mask_input_channels"]
    name = "prompt_encoder"
    out["shared_image_embedding.positional_embedding"] = (2, width // 2)
    out[f"{name}.shared_embedding.positional_embedding"] = (2, width // 2)
    _conv(out, f"{name}.mask_embed.conv1", channels // 4, 1, 2)
    _conv(out, f"{name}.mask_embed.conv2", channels, channels // 4, 2)
    _conv(out, f"{name}.mask_embed.conv3", width, channels, 1)
    _norm(out, f"{name}.mask_embed.layer_norm1", channels // 4)
    _norm(out, f"{name}.mask_embed.layer_norm2", channels)
    out[f"{name}.no_mask_embed.weight"] = (1, width)
    out[f"{name}.point_embed.weight"] = (config["num_point_embeddings"], width)
    out[f"{name}.not_a_point_embed.weight"] = (1, width)


def _sam_decoder(out: Shapes, config: dict) -> None:
    width, masks, name = config["hidden_size"], config["num_multimask_outputs"] + 1, "mask_decoder"
    inner = width // config["attention_downsample_rate"]
    out[f"{name}.iou_token.weight"] = (1, width)
    out[f"{name}.mask_tokens.weight"] = (masks, width)
    out[f"{name}.obj_score_token.weight"] = (1, width)
    for index in range(config["num_hidden_layers"]):
        layer = f"{name}.transformer.layers.{index}"
        _projections(out, f"{layer}.self_attn", width, width)
        _projections(out, f"{layer}.cross_attn_token_to_image", width, inner)
        _projections(out, f"{layer}.cross_attn_image_to_token", width, inner)
        _linear(out, f"{layer}.mlp.proj_in", config["mlp_dim"], width)
        # transformers gives each MLP as many layers as there are of these blocks, two at least.
        for more in range(config["num_hidden_layers"] - 2):
            _linear(out, f"{layer}.mlp.layers.{more}", config["mlp_dim"], config["mlp_dim"])
        _linear(out, f"{layer}.mlp.proj_out", width, config["mlp_dim"])
        for norm in range(1, 5):
            _norm(out, f"{layer}.layer_norm{norm}", width)
    _projections(out, f"{name}.transformer.final_attn_token_to_image", width, inner)
    _norm(out, f"{name}.transformer.layer_norm_final_attn", width)
    _deconv(out, f"{name}.upscale_conv1", width, width // 4)
    _deconv(out, f"{name}.upscale_conv2", width // 4, width // 8)
    _norm(out, f"{name}.upscale_layer_norm", width // 4)
    for index in range(masks):
        head = f"{name}.output_hypernetworks_mlps.{index}"
        _feed_forward(out, head, [width, width, width, width // 8])
    hidden = [config["iou_head_hidden_dim"]] * (config["iou_head_depth"] - 1)
    _feed_forward(out, f"{name}.iou_prediction_head", [width, *hidden, masks])
    _feed_forward(out, f"{name}.pred_obj_score_head", [width, width, width, 1])
    _conv(out, f"{name}.conv_s0", width // 8, width, 1)
    _conv(out, f"{name}.conv_s1", width // 4, width, 1)


def _memory_attention(out: Shapes, config: dict) -> None:
    width, name = config["memory_attention_hidden_size"], "memory_attention"
    inner = width // config["memory_attention_downsample_rate"]
    hidden = config["memory_attention_feed_forward_hidden_size"]
    for index in range(config["memory_attention_num_layers"]):
        layer = f"{name}.layers.{index}"
        _projections(out, f"{layer}.self_attn", width, inner)
        _projections(
            out, f"{layer}.cross_attn_image", width, inner, config["memory_encoder_output_channels"]
        )
        _linear(out, f"{layer}.linear1", hidden, width)
        _linear(out, f"{layer}.linear2", width, hidden)
        for norm in range(1, 4):
            _norm(out, f"{layer}.layer_norm{norm}", width)
    _norm(out, f"{name}.layer_norm", width)


def _memory_encoder(out: Shapes, config: dict) -> None:
    width, name = config["memory_encoder_hidden_size"], "memory_encoder"
    stride, total = config["mask_downsampler_stride"], config["mask_downsampler_total_stride"]
    channels, index = 1, 0
    while stride**index < total:
        layer = f"{name}.mask_downsampler.layers.{index}"
        kernel = config["mask_downsampler_kernel_size"]
        _conv(out, f"{layer}.conv", channels * stride**2, channels, kernel)
        channels, index = channels * stride**2, index + 1
        _norm(out, f"{layer}.layer_norm", channels)
    embed = config["mask_downsampler_embed_dim"]
    _conv(out, f"{name}.mask_downsampler.final_conv", embed, channels, 1)
    _conv(out, f"{name}.feature_projection", width, width, 1)
    fused, hidden = config["memory_fuser_embed_dim"], config["memory_fuser_intermediate_dim"]
    for index in range(config["memory_fuser_num_layers"]):
        layer = f"{name}.memory_fuser.layers.{index}"
        out[f"{layer}.scale"] = (fused,)
        kernel = config["memory_fuser_kernel_size"]
        _conv(out, f"{layer}.depthwise_conv", fused, 1, kernel)
        _norm(out, f"{layer}.layer_norm", fused)
        _linear(out, f"{layer}.pointwise_conv1", hidden, fused)
        _linear(out, f"{layer}.pointwise_conv2", fused, hidden)
    _conv(out, f"{name}.projection", config["memory_encoder_output_channels"], width, 1)


def tracker_shapes(tracker: dict, vision: dict) -> Shapes:
    """Every tensor of `tracker_model.` and `tracker_neck.` in a `sam3_video` checkpoint.

    `tracker` is a complete Sam3TrackerVideoConfig dictionary, `vision` the vision_config beside it.
    """
    width, memory = vision["fpn_hidden_size"], tracker["memory_encoder_output_channels"]
    out: Shapes = {
        "no_memory_embedding": (1, 1, width),
        "no_memory_positional_encoding": (1, 1, width),
        "memory_temporal_positional_encoding": (tracker["num_maskmem"], 1, 1, memory),
        "no_object_pointer": (1, width),
        "occlusion_spatial_embedding_parameter": (1, memory),
    }
    _sam_prompts(out, tracker["prompt_encoder_config"])
    _sam_decoder(out, tracker["mask_decoder_config"])
    _memory_attention(out, tracker)
    _memory_encoder(out, tracker)
    _conv(out, "mask_downsample", 1, 1, 4)
    _feed_forward(out, "object_pointer_proj", [width] * 4)
    _linear(out, "temporal_positional_encoding_projection_layer", memory, width)
    named = {f"tracker_model.{name}": shape for name, shape in out.items()}
    neck(named, "tracker_neck", vision)
    return named

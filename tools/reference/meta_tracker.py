"""Meta's tracker and interactive predictor (PyPI `sam3` 0.1.4) at any size, on the CPU in float32.

`build_tracker` of the package with the sizes of a whole checkpoint's configuration; everything that
is no size stays as it is there, so thresholds, memory frames and heads of memory attention are the
package's, not the configuration's.
"""

import json

import checkpoint_files
import make_checkpoint
import meta_model
import numpy as np
import torch
import tracker_model
from scipy import ndimage
from torch import nn
from torch.overrides import TorchFunctionMode


class OnCpu(meta_model.OnCpu):
    """Also turns `.cuda()` and `.to` of a CUDA device into nothing."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.cuda:
            return args[0]
        if function is torch.Tensor.to:
            args = tuple(
                torch.device("cpu") if isinstance(a, torch.device) and a.type == "cuda" else a
                for a in args
            )
        return super().__torch_function__(function, types, args, kwargs)


class KeepFloat(TorchFunctionMode):
    """Leaves out casts to bfloat16."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.to and args[1:] == (torch.bfloat16,):
            return args[0]
        return function(*args, **(kwargs or {}))


def connected_components(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and areas of the 8-connected parts, as the package's CUDA code finds them."""
    planes = mask.reshape(-1, *mask.shape[-2:]).numpy()
    labels, areas = np.zeros(planes.shape, np.int32), np.zeros(planes.shape, np.int32)
    for index, plane in enumerate(planes):
        labels[index], _ = ndimage.label(plane, structure=np.ones((3, 3), int))
        counts = np.bincount(labels[index].reshape(-1))
        counts[0] = 0
        areas[index] = counts[labels[index]]
    return torch.from_numpy(labels).view(mask.shape), torch.from_numpy(areas).view(mask.shape)


def use_components() -> None:
    """Without scikit-image, which the package asks on a CPU."""
    from sam3.perflib import connected_components as module

    module.connected_components = connected_components


def _memory_encoder(tracker: dict, width: int, grid: int) -> nn.Module:
    from sam3.model.memory import CXBlock, SimpleFuser, SimpleMaskDownSampler, SimpleMaskEncoder
    from sam3.model.position_encoding import PositionEmbeddingSine

    channels = tracker["memory_encoder_output_channels"]
    block = CXBlock(dim=width, kernel_size=tracker["memory_fuser_kernel_size"], padding=3)
    # CXBlock fixes the ratio of its MLP at 4.
    inner = tracker["memory_fuser_intermediate_dim"]
    block.pwconv1, block.pwconv2 = nn.Linear(width, inner), nn.Linear(inner, width)
    return SimpleMaskEncoder(
        in_dim=width,
        out_dim=channels,
        position_encoding=PositionEmbeddingSine(num_pos_feats=channels, normalize=True),
        mask_downsampler=SimpleMaskDownSampler(
            embed_dim=width, kernel_size=3, stride=2, padding=1, interpol_size=[16 * grid] * 2
        ),
        fuser=SimpleFuser(layer=block, num_layers=tracker["memory_fuser_num_layers"]),
    )


def _memory_attention(tracker: dict, width: int, grid: int) -> nn.Module:
    from sam3.model.decoder import TransformerDecoderLayerv2, TransformerEncoderCrossAttention
    from sam3.model.model_misc import TransformerWrapper
    from sam3.sam.transformer import RoPEAttention

    options = {"embedding_dim": width, "num_heads": 1, "downsample_rate": 1, "dropout": 0.1}
    options |= {"rope_theta": 10000.0, "feat_sizes": [grid, grid]}
    channels = tracker["memory_encoder_output_channels"]
    layer = TransformerDecoderLayerv2(
        cross_attention_first=False,
        activation="relu",
        dim_feedforward=tracker["memory_attention_feed_forward_hidden_size"],
        dropout=0.1,
        pos_enc_at_attn=False,
        pre_norm=True,
        self_attention=RoPEAttention(**options),
        d_model=width,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=RoPEAttention(**options, kv_in_dim=channels, rope_k_repeat=True),
    )
    encoder = TransformerEncoderCrossAttention(
        remove_cross_attention_layers=[],
        batch_first=True,
        d_model=width,
        frozen=False,
        pos_enc_at_input=True,
        layer=layer,
        num_layers=tracker["memory_attention_num_layers"],
        use_act_checkpoint=False,
    )
    return TransformerWrapper(encoder=encoder, decoder=None, d_model=width)


def _sam_decoder(decoder: dict, width: int) -> nn.Module:
    from sam3.sam.mask_decoder import MaskDecoder
    from sam3.sam.transformer import TwoWayTransformer

    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=decoder["num_hidden_layers"],
            embedding_dim=width,
            mlp_dim=decoder["mlp_dim"],
            num_heads=decoder["num_attention_heads"],
        ),
        transformer_dim=width,
        iou_head_depth=3,
        iou_head_hidden_dim=decoder["iou_head_hidden_dim"],
        use_high_res_features=True,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True,
        dynamic_multimask_via_stability=True,
        dynamic_multimask_stability_delta=0.05,
        dynamic_multimask_stability_thresh=0.98,
    )


def build_tracker(spec: dict, disambiguation: bool = True):
    """Meta's `Sam3TrackerPredictor` without a backbone; call it inside `OnCpu()`."""
    from sam3.model.sam3_tracking_predictor import Sam3TrackerPredictor

    tracker, vision = spec["tracker_config"], spec["config"]["vision_config"]
    width, side = vision["fpn_hidden_size"], vision["backbone_config"]["image_size"]
    grid = side // vision["backbone_config"]["patch_size"]
    decoder = tracker["mask_decoder_config"]

    class Sized(Sam3TrackerPredictor):
        """The base class fixes the sizes of the SAM decoder."""

        def _build_sam_heads(self):
            super()._build_sam_heads()
            self.sam_mask_decoder = _sam_decoder(decoder, width)

    return Sized(
        image_size=side,
        num_maskmem=tracker["num_maskmem"],
        backbone=None,
        backbone_stride=vision["backbone_config"]["patch_size"],
        transformer=_memory_attention(tracker, width, grid),
        maskmem_backbone=_memory_encoder(tracker, width, grid),
        multimask_output_in_sam=True,
        forward_backbone_per_frame_for_eval=True,
        trim_past_non_cond_mem_for_eval=False,
        multimask_output_for_tracking=True,
        multimask_min_pt_num=0,
        multimask_max_pt_num=1,
        always_start_from_first_ann_frame=False,
        non_overlap_masks_for_mem_enc=False,
        non_overlap_masks_for_output=False,
        max_cond_frames_in_attn=4,
        offload_output_to_cpu_for_eval=False,
        clear_non_cond_mem_around_input=True,
        fill_hole_area=0,
        use_memory_selection=disambiguation,
    ).eval()


class Checkpoint:
    """One configuration's weights in Meta's naming, and Meta's classes with them."""

    def __init__(self, name: str) -> None:
        use_components()
        self.name = name
        self.spec = json.loads(
            (tracker_model.ROOT / f"tests/data/configs/{name}.json").read_text(encoding="utf-8")
        )
        weights = make_checkpoint.make_weights(self.spec)
        self.state = {
            key: torch.from_numpy(np.array(values))
            for key, values in checkpoint_files.hf_to_meta(weights, self.spec["config"]).items()
        }
        backbone = self.spec["config"]["vision_config"]["backbone_config"]
        self.side = backbone["image_size"]
        self.grid = self.side // backbone["patch_size"]

    def _load(self, model: nn.Module, prefix: str) -> nn.Module:
        own = {k.removeprefix(prefix): v for k, v in self.state.items() if k.startswith(prefix)}
        model.load_state_dict(own, strict=True)
        return model.eval()

    def tracker(self):
        return self._load(build_tracker(self.spec), "tracker.")

    def image(self, kind: type | None = None, **options):
        """`Sam3Image`, or a class of it, with both necks."""
        model = meta_model.build(
            self.spec["config"], self.spec["tokenizer_merges"], kind, sam2_neck=True, **options
        )
        return self._load(model, "detector.")

    def video(self):
        """`Sam3VideoInference` with the numbers of build_sam3_video_model."""
        from sam3.model.sam3_image import Sam3ImageOnVideoMultiGPU
        from sam3.model.sam3_video_inference import Sam3VideoInference

        class Detector(Sam3ImageOnVideoMultiGPU):
            """Its tracker features stay float32; the class makes them bfloat16."""

            def _build_multigpu_buffer_next_chunk(self, *arguments, **options):
                with KeepFloat():
                    super()._build_multigpu_buffer_next_chunk(*arguments, **options)

        detector = self.image(
            Detector,
            semantic_segmentation_head=None,
            use_early_fusion=True,
            use_dot_prod_scoring=True,
            supervise_joint_box_scores=True,
        )
        tracker = self.tracker()
        return Sam3VideoInference(
            detector=detector,
            tracker=tracker,
            score_threshold_detection=0.5,
            assoc_iou_thresh=0.1,
            det_nms_thresh=0.1,
            new_det_thresh=0.7,
            hotstart_delay=15,
            hotstart_unmatch_thresh=8,
            hotstart_dup_thresh=8,
            suppress_unmatched_only_within_hotstart=True,
            min_trk_keep_alive=-1,
            max_trk_keep_alive=30,
            init_trk_keep_alive=30,
            suppress_overlapping_based_on_recent_occlusion_threshold=0.7,
            suppress_det_close_to_boundary=False,
            fill_hole_area=16,
            recondition_every_nth_frame=16,
            masklet_confirmation_enable=False,
            decrease_trk_keep_alive_for_empty_masklets=False,
            image_size=self.side,
        ).eval()

    def interactive(self):
        """`Sam3Image` with its interactive predictor, as build_sam3_image_model joins them."""
        from sam3.model.sam1_task_predictor import SAM3InteractiveImagePredictor

        model = self.image()
        predictor = SAM3InteractiveImagePredictor(self.tracker())
        predictor._bb_feat_sizes = [(n * self.grid, n * self.grid) for n in (4, 2, 1)]
        model.inst_interactive_predictor = predictor
        return model.eval()

"""What Sam3VideoModel needs besides its own code to run as `hf` means it, on a CPU.

`use_kernels` puts NMS and connected components in the place of the CUDA kernels, without which the
class skips both; `keep_own_ids` lets masks and scores stand under their own ids on the frame where
an object is removed (the class pairs the ids left with the masks before).
"""

import numpy as np
import torch
from scipy import ndimage
from transformers import Sam3VideoModel
from transformers.models.sam3_video import modeling_sam3_video


class Kernels:
    """The two functions of kernels-community/cv-utils that the class calls."""

    @staticmethod
    def generic_nms(
        ious: torch.Tensor, scores: torch.Tensor, threshold: float, use_iou_matrix: bool
    ) -> torch.Tensor:
        """Greedy, by falling score, the first of equals first; gone is what overlaps by more."""
        if not use_iou_matrix:
            raise NotImplementedError
        kept: list[int] = []
        for index in torch.sort(scores, descending=True, stable=True).indices.tolist():
            if all(ious[index, other] <= threshold for other in kept):
                kept.append(index)
        return torch.tensor(kept, dtype=torch.int64)

    @staticmethod
    def cc_2d(mask: torch.Tensor, get_counts: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels of the 8-connected parts and for each pixel the area of its part, [n, 1, H, W]."""
        labels = np.zeros(tuple(mask.shape), np.int32)
        counts = np.zeros(tuple(mask.shape), np.int32)
        for index, plane in enumerate(mask[:, 0].numpy()):
            labels[index, 0], _ = ndimage.label(plane, structure=np.ones((3, 3), int))
            areas = np.bincount(labels[index, 0].reshape(-1))
            areas[0] = 0
            counts[index, 0] = areas[labels[index, 0]]
        return torch.from_numpy(labels), torch.from_numpy(counts)


def use_kernels() -> None:
    modeling_sam3_video.cv_utils_kernel = Kernels
    modeling_sam3_video._load_cv_utils_kernel_once = lambda: None


def keep_own_ids(model: Sam3VideoModel) -> None:
    propagate, build = model.run_tracker_propagation, model.build_outputs
    whole = model._det_track_one_frame

    def run_tracker_propagation(inference_session, frame_idx, reverse):
        inference_session.ids_before = list(inference_session.obj_ids)
        return propagate(inference_session, frame_idx=frame_idx, reverse=reverse)

    def build_outputs(inference_session, **options):
        now, inference_session.obj_ids = inference_session.obj_ids, inference_session.ids_before
        masks = build(inference_session=inference_session, **options)
        inference_session.obj_ids = now
        return masks

    def det_track_one_frame(inference_session, frame_idx, reverse, streaming=False):
        masks, scores, metadata, tracked = whole(
            inference_session, frame_idx=frame_idx, reverse=reverse, streaming=streaming
        )
        before, after = inference_session.ids_before, metadata["obj_ids"]
        own = dict(zip(before, tracked if len(before) else []))
        own |= {obj_id: -1e4 for obj_id in before if obj_id not in after}
        own |= {obj_id: scores[obj_id] for obj_id in after if obj_id not in before}
        metadata["obj_id_to_tracker_score_frame_wise"][frame_idx] = own
        return masks, scores, metadata, tracked

    model.run_tracker_propagation = run_tracker_propagation
    model.build_outputs = build_outputs
    model._det_track_one_frame = det_track_one_frame

"""Runs exported graphs under ONNX Runtime, chained as docs/graphs.md says."""

from pathlib import Path

import goldens as golden_data
import numpy as np
import onnxruntime

FILES = {
    "vision_encoder": "vision_encoder.onnx",
    "text_encoder": "detector.text_encoder.onnx",
    "geometry_encoder": "detector.geometry_encoder.onnx",
    "detector": "detector.onnx",
    "mask_head": "detector.mask_head.onnx",
}


class Graphs:
    """The five graphs of one folder."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.sessions = {
            name: onnxruntime.InferenceSession(
                str(folder / file), options, providers=["CPUExecutionProvider"]
            )
            for name, file in FILES.items()
        }

    def run(self, name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = self.sessions[name]
        inputs = {value.name: tensors[value.name] for value in session.get_inputs()}
        names = [value.name for value in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs)))

    def run_prompts(
        self, data: golden_data.Goldens, prompts: list, images: list[str], slots: int
    ) -> dict[str, np.ndarray]:
        """All tensors for `prompts` on `images` in one batch, every query's mask included."""
        config = data.spec["config"]
        grid = config["vision_config"]["backbone_config"]
        grid = grid["image_size"] // grid["patch_size"]
        bins = config["geometry_encoder_config"]["roi_size"]
        pixels = [data.pixel_values(image) for image in images]
        tensors = {"pixel_values": np.concatenate(pixels)}
        tensors |= self.run("vision_encoder", tensors)
        tensors["input_ids"] = np.stack(
            [data.tensors[f"{prompt.key}/input_ids"] for prompt in prompts]
        )
        tensors |= self.run("text_encoder", tensors)
        tensors["image_index"] = np.array([images.index(p.image) for p in prompts], np.int64)
        boxes = [
            golden_data.geometry_inputs(
                golden_data.normalised_boxes(prompt), prompt.labels, slots, grid, bins
            )
            for prompt in prompts
        ]
        tensors |= {name: np.concatenate([box[name] for box in boxes]) for name in boxes[0]}
        tensors |= self.run("geometry_encoder", tensors)
        tensors["prompt_mask"] = np.concatenate(
            [self._text_mask(data, tensors["input_ids"]), self._box_mask(data, tensors)], axis=1
        )
        tensors |= self.run("detector", tensors)
        count, queries = tensors["pred_logits"].shape
        tensors["prompt_index"] = np.arange(count, dtype=np.int64)
        tensors["query_index"] = np.tile(np.arange(queries, dtype=np.int64), (count, 1))
        return tensors | self.run("mask_head", tensors)

    @staticmethod
    def _text_mask(data: golden_data.Goldens, ids: np.ndarray) -> np.ndarray:
        """Valid up to and including the first end mark."""
        ends = ids == data.spec["config"]["text_config"]["eos_token_id"]
        return (np.cumsum(ends, axis=1) - ends == 0).astype(np.float32)

    @staticmethod
    def _box_mask(data: golden_data.Goldens, tensors: dict[str, np.ndarray]) -> np.ndarray:
        boxes = tensors["box_mask"]
        has_boxes = boxes.any(axis=1, keepdims=True)
        has_cls = has_boxes | (data.semantics == "meta")
        return np.concatenate([boxes, has_cls.astype(np.float32)], axis=1)

"""Runs the held-out set through transformers: Sam3Processor, Sam3Model and its post-processing."""

import numpy as np
import torch
from PIL import Image
from suite import Suite, pixel_box
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

LOWEST = 0.05


def repeat_vision(vision, count: int) -> Sam3VisionEncoderOutput:
    return Sam3VisionEncoderOutput(
        last_hidden_state=None,
        fpn_hidden_states=tuple(x.expand(count, -1, -1, -1) for x in vision.fpn_hidden_states),
        fpn_position_encoding=tuple(
            x.expand(count, -1, -1, -1) for x in vision.fpn_position_encoding
        ),
    )


def convert(processor, output, size: tuple[int, int]) -> list[dict]:
    count = len(output.pred_logits)
    parts = processor.post_process_instance_segmentation(
        output, threshold=LOWEST, mask_threshold=0.5, target_sizes=[size] * count
    )
    presence = output.presence_logits.sigmoid().flatten().tolist()
    return [
        {
            "presence": value,
            "detections": [
                (float(s), m.astype(bool))
                for s, m in zip(part["scores"].tolist(), part["masks"].cpu().numpy())
            ],
        }
        for value, part in zip(presence, parts)
    ]


@torch.no_grad()
def run(model, processor, suite: Suite, device: str = "cpu") -> list[dict]:
    """A result for every case of the suite, in its order."""
    results: list[dict] = [{} for _ in suite.cases]
    for index, scene in enumerate(suite.scenes):
        size = scene.ids.shape
        image = Image.fromarray(scene.image)
        pixels = processor(images=image, return_tensors="pt")["pixel_values"].to(device)
        vision = model.get_vision_features(pixels)
        own = [i for i, case in enumerate(suite.cases) if case.scene == index]
        texts = [i for i in own if not suite.cases[i].boxes]
        tokens = processor(text=[suite.cases[i].text for i in texts], return_tensors="pt")
        output = model(vision_embeds=repeat_vision(vision, len(texts)), **tokens.to(device))
        for i, result in zip(texts, convert(processor, output, size)):
            results[i] = result
        for i in own:
            case = suite.cases[i]
            if case.boxes:
                boxes = np.array([[pixel_box(scene, item) for item, _ in case.boxes]])
                inputs = processor(
                    text=None if case.text == "visual" else [case.text],
                    input_boxes=boxes.tolist(),
                    input_boxes_labels=[[label for _, label in case.boxes]],
                    original_sizes=[list(size)],
                    return_tensors="pt",
                )
                inputs.pop("original_sizes", None)
                output = model(vision_embeds=vision, **inputs.to(device))
                results[i] = convert(processor, output, size)[0]
    return results

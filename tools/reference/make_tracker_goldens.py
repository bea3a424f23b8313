"""Makes tests/data/goldens/hf/NAME.components: every component of the tracker on its own.

    OMP_NUM_THREADS=1 python tools/reference/make_tracker_goldens.py

Inputs and outputs have the names and shapes of the exported graphs. An input is stored whole, or is
what an earlier case gave: then its key is that output's. tests/data/goldens/README.md says more.
"""

import argparse
from pathlib import Path

import clip_scenes
import golden_store
import numpy as np
import torch
import torch.nn.functional as F
import tracker_model
import transformers

Tensors = dict[str, torch.Tensor]
SCENES = (("harbour", 10), ("meadow", 3))


class Components:
    """The parts of Sam3VideoModel behind the inputs and outputs of the exported graphs."""

    def __init__(self, name: str) -> None:
        self.model = tracker_model.Checkpoint(name).video()
        self.tracker = self.model.tracker_model
        self.decoder = self.tracker.mask_decoder
        self.side = self.model.config.image_size
        # One call gives all masks; the tokens behind them are what the transformer gives.
        self.decoder._dynamic_multimask_via_stability = lambda masks, scores: (masks, scores)
        self.decoder.transformer.register_forward_hook(
            lambda _module, _inputs, output: setattr(self, "tokens", output[0])
        )

    def vision_encoder(self, pixel_u8: np.ndarray) -> Tensors:
        values = torch.from_numpy(pixel_u8.transpose(0, 3, 1, 2).copy()).float()
        encoded = self.model.detector_model.get_vision_features(
            pixel_values=(values - 127.5) / 127.5
        )
        features = encoded.last_hidden_state
        return {"vision_features": features.reshape(len(features), -1, features.shape[-1])}

    def tracker_neck(self, vision_features: torch.Tensor) -> Tensors:
        grid = self.tracker.prompt_encoder.image_embedding_size
        spatial = vision_features.reshape(len(vision_features), *grid, -1).permute(0, 3, 1, 2)
        maps, _ = self.model.tracker_neck(spatial)
        return {
            "tracker_feat_0": self.decoder.conv_s0(maps[0]),
            "tracker_feat_1": self.decoder.conv_s1(maps[1]),
            "tracker_feat_2": maps[2],
            "object_features": maps[2] + self.tracker.no_memory_embedding.reshape(1, -1, 1, 1),
        }

    def sam_decoder(self, inputs: Tensors) -> Tensors:
        place = self.tracker.get_image_wide_positional_embeddings()
        encoder, found = self.tracker.prompt_encoder, []
        for i in range(len(inputs["feature_index"])):
            row, image = inputs["feature_index"][i], inputs["image_index"][i]
            sparse = encoder._embed_points(
                inputs["point_coords"][i][None, None], inputs["point_labels"][i][None, None], False
            )
            if inputs["has_mask"][i]:
                dense = encoder.mask_embed(inputs["mask_input"][i : i + 1])
            else:
                size = encoder.image_embedding_size
                dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, *size)
            masks, scores, _, appears = self.decoder(
                image_embeddings=inputs["object_features"][row][None],
                image_positional_embeddings=place,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
                high_resolution_features=[
                    inputs["tracker_feat_0"][image][None],
                    inputs["tracker_feat_1"][image][None],
                ],
            )
            tokens = self.tokens[:, 0, 2 : 2 + self.decoder.num_mask_tokens]
            pointers = self.tracker.object_pointer_proj(tokens)
            if appears[0, 0, 0] <= 0:
                pointers = self.tracker.no_object_pointer[None].expand_as(pointers)
            found.append((masks[0, 0], scores[0, 0], appears[0, 0], pointers[0]))
        names = ("sam_masks", "iou_scores", "object_score", "object_pointers")
        return {name: torch.stack([f[i] for f in found]) for i, name in enumerate(names)}

    def mask_prompt(self, inputs: Tensors) -> Tensors:
        down = self.tracker.mask_downsample(inputs["object_mask"])
        size = self.tracker.prompt_encoder.mask_input_size
        return {
            "mask_input": F.interpolate(
                down, size, mode="bilinear", align_corners=False, antialias=True
            )
        }

    def memory_encoder(self, inputs: Tensors) -> Tensors:
        memories = []
        config = self.tracker.config
        for i in range(len(inputs["image_index"])):
            features = inputs["tracker_feat_2"][inputs["image_index"][i]][None]
            mask, score = inputs["memory_mask"][i : i + 1], inputs["object_score"][i]
            binary = bool(inputs["is_binary"][i])
            stored, _ = self.tracker._encode_new_memory(
                current_vision_feats=features.flatten(2).permute(2, 0, 1),
                pred_masks_high_res=mask,
                object_score_logits=score.reshape(1, 1, 1),
                is_mask_from_pts=binary,
            )
            # The same once more, without the rounding to bfloat16.
            mask = (mask > 0).float() if binary else mask.sigmoid()
            mask = mask * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
            memory, _ = self.tracker.memory_encoder(features, mask)
            if score <= 0:
                memory = (
                    memory + self.tracker.occlusion_spatial_embedding_parameter[..., None, None]
                )
            memory = memory.flatten(2).permute(2, 0, 1)
            if not torch.equal(memory.to(torch.bfloat16), stored):
                raise SystemExit("memory_encoder: not what _encode_new_memory stores")
            memories.append(memory[:, 0])
        return {"frame_memory": torch.stack(memories)}

    def memory_attention(self, inputs: Tensors) -> Tensors:
        tracker, found = self.tracker, []
        grid = tracker.prompt_encoder.image_embedding_size
        place = tracker.memory_encoder.position_encoding
        spatial = place((1, tracker.mem_dim, *grid), "cpu", torch.float32)
        spatial = spatial.flatten(2).permute(2, 0, 1)
        query = self.model.tracker_neck.position_encoding(
            (1, tracker.hidden_dim, *grid), "cpu", torch.float32
        )
        query = query.flatten(2).permute(2, 0, 1)
        for i in range(len(inputs["image_index"])):
            features = inputs["tracker_feat_2"][inputs["image_index"][i]][None]
            frames, times = inputs["memory_features"][i], inputs["memory_time"][i]
            memory = [frame[:, None] for frame in frames]
            places = [spatial + tracker.memory_temporal_positional_encoding[t] for t in times]
            count = 0
            if len(inputs["memory_pointers"][i]):
                # Divided by 1: the times are divided already.
                pointers, pointer_places = tracker._process_object_pointers(
                    inputs["pointer_time"][i].tolist(),
                    [pointer[None] for pointer in inputs["memory_pointers"][i]],
                    2,
                    1,
                    tracker.hidden_dim,
                    torch.device("cpu"),
                )
                memory.append(pointers)
                places.append(pointer_places)
                count = len(pointers)
            out = tracker.memory_attention(
                current_vision_features=features.flatten(2).permute(2, 0, 1),
                current_vision_position_embeddings=query,
                memory=torch.cat(memory),
                memory_posision_embeddings=torch.cat(places),
                num_object_pointer_tokens=count,
            )
            found.append(out.squeeze(1).transpose(1, 2).reshape(-1, *grid))
        return {"object_features": torch.stack(found)}


class Maker:
    """Runs the cases and collects what they take and give."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts = Components(name)
        self.rng = np.random.default_rng(7)
        self.cases: list[dict] = []
        self.golden = golden_store.GoldenFile(
            {
                "reference": "Hugging Face transformers, the parts of Sam3VideoModel",
                "versions": {
                    "transformers": transformers.__version__,
                    "torch": torch.__version__,
                },
                "device": "cpu",
                "dtype": "float32",
                "attention": "eager",
                "checkpoint": f"tests/data/configs/{name}.json",
                "command": "python tools/reference/make_tracker_goldens.py",
            }
        )
        self.keys: dict[int, str] = {}
        self.codes: dict[int, tuple] = {}
        self.kept: list[torch.Tensor] = []

    def case(self, component: str, name: str, inputs: Tensors) -> Tensors:
        function = getattr(self.parts, component)
        outputs = function(**inputs) if component == "tracker_neck" else function(inputs)
        where = f"{component}/{name}"
        entry = {"name": where, "component": component, "inputs": {}, "outputs": {}}
        for key, value in inputs.items():
            if id(value) not in self.keys:
                self.store(f"{where}/in/{key}", value)
            entry["inputs"][key] = self.keys[id(value)]
        for key, value in outputs.items():
            self.golden.add(f"{where}/out/{key}", value.contiguous().numpy())
            entry["outputs"][key] = f"{where}/out/{key}"
            self.keys[id(value)] = f"{where}/out/{key}"
            self.kept.append(value)
        self.cases.append(entry)
        return outputs

    def store(self, key: str, value: torch.Tensor) -> None:
        """Stores an input whole, once for all cases; as bytes where `coded` made it."""
        self.keys[id(value)] = key
        self.kept.append(value)
        if (code := self.codes.get(id(value))) is not None:
            self.golden.add_coded(key, *code)
        else:
            self.golden.add(key, value.contiguous().numpy(), whole=True)

    def coded(self, values: torch.Tensor) -> torch.Tensor:
        """The nearest values of 256 that are a power of two apart, and so exact in bfloat16."""
        scale = 2.0 ** np.ceil(np.log2(max(float(values.abs().max()), 1e-6) / 127))
        codes = (values / scale).round().clamp(-128, 127)
        result = (codes * scale).contiguous()
        bytes_ = (codes + 128).to(torch.uint8).contiguous().numpy()
        self.codes[id(result)] = (bytes_, float(scale), float(-128 * scale))
        self.kept.append(result)
        return result

    def random(self, *shape: int) -> torch.Tensor:
        return torch.from_numpy(self.rng.standard_normal(shape).astype(np.float32))

    def points(self, objects: list[list[tuple[float, float, int]]]) -> Tensors:
        side = self.parts.side
        coords = [[(x * side, y * side) for x, y, _ in tokens] for tokens in objects]
        labels = [[label for _, _, label in tokens] for tokens in objects]
        return {
            "point_coords": torch.tensor(coords, dtype=torch.float32),
            "point_labels": torch.tensor(labels, dtype=torch.int64),
        }

    def make(self) -> None:
        scenes = [clip_scenes.draw(clip_scenes.load(clip), t) for clip, t in SCENES]
        pixel_u8 = np.stack([tracker_model.resized(s[0], self.parts.side) for s in scenes])
        encoded = self.parts.vision_encoder(pixel_u8)
        self.golden.add("vision_encoder/scenes/in/pixel_u8", pixel_u8, whole=True)
        features = encoded["vision_features"]
        self.golden.add("vision_encoder/scenes/out/vision_features", features.numpy())
        self.keys[id(features)] = "vision_encoder/scenes/out/vision_features"
        self.cases.append(
            {
                "name": "vision_encoder/scenes",
                "component": "vision_encoder",
                "inputs": {"pixel_u8": "vision_encoder/scenes/in/pixel_u8"},
                "outputs": {"vision_features": "vision_encoder/scenes/out/vision_features"},
            }
        )
        neck = self.case("tracker_neck", "two_images", encoded)
        masks = self.scene_masks(scenes)
        self.decoder_cases(neck, masks)
        memory = self.memory_cases(neck, masks)
        self.attention_cases(neck, memory)

    def scene_masks(self, scenes: list) -> torch.Tensor:
        """Masks of things of the scenes at the model's size, 0..1: [5, 1, S, S]."""
        chosen = [
            scenes[0][1][0],
            scenes[0][1][1],
            scenes[0][1][2],
            scenes[1][1][0],
            scenes[1][1][2],
        ]
        size = (self.parts.side, self.parts.side)
        return torch.cat(
            [
                F.interpolate(
                    torch.from_numpy(mask[None, None].astype(np.float32)),
                    size,
                    mode="bilinear",
                    antialias=True,
                )
                for mask in chosen
            ]
        )

    def decoder_cases(self, neck: Tensors, masks: torch.Tensor) -> None:
        shared = {key: neck[key] for key in ("object_features", "tracker_feat_0", "tracker_feat_1")}
        low = self.parts.tracker.prompt_encoder.mask_input_size
        none = self.coded(torch.zeros(3, 1, *low))

        def case(name: str, objects: list, rows: list[int], mask=None, has=None) -> Tensors:
            count = len(objects)
            return self.case(
                "sam_decoder",
                name,
                shared
                | self.points(objects)
                | {
                    "feature_index": torch.tensor(rows),
                    "image_index": torch.tensor(rows),
                    "mask_input": self.coded(none[:count]) if mask is None else mask,
                    "has_mask": torch.zeros(count) if has is None else torch.tensor(has),
                },
            )

        pad = (0.0, 0.0, -1)
        empty = (0.0, 0.0, -10)
        case("one_click", [[(0.2, 0.35, 1), pad]], [0])
        case(
            "several_clicks",
            [
                [(0.7, 0.45, 1), (0.3, 0.35, 0), (0.62, 0.52, 1), pad],
                [(0.4, 0.35, 1), empty, empty, pad],
                [(0.25, 0.75, 1), (0.9, 0.1, 0), empty, pad],
            ],
            [0, 0, 1],
        )
        case(
            "boxes_and_points",
            [
                [(0.05, 0.15, 2), (0.35, 0.5, 3), empty, pad],
                [(0.6, 0.3, 2), (0.95, 0.7, 3), (0.8, 0.45, 1), pad],
            ],
            [0, 0],
        )
        logits = F.interpolate(masks[[0, 3, 4]] * 20 - 10, low, mode="bilinear", antialias=True)
        logits = self.coded(logits + self.random(*logits.shape) * 0.5)
        case(
            "mask_prompts",
            [[pad, pad], [(0.4, 0.5, 1), pad], [(0.25, 0.75, 1), pad]],
            [0, 1, 1],
            logits,
            [1.0, 1.0, 0.0],
        )
        case(
            "nothing_there", [[(0.95, 0.95, 1), pad], [(0.02, 0.02, 0), pad], [pad, pad]], [0, 1, 1]
        )
        soft = torch.cat([(masks[:1] >= 0.5).float(), masks[3:4]])
        self.case("mask_prompt", "binary_and_soft", {"object_mask": self.coded(soft)})

    def memory_cases(self, neck: Tensors, masks: torch.Tensor) -> torch.Tensor:
        size = [16 * side for side in self.parts.tracker.prompt_encoder.image_embedding_size]
        logits = F.interpolate(masks[[0, 1, 3, 4]] * 20 - 10, size, mode="bilinear", antialias=True)
        gain = torch.tensor([1, 0.3, 0.5, 1]).reshape(-1, 1, 1, 1)
        outputs = self.case(
            "memory_encoder",
            "binary_and_not",
            {
                "tracker_feat_2": neck["tracker_feat_2"],
                "image_index": torch.tensor([0, 0, 1, 1]),
                "memory_mask": self.coded(logits * gain),
                "is_binary": torch.tensor([1.0, 0.0, 0.0, 1.0]),
                "object_score": torch.tensor([[5.0], [3.0], [-2.0], [-10.0]]),
            },
        )
        return outputs["frame_memory"]

    def attention_cases(self, neck: Tensors, memory: torch.Tensor) -> None:
        tracker = self.parts.tracker
        last = tracker.num_maskmem - 1
        shared = neck["tracker_feat_2"]
        decoded = self.parts.tracker.no_object_pointer
        pointers = torch.cat([self.random(11, tracker.hidden_dim), decoded])

        def case(name: str, rows: list[int], frames: list, times: list, chosen: list, ages: list):
            wide = (len(rows), len(chosen[0]), tracker.hidden_dim)
            self.case(
                "memory_attention",
                name,
                {
                    "tracker_feat_2": shared,
                    "image_index": torch.tensor(rows),
                    "memory_features": self.coded(torch.stack([memory[f] for f in frames])),
                    "memory_time": torch.tensor(times),
                    "memory_pointers": torch.stack([pointers[c] for c in chosen]).reshape(wide),
                    "pointer_time": torch.tensor(ages, dtype=torch.float32).reshape(wide[:2]),
                },
            )

        case("one_frame_no_pointers", [0], [[1]], [[last]], [[]], [[]])
        case("two_objects", [0, 1], [[0], [3]], [[last], [last]], [[0], [1]], [[1 / 15], [-0.2]])
        case(
            "three_frames",
            [1, 1],
            [[0, 1, 2], [3, 3, 0]],
            [[last, 1, 0], [last, last, 0]],
            [[0, 1, 2, 11], [3, 4, 5, 6]],
            [[3 / 15, 2 / 15, 1 / 15, 5 / 15], [1.0, 0.4, 0.2, 2.5]],
        )
        count = min(tracker.num_maskmem, 4)
        times = [last, *range(count - 2, -1, -1)]
        case(
            "all_slots",
            [0],
            [[0, 1, 2, 3][:count]],
            [times],
            [[*range(7)]],
            [[i / 15 for i in range(1, 8)]],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="only this one, for example video_a")
    parser.add_argument("--output", type=Path, default=tracker_model.ROOT / "tests/data/goldens/hf")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    golden_store.MAX_VALUES = 1024
    for name in arguments.config or tracker_model.CONFIGS:
        maker = Maker(name)
        with torch.inference_mode():
            maker.make()
        maker.golden.write(arguments.output, f"{name}.components", maker.cases)


if __name__ == "__main__":
    main()

"""Writes SAM 3 weights as Meta's sam3.pt: Meta's names and packing, torch's zip format. Only numpy.

    python tools/reference/checkpoint_files.py HUGGING_FACE_FOLDER sam3.pt [--nested]

The folder holds config.json and model.safetensors (F32 or F16, one file). As a module: `hf_to_meta`
renames and packs, `write_torch_zip` writes any dictionary of arrays, `read_safetensors` reads.
"""

import argparse
import json
import re
import zipfile
from pathlib import Path

import numpy as np

Tensors = dict[str, np.ndarray]

# Hugging Face name -> Meta name, first match wins; facts from transformers' convert_sam3_to_hf.py.
_RENAMES = [
    (
        r"vision_encoder\.backbone\.embeddings\.patch_embeddings\.projection",
        "V.trunk.patch_embed.proj",
    ),
    (r"vision_encoder\.backbone\.embeddings\.position_embeddings", "V.trunk.pos_embed"),
    (r"vision_encoder\.backbone\.layer_norm\.", "V.trunk.ln_pre."),
    (r"vision_encoder\.backbone\.layers\.(\d+)\.layer_norm(\d)", r"V.trunk.blocks.\1.norm\2"),
    (r"vision_encoder\.backbone\.layers\.(\d+)\.attention\.o_proj", r"V.trunk.blocks.\1.attn.proj"),
    (r"vision_encoder\.backbone\.layers\.(\d+)\.attention", r"V.trunk.blocks.\1.attn"),
    (r"vision_encoder\.backbone\.layers\.(\d+)\.mlp", r"V.trunk.blocks.\1.mlp"),
    (r"NECK\.fpn_layers\.0\.scale_layers\.0", "CONVS.0.dconv_2x2_0"),
    (r"NECK\.fpn_layers\.0\.scale_layers\.2", "CONVS.0.dconv_2x2_1"),
    (r"NECK\.fpn_layers\.(\d)\.scale_layers\.0", r"CONVS.\1.dconv_2x2"),
    (r"NECK\.fpn_layers\.(\d)\.proj1", r"CONVS.\1.conv_1x1"),
    (r"NECK\.fpn_layers\.(\d)\.proj2", r"CONVS.\1.conv_3x3"),
    (r"text_encoder\.text_projection\.weight", "L.encoder.text_projection"),
    (r"text_projection\.", "L.resizer."),
    (r"text_encoder\.text_model\.embeddings\.token_embedding", "L.encoder.token_embedding"),
    (
        r"text_encoder\.text_model\.embeddings\.position_embedding\.weight",
        "L.encoder.positional_embedding",
    ),
    (r"text_encoder\.text_model\.final_layer_norm", "L.encoder.ln_final"),
    (r"TEXT\.(\d+)\.layer_norm(\d)", r"L.encoder.transformer.resblocks.\1.ln_\2"),
    (r"TEXT\.(\d+)\.self_attn", r"L.encoder.transformer.resblocks.\1.attn"),
    (r"TEXT\.(\d+)\.mlp\.fc1", r"L.encoder.transformer.resblocks.\1.mlp.c_fc"),
    (r"TEXT\.(\d+)\.mlp\.fc2", r"L.encoder.transformer.resblocks.\1.mlp.c_proj"),
    (r"geometry_encoder\.vision_layer_norm", "geometry_encoder.img_pre_norm"),
    (r"geometry_encoder\.prompt_layer_norm", "geometry_encoder.norm"),
    (r"geometry_encoder\.output_layer_norm", "geometry_encoder.encode_norm"),
    (r"(?:geometry_encoder|detr_encoder)\.layers\.(\d+)\.layer_norm(\d)", r"STACK.\1.norm\2"),
    (r"(?:geometry_encoder|detr_encoder)\.layers\.(\d+)\.mlp\.fc(\d)", r"STACK.\1.linear\2"),
    (r"(?:geometry_encoder|detr_encoder)\.layers\.(\d+)\.cross_attn", r"STACK.\1.cross_attn_image"),
    (r"(?:geometry_encoder|detr_encoder)\.layers\.(\d+)\.self_attn", r"STACK.\1.self_attn"),
    (r"detr_decoder\.layers\.(\d+)\.self_attn_layer_norm", r"DEC.layers.\1.norm2"),
    (r"detr_decoder\.layers\.(\d+)\.text_cross_attn_layer_norm", r"DEC.layers.\1.catext_norm"),
    (r"detr_decoder\.layers\.(\d+)\.vision_cross_attn_layer_norm", r"DEC.layers.\1.norm1"),
    (r"detr_decoder\.layers\.(\d+)\.mlp_layer_norm", r"DEC.layers.\1.norm3"),
    (r"detr_decoder\.layers\.(\d+)\.text_cross_attn", r"DEC.layers.\1.ca_text"),
    (r"detr_decoder\.layers\.(\d+)\.vision_cross_attn", r"DEC.layers.\1.cross_attn"),
    (r"detr_decoder\.layers\.(\d+)\.self_attn", r"DEC.layers.\1.self_attn"),
    (r"detr_decoder\.layers\.(\d+)\.mlp\.fc(\d)", r"DEC.layers.\1.linear\2"),
    (r"detr_decoder\.output_layer_norm", "DEC.norm"),
    (r"detr_decoder\.presence_layer_norm", "DEC.presence_token_out_norm"),
    (r"detr_decoder\.box_rpb_embed_([xy])\.layer(\d)", r"DEC.boxRPB_embed_\1.layers.<\2>"),
    (r"detr_decoder\.box_head\.layer(\d)", r"DEC.bbox_embed.layers.<\1>"),
    (r"detr_decoder\.presence_head\.layer(\d)", r"DEC.presence_token_head.layers.<\1>"),
    (r"detr_decoder\.ref_point_head\.layer(\d)", r"DEC.ref_point_head.layers.<\1>"),
    (r"detr_decoder\.", "DEC."),
    (r"dot_product_scoring\.text_mlp_out_norm", "dot_prod_scoring.prompt_mlp.out_norm"),
    (r"dot_product_scoring\.text_mlp\.layer(\d)", r"dot_prod_scoring.prompt_mlp.layers.<\1>"),
    (r"dot_product_scoring\.text_proj", "dot_prod_scoring.prompt_proj"),
    (r"dot_product_scoring\.query_proj", "dot_prod_scoring.hs_proj"),
    (r"mask_decoder\.mask_embedder", "segmentation_head.mask_predictor.mask_embed"),
    (r"mask_decoder\.instance_projection", "segmentation_head.instance_seg_head"),
    (r"mask_decoder\.semantic_projection", "segmentation_head.semantic_seg_head"),
    (r"mask_decoder\.prompt_cross_attn_norm", "segmentation_head.cross_attn_norm"),
    (r"mask_decoder\.prompt_cross_attn", "segmentation_head.cross_attend_prompt"),
    (r"mask_decoder\.pixel_decoder", "segmentation_head.pixel_decoder"),
]


# The same for the tensors of `tracker_model.`; <N> as above.
_TRACKER_RENAMES = [
    (r"shared_image_embedding\.", "P.pe_layer."),
    (r"prompt_encoder\.mask_embed\.conv1\.", "P.mask_downscaling.0."),
    (r"prompt_encoder\.mask_embed\.layer_norm1\.", "P.mask_downscaling.1."),
    (r"prompt_encoder\.mask_embed\.conv2\.", "P.mask_downscaling.3."),
    (r"prompt_encoder\.mask_embed\.layer_norm2\.", "P.mask_downscaling.4."),
    (r"prompt_encoder\.mask_embed\.conv3\.", "P.mask_downscaling.6."),
    (r"prompt_encoder\.", "P."),
    (r"mask_decoder\.upscale_conv1\.", "M.output_upscaling.0."),
    (r"mask_decoder\.upscale_layer_norm\.", "M.output_upscaling.1."),
    (r"mask_decoder\.upscale_conv2\.", "M.output_upscaling.3."),
    (r"mask_decoder\.transformer\.layer_norm_final_attn\.", "M.transformer.norm_final_attn."),
    (r"mask_decoder\.transformer\.layers\.(\d+)\.layer_norm", r"M.transformer.layers.\1.norm"),
    (
        r"mask_decoder\.transformer\.layers\.(\d+)\.mlp\.proj_in",
        r"M.transformer.layers.\1.mlp.lin1",
    ),
    (
        r"mask_decoder\.transformer\.layers\.(\d+)\.mlp\.proj_out",
        r"M.transformer.layers.\1.mlp.lin2",
    ),
    (r"mask_decoder\.", "M."),
    (r"memory_attention\.layer_norm\.", "transformer.encoder.norm."),
    (r"memory_attention\.layers\.(\d+)\.layer_norm", r"transformer.encoder.layers.\1.norm"),
    (r"memory_attention\.", "transformer.encoder."),
    (
        r"memory_encoder\.mask_downsampler\.layers\.(\d+)\.conv\.",
        r"B.mask_downsampler.encoder.{\1}.",
    ),
    (r"memory_encoder\.mask_downsampler\.final_conv\.", "B.mask_downsampler.encoder.{last}."),
    (
        r"memory_encoder\.mask_downsampler\.layers\.(\d+)\.layer_norm\.",
        r"B.mask_downsampler.encoder.{\1+}.",
    ),
    (r"memory_encoder\.memory_fuser\.layers\.(\d+)\.depthwise_conv", r"B.fuser.layers.\1.dwconv"),
    (r"memory_encoder\.memory_fuser\.layers\.(\d+)\.layer_norm", r"B.fuser.layers.\1.norm"),
    (r"memory_encoder\.memory_fuser\.layers\.(\d+)\.pointwise_conv", r"B.fuser.layers.\1.pwconv"),
    (r"memory_encoder\.memory_fuser\.layers\.(\d+)\.scale", r"B.fuser.layers.\1.gamma"),
    (r"memory_encoder\.feature_projection\.", "B.pix_feat_proj."),
    (r"memory_encoder\.projection\.", "B.out_proj."),
    (r"object_pointer_proj\.", "obj_ptr_proj."),
    (r"temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
    (r"memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
    (r"no_memory_embedding$", "no_mem_embed"),
    (r"no_memory_positional_encoding$", "no_mem_pos_enc"),
    (r"no_object_pointer$", "no_obj_ptr"),
    (r"occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
]


def tracker_to_meta(tensors: Tensors) -> Tensors:
    """The `tracker.` part of Meta's state dict from the tensors named `tracker_model.`.

    Meta keeps a row of point_embed per tensor and the Gaussian matrix once; all projections of
    attention stay apart.
    """
    prefix = "tracker_model."
    names = [name.removeprefix(prefix) for name in tensors if name.startswith(prefix)]
    steps = sum(
        bool(re.fullmatch(r".*mask_downsampler\.layers\.\d+\.conv\.bias", n)) for n in names
    )
    state: Tensors = {}
    for name in names:
        values = tensors[prefix + name]
        if name == "prompt_encoder.shared_embedding.positional_embedding":
            continue
        if name == "prompt_encoder.point_embed.weight":
            for row in range(len(values)):
                target = f"tracker.sam_prompt_encoder.point_embeddings.{row}.weight"
                state[target] = values[row : row + 1]
            continue
        for pattern, replacement in _TRACKER_RENAMES:
            target, count = re.subn(f"^{pattern}", replacement, name, count=1)
            if count == 1:
                break
        else:
            target = name
        target = target.replace("{last}", str(3 * steps)).replace(".o_proj.", ".out_proj.")
        # A step of the downsampler is three modules of a sequence: convolution, norm, activation.
        target = re.sub(r"\{(\d+)(\+?)\}", lambda m: str(3 * int(m[1]) + len(m[2])), target)
        if re.search(r"(_mlps\.\d|_head|obj_ptr_proj)\.", target):
            depth = sum(
                n.startswith(name[: re.search(r"(_mlps\.\d|_head|_proj)\.", name).end()])
                and n.endswith(".bias")
                for n in names
            )
            target = target.replace("proj_in", "layers.<0>").replace(
                "proj_out", f"layers.<{depth - 1}>"
            )
            target = re.sub(r"layers\.(\d+)", lambda m: f"layers.{int(m[1]) + 1}", target)
            target = re.sub(r"<(\d+)>", r"\1", target)
        for short, long in (
            ("P.", "sam_prompt_encoder."),
            ("M.", "sam_mask_decoder."),
            ("B.", "maskmem_backbone."),
        ):
            if target.startswith(short):
                target = long + target[len(short) :]
        target = target.replace("pe_layer.positional_embedding", GAUSSIAN)
        state[f"tracker.{target}"] = values
    return state


GAUSSIAN = "pe_layer.positional_encoding_gaussian_matrix"


def meta_name(name: str) -> str:
    """Meta's name of a Hugging Face image-model tensor, q/k/v still apart, without "detector."."""
    neck = "tracker_neck" if name.startswith("tracker_neck.") else "vision_encoder.neck"
    convs = "V.sam2_convs" if neck == "tracker_neck" else "V.convs"
    stack = (
        "transformer.encoder.layers"
        if name.startswith("detr_encoder.")
        else "geometry_encoder.encode"
    )
    for pattern, replacement in _RENAMES:
        pattern = pattern.replace("NECK", re.escape(neck))
        pattern = pattern.replace("TEXT", r"text_encoder\.text_model\.encoder\.layers")
        replaced, count = re.subn(f"^{pattern}", replacement, name, count=1)
        if count == 1:
            break
    else:
        replaced = name  # the geometry encoder's other tensors keep their names
    replaced = re.sub(r"<(\d)>", lambda match: str(int(match[1]) - 1), replaced)
    for short, long in (
        ("CONVS", convs),
        ("STACK", stack),
        ("DEC", "transformer.decoder"),
        ("V.", "backbone.vision_backbone."),
        ("L.", "backbone.language_backbone."),
    ):
        if replaced.startswith(short):
            replaced = long + replaced[len(short) :]
    return replaced.replace(".o_proj.", ".out_proj.")


def axial_rotations(side: int, head_dim: int, theta: float, scale: float) -> np.ndarray:
    """complex64 [side * side, head_dim / 2]: half of the pairs turn with x, half with y."""
    exponent = np.arange(0, head_dim, 4, dtype=np.float32) / np.float32(head_dim)
    frequency = np.float32(1.0) / np.float32(theta) ** exponent
    token = np.arange(side * side, dtype=np.float32)
    x = np.outer(token % side * np.float32(scale), frequency)
    y = np.outer(token // side * np.float32(scale), frequency)
    angle = np.concatenate([x, y], axis=1)
    return (np.cos(angle) + 1j * np.sin(angle)).astype(np.complex64)


def hf_to_meta(tensors: Tensors, config: dict, freqs: bool = True, points: bool = True) -> Tensors:
    """The state dict of Meta's model: names, packed attention, CLS row, `freqs_cis`, point weights.

    `tensors` has the names of Sam3Model; `tracker_neck.*` may be among them and becomes sam2_convs,
    and so may `tracker_model.*`, which becomes `tracker.`.
    `config` is a Sam3Config dictionary. The CLS row and the point weights, which SAM 3 does not
    use, are zeros. Meta's code has head dimension 64 in the text tower, and so must `config`.
    """
    state: Tensors = {}
    for name, values in tensors.items():
        if name.startswith("tracker_model."):
            continue
        target = meta_name(name)
        if name.endswith("embeddings.position_embeddings"):
            cls_row = np.zeros_like(values[:, :1])
            values = np.concatenate([cls_row, values], axis=1)
        elif name == "text_encoder.text_projection.weight":
            values = np.ascontiguousarray(values.T)
        elif match := re.fullmatch(r"(.*)\.q_proj\.(weight|bias)", name):
            parts = [tensors[f"{match[1]}.{part}_proj.{match[2]}"] for part in "qkv"]
            values = np.concatenate(parts, axis=0)
            module = meta_name(f"{match[1]}.q_proj.{match[2]}").rsplit(".", 2)[0]
            packed = "qkv." if ".trunk." in target else "in_proj_"
            target = f"{module}.{packed}{match[2]}"
        elif re.search(r"\.[kv]_proj\.(weight|bias)$", name):
            continue
        state[f"detector.{target}"] = values
    if freqs:
        _add_rotations(state, config)
    if points:
        _add_points(state, config)
    return state | tracker_to_meta(tensors)


def _add_rotations(state: Tensors, config: dict) -> None:
    backbone = config["vision_config"]["backbone_config"]
    head_dim = backbone["hidden_size"] // backbone["num_attention_heads"]
    theta = backbone.get("rope_parameters", {}).get("rope_theta", 10000.0)
    window = backbone["window_size"]
    grid = backbone["image_size"] // backbone["patch_size"]
    for block in range(backbone["num_hidden_layers"]):
        is_global = block in backbone["global_attn_indexes"]
        side, scale = (grid, window / grid) if is_global else (window, 1.0)
        name = f"detector.backbone.vision_backbone.trunk.blocks.{block}.attn.freqs_cis"
        state[name] = axial_rotations(side, head_dim, theta, scale)


def _add_points(state: Tensors, config: dict) -> None:
    width = config["geometry_encoder_config"]["hidden_size"]
    inputs = {
        "points_direct_project": 2,
        "points_pool_project": width,
        "points_pos_enc_project": width,
    }
    for name, count in inputs.items():
        state[f"detector.geometry_encoder.{name}.weight"] = np.zeros((width, count), np.float32)
        state[f"detector.geometry_encoder.{name}.bias"] = np.zeros(width, np.float32)


_STORAGES = {
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "F64": "DoubleStorage",
    "C64": "ComplexFloatStorage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "BOOL": "BoolStorage",
}
_CODES = {
    "f4": "F32",
    "f2": "F16",
    "f8": "F64",
    "c8": "C64",
    "i8": "I64",
    "i4": "I32",
    "b1": "BOOL",
}


class _StatePickler:
    """Pickle protocol 2 of a dictionary of tensors as torch.save writes it, opcode by opcode."""

    def __init__(self, keep_views: bool) -> None:
        self.out = bytearray(b"\x80\x02")
        self.storages: list[np.ndarray] = []
        self._keys: dict[tuple[int, str], int] = {}
        self._keep_views = keep_views

    def text(self, value: str) -> None:
        raw = value.encode()
        self.out += b"X" + len(raw).to_bytes(4, "little") + raw

    def integer(self, value: int) -> None:
        if -(2**31) <= value < 2**31:
            self.out += b"J" + value.to_bytes(4, "little", signed=True)
        else:
            raw = value.to_bytes(8, "little", signed=True)
            self.out += b"\x8a" + bytes([len(raw)]) + raw

    def tuple_of(self, values: tuple[int, ...]) -> None:
        self.out += b"("
        for value in values:
            self.integer(int(value))
        self.out += b"t"

    def tensor(self, array: np.ndarray, code: str) -> None:
        base = array
        while self._keep_views and isinstance(base.base, np.ndarray):
            base = base.base
        if not base.flags.c_contiguous:
            array = base = np.ascontiguousarray(array)
        offset = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        key = self._keys.setdefault((id(base), code), len(self._keys))
        if key == len(self.storages):
            self.storages.append(base)
        self.out += b"ctorch._utils\n_rebuild_tensor_v2\n(("
        self.text("storage")
        self.out += f"ctorch\n{_STORAGES[code]}\n".encode()
        self.text(str(key))
        self.text("cpu")
        self.integer(base.size)
        self.out += b"tQ"
        self.integer(offset // array.itemsize)
        self.tuple_of(array.shape)
        self.tuple_of(tuple(stride // array.itemsize for stride in array.strides))
        self.out += b"\x89ccollections\nOrderedDict\n)RtR"

    def state(self, tensors: Tensors, dtypes: dict[str, str]) -> None:
        self.out += b"ccollections\nOrderedDict\n)R("
        for name, array in tensors.items():
            self.text(name)
            self.tensor(array, dtypes.get(name) or _CODES[array.dtype.str[1:]])
        self.out += b"u"


def write_torch_zip(
    path: Path,
    tensors: Tensors,
    *,
    nested: bool = False,
    keep_views: bool = False,
    dtypes: dict[str, str] | None = None,
) -> None:
    """Writes what torch.load(weights_only=True) reads as a state dict.

    `nested` puts it under "model". With `keep_views`, arrays that are views of one array share its
    storage and keep their offset and strides, as torch does; otherwise every array is written
    densely. `dtypes` names the type of an array whose numpy type does not say it (BF16 as uint16).
    """
    pickler = _StatePickler(keep_views)
    if nested:
        pickler.out += b"}"
        pickler.text("model")
    kept = tensors if keep_views else {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    pickler.state(kept, dtypes or {})
    pickler.out += b"s." if nested else b"."
    root = Path(path).stem
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes | memoryview) -> None:
            # A fixed time keeps the bytes the same from run to run.
            entry = zipfile.ZipInfo(f"{root}/{name}", (1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=len(content) >= 2**31) as file:
                file.write(content)

        add("data.pkl", bytes(pickler.out))
        add("byteorder", b"little")
        for key, storage in enumerate(pickler.storages):
            little = np.ascontiguousarray(storage, storage.dtype.newbyteorder("<")).reshape(-1)
            add(f"data/{key}", little.view(np.uint8).data)
        add("version", b"3\n")


def read_safetensors(path: Path) -> Tensors:
    """All tensors of a file with F32, F16 and U8 tensors."""
    raw = Path(path).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "F16": "<f2", "U8": "u1"}
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        data = np.frombuffer(raw[8 + size + begin : 8 + size + end], types[entry["dtype"]])
        tensors[name] = data.reshape(entry["shape"])
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="Hugging Face folder")
    parser.add_argument("output", type=Path, help="file to write, sam3.pt")
    parser.add_argument("--nested", action="store_true", help='put the state dict under "model"')
    arguments = parser.parse_args()
    config = json.loads((arguments.folder / "config.json").read_text(encoding="utf-8"))
    tensors = read_safetensors(arguments.folder / "model.safetensors")
    if config["model_type"] == "sam3_video":
        config = config["detector_config"]
        tensors = {name.removeprefix("detector_model."): v for name, v in tensors.items()}
    write_torch_zip(arguments.output, hf_to_meta(tensors, config), nested=arguments.nested)


if __name__ == "__main__":
    main()

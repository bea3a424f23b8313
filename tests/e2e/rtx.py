"""Parses and compiles ONNX graphs with NVIDIA's TensorRT-RTX builder, which needs no GPU.

Packages: tensorrt-rtx-cu13-libs and tensorrt-rtx-cu13-bindings from PyPI.
"""

from pathlib import Path

try:
    import tensorrt_rtx_bindings as trt
    import tensorrt_rtx_libs  # noqa: F401  loads the shared libraries that the bindings need

    REASON = ""
except ImportError as missing:
    trt = None
    REASON = f"TensorRT-RTX is not installed ({missing}): pip install tensorrt-rtx-cu13-libs"
    REASON += " tensorrt-rtx-cu13-bindings"

# Smallest, typical and largest value of every dynamic dimension (docs/graphs.md).
RANGES = {"B": (1, 2, 4), "P": (1, 2, 8), "K": (1, 2, 8), "R": (1, 2, 4), "M": (1, 2, 8)}


class CompileError(RuntimeError):
    pass


def _extent(symbol: str, point: int) -> int:
    """Value of "P" or of a sum such as "K + 33" at the smallest, typical or largest point."""
    terms = [term.strip() for term in symbol.split("+")]
    return sum(int(term) if term.isdigit() else RANGES[term][point] for term in terms)


def _add_profile(builder, network, config) -> None:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shapes = [
            [
                size if size >= 0 else _extent(tensor.get_dimension_name(axis), point)
                for axis, size in enumerate(tensor.shape)
            ]
            for point in range(3)
        ]
        profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)


_logger = None


def compile_graph(path: Path, capability: str = "SM89") -> int:
    """Bytes of the engine built from `path` for that compute capability; raises CompileError."""
    global _logger  # TensorRT keeps the first logger of a process
    _logger = _logger or trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(_logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, _logger)
    if not parser.parse_from_file(str(path)):
        errors = [str(parser.get_error(index)) for index in range(parser.num_errors)]
        raise CompileError(f"{path}: not parsed: " + "; ".join(errors))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    _add_profile(builder, network, config)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise CompileError(f"{path}: parsed, but not compiled for {capability}")
    return engine.nbytes

"""Times PyTorch's fused attentions at the sizes of SAM 3's vision encoder, in float16.

    python bench/attention_baseline.py

Beside what build/tests/kernels_check prints for this project's kernels, which also rotate queries
and keys. Prints one JSON object per line.
"""

import json

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

CASES = {
    "9 windows of 576": (9, 576),
    "one of 5184": (1, 5184),
    "72 windows of 576": (72, 576),
}
HEADS, HEAD_DIM = 16, 64
BACKENDS = {
    "FlashAttention-2": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
}


def microseconds_of(call, warm_up: int = 5, iterations: int = 50) -> float:
    for _ in range(warm_up):
        call()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(iterations):
        call()
    end.record()
    end.synchronize()
    return 1000 * begin.elapsed_time(end) / iterations


def main() -> None:
    torch.manual_seed(0)
    for case, (windows, tokens) in CASES.items():
        shape = (windows, HEADS, tokens, HEAD_DIM)
        q, k, v = (torch.randn(shape, device="cuda", dtype=torch.float16) for _ in range(3))
        for name, backend in BACKENDS.items():
            with sdpa_kernel(backend):
                time = microseconds_of(
                    lambda q=q, k=k, v=v: torch.nn.functional.scaled_dot_product_attention(q, k, v)
                )
            result = {"case": case, "attention": name, "microseconds": round(time, 2)}
            print(json.dumps(result | {"gpu": torch.cuda.get_device_name()}), flush=True)


if __name__ == "__main__":
    main()

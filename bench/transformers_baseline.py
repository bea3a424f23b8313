"""Times Hugging Face transformers' Sam3Model in half precision on a GPU, eager and compiled.

    python bench/transformers_baseline.py CHECKPOINT [--prompts 1 4] [--no-compile]

What a user would run instead of this project: model forward only, no pre- and post-processing.
Prints one JSON object per line.
"""

import argparse
import json
import statistics
import time

import torch
from transformers import Sam3Model


def times_of(call, warm_up: int, iterations: int) -> dict[str, float]:
    for _ in range(warm_up):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(iterations):
        begin = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - begin))
    times.sort()
    p95 = times[round(0.95 * (len(times) - 1))]
    return {"median_ms": round(statistics.median(times), 3), "p95_ms": round(p95, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="folder in Hugging Face's format")
    parser.add_argument("--prompts", type=int, nargs="+", default=[1])
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()

    model = Sam3Model.from_pretrained(options.checkpoint, dtype=torch.float16).cuda().eval()
    size = model.config.vision_config.backbone_config.image_size
    length = model.config.text_config.max_position_embeddings
    text = model.config.text_config
    torch.manual_seed(0)

    def inputs(prompts: int) -> dict[str, torch.Tensor]:
        ids = torch.full((prompts, length), text.eos_token_id, device="cuda")
        ids[:, :4] = torch.randint(1, 400, (prompts, 4), device="cuda")
        pixels = torch.randn(1, 3, size, size, device="cuda", dtype=torch.float16)
        mask = torch.zeros_like(ids)
        mask[:, :5] = 1
        return {
            "pixel_values": pixels.expand(prompts, -1, -1, -1).contiguous(),
            "input_ids": ids,
            "attention_mask": mask,
        }

    forms = ["eager"] + ([] if options.no_compile else ["compiled"])
    for form in forms:
        run = torch.compile(model) if form == "compiled" else model
        for prompts in options.prompts:
            batch = inputs(prompts)
            with torch.inference_mode():
                vision = times_of(
                    lambda batch=batch: model.vision_encoder(batch["pixel_values"][:1]), 3, 10
                )
                begin = time.perf_counter()
                run(**batch)
                torch.cuda.synchronize()
                first = time.perf_counter() - begin
                whole = times_of(lambda run=run, batch=batch: run(**batch), 5, options.iterations)
            print(
                json.dumps(
                    {
                        "transformers": form,
                        "gpu": torch.cuda.get_device_name(),
                        "precision": "fp16",
                        "prompts": prompts,
                        "model": whole,
                        "vision_encoder_eager": vision,
                        "first_call_s": round(first, 1),
                        "memory_bytes": torch.cuda.max_memory_allocated(),
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()

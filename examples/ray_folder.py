"""Segments a folder of images on a Ray cluster, or on this machine alone.

    python examples/ray_folder.py PHOTOS FOUND --model ENGINES --text dog --actors 8 --num-gpus 1

Folders must be on storage that all nodes see. Start it again after whatever ended it: it does what
is missing. Read the result with anything that knows Parquet:

    duckdb -c "select prompt, count(*) from 'FOUND/*.parquet' where score > 0.8 group by prompt"
"""

import argparse

import ray
import sam3trt.ray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="folder of images, searched with the folders in it")
    parser.add_argument("output", help="folder for Parquet files")
    parser.add_argument("--model", required=True, help="folder of TensorRT engines or ONNX graphs")
    parser.add_argument("--text", nargs="+", required=True, help="what to look for")
    parser.add_argument("--actors", type=int, default=1, help="processes with a model")
    parser.add_argument("--num-gpus", type=float, default=0, help="GPUs of each, may be 0.5")
    parser.add_argument("--address", help="of a running cluster; without it one of this machine")
    options = parser.parse_args()

    ray.init(address=options.address)
    summary = sam3trt.ray.segment_images(
        options.images,
        options.output,
        model=options.model,
        text=options.text,
        actors=options.actors,
        num_gpus=options.num_gpus,
    )
    print(summary)


if __name__ == "__main__":
    main()

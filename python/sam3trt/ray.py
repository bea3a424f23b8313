"""Segments images on a Ray cluster into Parquet files, each image once.

    import sam3trt.ray
    sam3trt.ray.segment_images("photos", "found", model="/shared/engines", text=["dog"], num_gpus=1)

Needs Ray Data: `pip install 'sam3trt[ray]'`. Actors hold the model; they write each batch as a part
of the output folder, which all nodes must see, before it counts as done. Run again after whatever
ended a run, it does what is missing. An image that cannot be read is a row with its error, and so
is one that ends the process that works on it: batches that were lost are done again image by image.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from . import parquet

_SUFFIXES = frozenset(".avif .bmp .gif .heic .heif .jpeg .jpg .png .ppm .tif .tiff .webp".split())
#: Images whose results are lost together when an actor ends; also how often tasks are scheduled.
_IMAGES_PER_BLOCK = 64
#: CPUs of a task that reads files.
_READER_CPUS = 0.25
_JOB = b"sam3trt.job"


def images_under(folder: str | os.PathLike) -> list[str]:
    """Paths of the image files in a folder and the folders in it, sorted."""
    found = Path(folder).rglob("*")
    return sorted(os.fspath(path) for path in found if path.suffix.lower() in _SUFFIXES)


def _read(row: dict[str, Any]) -> dict[str, Any]:
    """Adds a file's bytes, or why there are none."""
    path = row["path"]
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            data, error = file.read(), None
    except OSError as failure:
        return {"path": path, "data": b"", "error": str(failure), "bytes": None, "modified": None}
    modified = status.st_mtime_ns
    return {"path": path, "data": data, "error": error, "bytes": len(data), "modified": modified}


def _write_part(entries: Sequence[Mapping[str, Any]], output: str, job: str) -> None:
    """Writes a part whose name says which images it has: twice the same is once."""
    import pyarrow.parquet

    paths = "\n".join(sorted(json.dumps(entry["path"]) for entry in entries))
    name = f"part-{hashlib.sha256(paths.encode()).hexdigest()[:24]}.parquet"
    unfinished = Path(output) / f".{name}.{os.uname().nodename}.{os.getpid()}.unfinished"
    table = parquet.table_of(entries).replace_schema_metadata({_JOB: job})
    pyarrow.parquet.write_table(table, unfinished, compression="zstd")
    unfinished.rename(Path(output) / name)


class _Worker:
    """An actor: a model, and the batches that it is given."""

    def __init__(
        self, load: Callable[[], Any], settings: dict[str, Any], output: str, job: str
    ) -> None:
        self._segmenter = load()
        self._settings = settings
        self._output, self._job = output, job

    def __call__(self, batch: Any) -> dict[str, list[Any]]:
        rows = batch.to_pylist()
        readable = [row for row in rows if row["error"] is None]
        results = (
            self._segmenter([row["data"] for row in readable], **self._settings, errors="return")
            if readable
            else []
        )
        entries = [self._entry(row, None) for row in rows if row["error"] is not None]
        entries += [self._entry(row, result) for row, result in zip(readable, results)]
        _write_part(entries, self._output, self._job)
        return {"path": [entry["path"] for entry in entries]}

    def _entry(self, row: dict[str, Any], result: Any) -> dict[str, Any]:
        if result is None:
            entry = {"error": row["error"]}
        elif isinstance(result, Exception):
            entry = {"error": str(result)}
        else:
            entry = result.to_entry()
        return entry | {key: row[key] for key in ("path", "bytes", "modified")}


@contextmanager
def _lost_blocks_allowed(count: int) -> Iterator[None]:
    """Blocks may fail: what they had is found to be missing afterwards.

    Not -1 for any number: a dead actor is then not replaced (ray-project/ray issue 62746).
    """
    from ray.data import DataContext

    context = DataContext.get_current()
    before = context.max_errored_blocks
    context.max_errored_blocks = count
    try:
        yield
    finally:
        context.max_errored_blocks = before


def _tried_twice() -> dict[str, int]:
    """Actors that end are started again; a batch that ended one is tried once more.

    Ray's own choice is to try for ever. These two have no other way in until Ray 2.64.
    """
    return {"max_restarts": -1, "max_task_retries": 1}


def _run(paths: list[str], worker: dict[str, Any], batch_size: int, **actor: Any) -> None:
    """One pass over the paths; what is lost is lost."""
    import ray.data

    size = _IMAGES_PER_BLOCK if batch_size > 1 else 1
    blocks = -(-len(paths) // size)
    strategy = ray.data.ActorPoolStrategy(
        size=min(actor.pop("actors"), blocks),
        # An image that ends its actor takes no other with it when images go one by one.
        max_tasks_in_flight_per_actor=None if batch_size > 1 else 1,
    )
    with _lost_blocks_allowed(blocks):
        items = [{"path": path} for path in paths]
        images = ray.data.from_items(items, override_num_blocks=blocks)
        done = images.map(_read, num_cpus=_READER_CPUS).map_batches(
            _Worker,
            fn_constructor_kwargs=worker,
            batch_size=batch_size,
            batch_format="pyarrow",
            compute=strategy,
            ray_remote_args_fn=_tried_twice,
            **actor,
        )
        for _ in done.iter_batches(batch_size=None):
            pass


def segment_images(
    images: str | os.PathLike | Iterable[str | os.PathLike],
    output: str | os.PathLike,
    model: str | os.PathLike | None = None,
    text: str | Sequence[str] | None = None,
    *,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    actors: int = 1,
    num_gpus: float = 0,
    num_cpus: float = 0.25,
    batch_size: int = 8,
    load: Callable[[], Any] | None = None,
) -> dict[str, int]:
    """Segments images into the Parquet parts of a folder; columns are those of `sam3trt.parquet`.

    Args:
        images: A folder, or paths. As `output` and `model` they are on storage that all nodes see.
        output: Folder of the parts. Images that its parts have already are left out.
        model: Folder of TensorRT engines or ONNX graphs.
        text: What to look for, one text or several.
        threshold: Instances above this score are kept.
        mask_threshold: Pixels above this probability belong to a mask.
        actors: Processes that hold a model.
        num_gpus: GPUs of an actor: 1, or 0.5 for two actors on a card.
        num_cpus: CPUs that Ray sets aside for an actor. A fraction leaves some for reading files.
        batch_size: Images in a call of the model, and in a part.
        load: Makes the model instead of `sam3trt.Segmenter(model)`; called in each actor.

    Returns:
        {"images": those of the output, "failed": those of them with an error,
        "new": those that this run added}.

    Raises:
        ValueError: The output is of a run with other prompts or thresholds, or the actors need all
            CPUs of the cluster.
    """
    import ray

    if load is None:
        if model is None or not Path(model).is_dir():
            raise ValueError(f"model: {model!r} is not a folder of engines or graphs")
        from .segmenter import Segmenter

        load = partial(Segmenter, os.fspath(model))
    paths = images_under(images) if isinstance(images, (str, os.PathLike)) else images
    paths = list(dict.fromkeys(os.fspath(path) for path in paths))
    settings = {"text": text, "threshold": threshold, "mask_threshold": mask_threshold}
    job = json.dumps(settings, sort_keys=True)
    Path(output).mkdir(parents=True, exist_ok=True)
    _check_job(output, job)
    for unfinished in Path(output).glob(".part-*.unfinished"):
        unfinished.unlink(missing_ok=True)  # of a run that was killed
    if not ray.is_initialized():
        ray.init()
    cpus = ray.cluster_resources().get("CPU", 0)
    if actors * num_cpus + _READER_CPUS > cpus:
        raise ValueError(
            f"{actors} actors of {num_cpus} CPUs leave none of the cluster's {cpus:g} for reading "
            "files, so the job would wait for ever; lower num_cpus or actors"
        )
    worker = {"load": load, "settings": settings, "output": os.fspath(output), "job": job}
    actor = {"actors": actors, "num_gpus": num_gpus, "num_cpus": num_cpus}
    before = _paths_in(output)
    for size in (batch_size, 1):
        missing = _missing(paths, output)
        if missing:
            _run(missing, worker, size, **actor)
    lost = _missing(paths, output)
    if lost:
        reason = "the process that worked on it ended, twice in a batch of its own"
        for first in range(0, len(lost), parquet.IMAGES_PER_PART):
            some = lost[first : first + parquet.IMAGES_PER_PART]
            entries = [{"path": path, "error": reason} for path in some]
            _write_part(entries, os.fspath(output), job)
    return _summary(output, before)


def _paths_in(output: str | os.PathLike) -> set[str]:
    return {row["path"] for row in parquet.images_in(output)}


def _missing(paths: list[str], output: str | os.PathLike) -> list[str]:
    done = _paths_in(output)
    return [path for path in paths if path not in done]


def _check_job(output: str | os.PathLike, job: str) -> None:
    import pyarrow.parquet

    for part in parquet.parts_of(output)[:1]:
        found = (pyarrow.parquet.read_schema(part).metadata or {}).get(_JOB, b"").decode()
        if found != job:
            raise ValueError(
                f"{os.fspath(output)} holds results of another job ({found or 'not of Ray'}), this "
                f"one is {job}; name another folder"
            )


def _summary(output: str | os.PathLike, before: set[str]) -> dict[str, int]:
    import pyarrow.compute
    import pyarrow.dataset

    found = pyarrow.dataset.dataset(output, format="parquet", schema=parquet.schema())
    failed = found.count_rows(filter=~pyarrow.compute.field("error").is_null())
    paths = _paths_in(output)
    return {"images": len(paths), "failed": failed, "new": len(paths - before)}

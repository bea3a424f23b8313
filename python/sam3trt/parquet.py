"""Writes results as Parquet files: one row per instance, one for an image without any.

    sam3trt infer ... --format jsonl | python -m sam3trt.parquet FOLDER
    python -m sam3trt.parquet --paths FOLDER

The first reads JSON Lines, one entry of `images` a line, and writes part-00000.parquet,
part-00001.parquet and so on into FOLDER: a new one for every 1,000 images, at an empty line, and at
the end. Each is written under a temporary name and renamed; then a line with its name and number of
images, "part-00003.parquet 1000", goes to standard output. The second prints a JSON line with path,
bytes and modified for each image in the finished parts.

One process writes into a folder at a time; others wait for it, and give up after a minute. This
file needs pyarrow and Python's own library alone, and runs as a script as well.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

IMAGES_PER_PART = 1000
#: A part is also finished when its lines are this long together, so that memory stays bounded.
BYTES_PER_PART = 256 << 20
WAIT_SECONDS = 60.0

# Exit codes, as the program's.
_OTHER = 1
_BAD_INPUT = 2
_NOT_AVAILABLE = 3


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Parquet needs the package pyarrow: pip install 'sam3trt[parquet]'"
        ) from error
    return pyarrow


def schema() -> Any:
    """The columns, as a `pyarrow.Schema`.

    path; width, height of the image in pixels; prompt (null for example boxes alone); presence,
    score: probabilities; box: x0 y0 x1 y1 in pixels; area: pixels of the mask; mask: size
    [height, width] and counts, COCO's compressed run lengths; error: why an image has no result;
    bytes, modified: size of the image's file and its time of change in nanoseconds since 1970.
    Columns of an instance are null in the row of an image without any.
    """
    arrow = _pyarrow()
    mask = arrow.struct([("size", arrow.list_(arrow.int32())), ("counts", arrow.string())])
    return arrow.schema(
        [
            arrow.field("path", arrow.string(), nullable=False),
            ("width", arrow.int32()),
            ("height", arrow.int32()),
            ("prompt", arrow.string()),
            ("presence", arrow.float32()),
            ("score", arrow.float32()),
            ("box", arrow.list_(arrow.float32())),
            ("area", arrow.int64()),
            ("mask", mask),
            ("error", arrow.string()),
            ("bytes", arrow.int64()),
            ("modified", arrow.int64()),
        ]
    )


def rows_of(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of one entry of `images`; ValueError when it is not one."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str):
        raise ValueError('expected an entry of "images", an object with "path"')
    if "prompts" not in entry and "error" not in entry:
        raise ValueError(f'the entry of {entry["path"]} has neither "prompts" nor "error"')
    image = {key: entry.get(key) for key in ("path", "width", "height", "error")}
    image |= {key: entry.get(key) for key in ("bytes", "modified")}
    try:
        rows = [
            image
            | {
                "prompt": prompt["text"],
                "presence": prompt["presence"],
                "score": found["score"],
                "box": found["box"],
                "area": found["area"],
                "mask": {"size": found["mask"]["size"], "counts": found["mask"]["counts"]},
            }
            for prompt in entry.get("prompts") or []
            for found in prompt["instances"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"the entry of {entry['path']} is malformed: {error!r}") from error
    return rows or [image]


def table_of(entries: Iterable[Mapping[str, Any]]) -> Any:
    """The `pyarrow.Table` of entries of `images`; ValueError when one is malformed."""
    arrow = _pyarrow()
    rows = [row for entry in entries for row in rows_of(entry)]
    try:
        return arrow.Table.from_pylist(rows, schema=schema())
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, TypeError, OverflowError) as error:
        raise ValueError(f"an entry has a value of the wrong type: {error}") from error


@contextlib.contextmanager
def _alone(folder: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Keeps other processes off the folder: what a killed program left unfinished comes first."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        end = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise BlockingIOError(
                        f"{folder}: another process writes Parquet files here; "
                        "wait for its end, or name another folder"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def parts_of(folder: str | os.PathLike) -> list[Path]:
    """The finished parts of a folder, in order."""
    return sorted(Path(folder).glob("part-*.parquet"))


class PartWriter:
    """Writes entries of `images` into the parts of a folder, which is made when it is missing.

    Use it as a context manager. Parts that are there already are kept, and numbers go on after
    the last one.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        images_per_part: int = IMAGES_PER_PART,
        bytes_per_part: int = BYTES_PER_PART,
    ) -> None:
        if images_per_part < 1:
            raise ValueError(f"images_per_part is {images_per_part}, expected at least 1")
        _pyarrow()
        self.folder = Path(folder)
        self.images_per_part = images_per_part
        self.bytes_per_part = bytes_per_part
        self._tables: list[Any] = []
        self._bytes = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> PartWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(_alone(self.folder))
        for unfinished in self.folder.glob(".part-*.parquet.unfinished"):
            unfinished.unlink()
        numbers = [path.stem.removeprefix("part-") for path in parts_of(self.folder)]
        self._next = max((int(text) for text in numbers if text.isdigit()), default=-1) + 1
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        with self._stack:
            self.flush()

    def write(self, entry: Mapping[str, Any], size_bytes: int = 0) -> tuple[Path, int] | None:
        """Adds one image; when that finishes a part, its path and number of images.

        `size_bytes` is the length of the entry's text. Raises ValueError for a malformed entry,
        which is then left out.
        """
        self._tables.append(table_of([entry]).replace_schema_metadata(_origin_of(entry)))
        self._bytes += size_bytes
        if len(self._tables) < self.images_per_part and self._bytes < self.bytes_per_part:
            return None
        return self.flush()

    def flush(self) -> tuple[Path, int] | None:
        """Finishes the part that is begun; its path and number of images, None without any."""
        arrow = _pyarrow()
        if not self._tables:
            return None
        # That of an image without a result does not say what was looked for.
        origin = max((table.schema.metadata or {} for table in self._tables), key=len)
        table = arrow.concat_tables(self._tables).replace_schema_metadata(origin)
        path = self.folder / f"part-{self._next:05d}.parquet"
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            with unfinished.open("wb") as file:
                arrow.parquet.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
        images = len(self._tables)
        self._tables, self._bytes = [], 0
        self._next += 1
        return path, images


_ORIGIN = ("version", "backend", "semantics")


def _origin_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """What a part's metadata say of all its rows."""
    origin = {f"sam3trt.{key}": str(entry[key]) for key in _ORIGIN if key in entry}
    if "prompts" in entry:
        keys = ("text", "boxes", "box_labels")
        prompts = [{key: prompt.get(key) for key in keys} for prompt in entry["prompts"]]
        origin["sam3trt.prompts"] = json.dumps(prompts, ensure_ascii=False)
    return origin


def write_parquet(
    entries: Iterable[Any], folder: str | os.PathLike, images_per_part: int = IMAGES_PER_PART
) -> list[Path]:
    """Writes Results, or entries of `images`, into the parts of a folder; returns their paths."""
    written = []
    with PartWriter(folder, images_per_part) as writer:
        for entry in entries:
            written.append(writer.write(entry.to_entry() if hasattr(entry, "to_entry") else entry))
        written.append(writer.flush())
    return [part[0] for part in written if part is not None]


def images_in(
    folder: str | os.PathLike, like: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """path, bytes and modified of each image in the finished parts, part by part.

    Raises ValueError for a part that cannot be read, and, where an entry `like` those of another
    run is given, for one that was made with other prompts or by another kind of model.
    """
    arrow = _pyarrow()
    columns = ["path", "bytes", "modified"]
    with _alone(Path(folder)):
        for part in parts_of(folder):
            last = None
            try:
                with arrow.parquet.ParquetFile(part) as file:
                    _check_origin(file.schema_arrow.metadata or {}, _origin_of(like or {}))
                    for name in columns:
                        if file.schema_arrow.field(name).type != schema().field(name).type:
                            raise KeyError(f"the column {name} is {file.schema_arrow.field(name)}")
                    for batch in file.iter_batches(columns=columns):
                        for row in batch.to_pylist():
                            if row != last:  # an image's rows follow each other
                                yield row
                            last = row
            except _OtherOrigin as error:
                raise ValueError(f"{part}: {error}; name another folder") from None
            except (arrow.ArrowException, KeyError) as error:
                raise ValueError(
                    f"{part}: is not a part of results ({error}); remove it to have its images "
                    "computed again"
                ) from error


class _OtherOrigin(ValueError):
    """The part is whole, but not of this job."""


def _check_origin(found: Mapping[bytes, bytes], expected: Mapping[str, str]) -> None:
    for key, value in expected.items():
        there = found.get(key.encode(), value.encode()).decode()
        if there != value:
            name = key.removeprefix("sam3trt.")
            raise _OtherOrigin(f"differs from this job in its {name}: {there}, not {value}")


class _Acknowledgements:
    """Lines on standard output; parts are written also when nobody reads them any more."""

    def __init__(self) -> None:
        self._gone = False

    def __call__(self, part: tuple[Path, int] | None) -> None:
        if part is None or self._gone:
            return
        try:
            sys.stdout.write(f"{part[0].name} {part[1]}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self._gone = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_lines(lines: Iterable[bytes], writer: PartWriter) -> None:
    acknowledge = _Acknowledgements()
    try:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                acknowledge(writer.flush())
                continue
            try:
                acknowledge(writer.write(json.loads(line), len(line)))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"standard input, line {number}: {error}") from error
    finally:
        acknowledge(writer.flush())


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sam3trt.parquet",
        description="JSON Lines of `sam3trt infer` from standard input into Parquet files.",
    )
    parser.add_argument("folder", type=Path, help="where the parts are")
    parser.add_argument(
        "--paths", action="store_true", help="print which images the finished parts have"
    )
    parser.add_argument(
        "--images-per-part", type=int, default=IMAGES_PER_PART, help="default: %(default)s"
    )
    parser.add_argument("--like", type=json.loads, help="with --paths: an entry of this job")
    parser.add_argument("--check", action="store_true", help="say whether pyarrow is there, only")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            _pyarrow()
            return 0
        if options.paths:
            for row in images_in(options.folder, options.like) if options.folder.exists() else ():
                print(json.dumps(row, ensure_ascii=False))
            return 0
        # Whoever feeds this decides when to stop: at an interruption the rest is still written.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with PartWriter(options.folder, options.images_per_part) as writer:
            _write_lines(sys.stdin.buffer, writer)
        return 0
    except ImportError as error:
        code, message = _NOT_AVAILABLE, error
    except (ValueError, BlockingIOError) as error:
        code, message = _BAD_INPUT, error
    except OSError as error:
        code, message = _OTHER, error
    print(f"sam3trt.parquet: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    # The program has this as a text, without a file.
    own_folder = Path(globals().get("__file__", "")).resolve().parent
    if __package__ is None and Path(sys.path[0]).resolve() == own_folder:
        del sys.path[0]  # a script's folder, whose modules have names that others may have as well
    # A pipe's encoding must not depend on the locale.
    sys.stdout.reconfigure(encoding="utf-8")
    sys.exit(main())

"""Fetching a checkpoint from the Hugging Face hub, through ``huggingface_hub``."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import BadInputError, Error, UnavailableError, VerificationError

_INDEX = "model.safetensors.index.json"
_SINGLE_FILE = "model.safetensors"
_TORCH_FILE = "sam3.pt"
# Everything beside the weights that is fetched where the repository has it.
_SMALL_FILES = (
    "LICENSE",
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
)
_FORMATS = ("safetensors", "pt", "both")
_RECORD = ".sam3trt_download.json"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


def download(
    repo: str = "facebook/sam3",
    revision: str = "main",
    output: str | os.PathLike[str] = "models/sam3",
    token: str | None = None,
    *,
    weights: str = "safetensors",
    refresh: bool = False,
    progress: Callable[[str, float], Any] | None = None,
) -> Path:
    """Fetches checkpoint, configuration and tokenizer into a folder that :func:`export` takes.

    Needs the package ``huggingface_hub`` (``pip install 'sam3trt[hub]'``), which resumes what was
    interrupted and finds the token (``HF_TOKEN``, ``hf auth login``) and the mirror
    (``HF_ENDPOINT``). Sizes and hashes are checked; for a complete folder the hub is not asked.

    Args:
        repo, revision: Repository on the hub; branch, tag or commit.
        output: Folder to fill; made when missing.
        token: Access token in place of those that are found.
        weights: ``"safetensors"``, ``"pt"`` (Meta's ``sam3.pt``) or ``"both"``.
        refresh: Ask the hub whether the revision has moved although the folder is complete.
        progress: Called with a file's name when it is begun (0.0) and done (1.0).

    Returns:
        The folder.

    Raises:
        BadInputError: The repository is gated, the token is not accepted, or a name is unknown.
        VerificationError: A file does not have the hash that the hub names; it is removed.
        UnavailableError: ``huggingface_hub`` is not installed.
    """
    if weights not in _FORMATS:
        raise BadInputError(f"weights: expected one of {', '.join(_FORMATS)}, found {weights!r}")
    folder = Path(output)
    if not refresh and _is_complete(folder, repo, revision, weights):
        return folder
    hub = _import_hub()
    with _HubErrors(hub, repo, revision):
        info = hub.HfApi(token=token).model_info(repo, revision=revision, files_metadata=True)
        commit = info.sha
        known = {
            file.rfilename: file
            for file in info.siblings or []
            if _PLAIN_NAME.fullmatch(file.rfilename)
        }

        def fetch(name: str) -> dict[str, Any]:
            if progress:
                progress(name, 0.0)
            path, expected = folder / name, _expected(known[name])
            if not _is_intact(path, expected):
                # What is there under this name is something else, whatever its record says.
                options = {"local_dir": folder, "force_download": path.exists()}
                hub.hf_hub_download(repo, name, revision=commit, token=token, **options)
            entry = _check_file(path, expected)
            if progress:
                progress(name, 1.0)
            return entry

        files = [fetch(name) for name in _small_files(known, weights)]
        files += [fetch(name) for name in _weight_files(repo, known, weights, folder)]
    record = {
        "repo": repo,
        "revision": revision,
        "weights": weights,
        "commit": commit,
        "files": files,
    }
    temporary = folder / f"{_RECORD}.{os.getpid()}"
    temporary.write_text(json.dumps(record, indent=2) + "\n")
    temporary.replace(folder / _RECORD)
    return folder


def main(arguments: list[str]) -> int:
    """``sam3trt download`` of the installed package."""
    parser = argparse.ArgumentParser(
        prog="sam3trt download",
        description="Fetch checkpoint, configuration and tokenizer from the hub",
        epilog="Interrupted downloads go on where they ended. HF_ENDPOINT names a mirror.",
    )
    parser.add_argument("--repo", default="facebook/sam3", help="repository on the hub")
    parser.add_argument("--revision", default="main", help="branch, tag or commit")
    parser.add_argument("--output", default="models/sam3", help="folder to fill")
    parser.add_argument("--weights", default="safetensors", choices=_FORMATS)
    parser.add_argument("--token", help="access token (default: HF_TOKEN, or 'hf auth login')")
    parser.add_argument("--refresh", action="store_true", help="ask the hub in any case")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        folder = download(
            options.repo,
            options.revision,
            options.output,
            options.token,
            weights=options.weights,
            refresh=options.refresh,
        )
    except Error as error:
        print(f"sam3trt: error: {error}", file=sys.stderr)
        codes = {BadInputError: 2, UnavailableError: 3, VerificationError: 4}
        return codes.get(type(error), 1)
    except KeyboardInterrupt:
        print("sam3trt: stopped by SIGINT", file=sys.stderr)
        return 130
    record = json.loads((folder / _RECORD).read_text())
    if options.json:
        print(json.dumps({**record, "folder": str(folder)}, indent=2))
    else:
        for file in record["files"]:
            print(f"{file['size']:14}  {folder / file['name']}")
        print(f"{record['repo']} at {record['revision']} ({record['commit']})")
    return 0


def _import_hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise UnavailableError(
            "downloading needs the package huggingface_hub: pip install 'sam3trt[hub]'"
        ) from None
    return huggingface_hub


class _HubErrors:
    """Turns what huggingface_hub raises into sam3trt's exceptions."""

    def __init__(self, hub: Any, repo: str, revision: str) -> None:
        self._errors = hub.errors
        self._repo = repo
        self._revision = revision

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        errors = self._errors
        if error is None or isinstance(error, Error) or not isinstance(error, Exception):
            return
        if isinstance(error, errors.GatedRepoError):
            raise BadInputError(
                f"{self._repo} is gated: accept the licence on its page, wait for the approval, "
                "create a token and give it as token, in HF_TOKEN or to 'hf auth login'"
            ) from error
        if isinstance(error, errors.RevisionNotFoundError):
            raise BadInputError(
                f"revision {self._revision}: {self._repo} has no such branch, tag or commit"
            ) from error
        if isinstance(error, (errors.RepositoryNotFoundError, errors.HFValidationError)):
            raise BadInputError(
                f"repo {self._repo}: the hub has no such repository, or it is private: correct "
                "the name, or give a token with access"
            ) from error
        raise Error(
            f"{self._repo}: {type(error).__name__}: {error}; check the connection and HF_ENDPOINT, "
            "and run the same again to go on"
        ) from error


def _small_files(known: dict[str, Any], weights: str) -> list[str]:
    names = [name for name in _SMALL_FILES if name in known]
    if weights != "pt" and _SINGLE_FILE not in known and _INDEX in known:
        names.append(_INDEX)
    return names


def _weight_files(repo: str, known: dict[str, Any], weights: str, folder: Path) -> list[str]:
    names = []
    if weights != "pt":
        if _SINGLE_FILE in known:
            names.append(_SINGLE_FILE)
        elif _INDEX in known:
            names += _shards_of(folder / _INDEX, known)
        else:
            hint = "; weights='pt' fetches sam3.pt" if _TORCH_FILE in known else ""
            raise BadInputError(f"{repo}: expected {_SINGLE_FILE} or {_INDEX}, found neither{hint}")
    if weights != "safetensors":
        if _TORCH_FILE not in known:
            raise BadInputError(
                f"{repo}: expected {_TORCH_FILE}, found none; use weights='safetensors'"
            )
        names.append(_TORCH_FILE)
    return names


def _shards_of(index: Path, known: dict[str, Any]) -> list[str]:
    try:
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInputError(f"{index}: expected an object with 'weight_map'") from None
    for shard in shards:
        if shard not in known or not shard.endswith(".safetensors"):
            raise BadInputError(f"{index}: {shard!r} is not a .safetensors file of the repository")
    return shards


def _expected(remote: Any) -> dict[str, Any]:
    """The record of a file of the hub; its size may be None."""
    lfs = getattr(remote, "lfs", None)
    kind, digest = ("sha256", lfs.sha256) if lfs else ("git-sha1", remote.blob_id)
    if digest is None:
        kind, digest = "none", ""
    return {
        "name": remote.rfilename,
        "size": remote.size,
        "digest_kind": kind,
        "digest": digest,
    }


def _check_file(path: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """The record of a file, after its size and hash were checked."""
    entry = dict(expected)
    if entry["size"] is None:
        entry["size"] = path.stat().st_size
    if not _is_intact(path, entry):
        path.unlink()
        raise VerificationError(
            f"{path.name}: what arrived does not have the size and {entry['digest_kind']} "
            f"{entry['digest']} that the hub announces; it was deleted: run the same again"
        )
    return entry


def _is_intact(path: Path, entry: dict[str, Any]) -> bool:
    if not path.is_file() or path.stat().st_size != entry["size"]:
        return False
    kind = entry["digest_kind"]
    if kind == "none":
        return True
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    if kind != "sha256":
        digest.update(b"blob %d\0" % entry["size"])
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == entry["digest"]


def _is_complete(folder: Path, repo: str, revision: str, weights: str) -> bool:
    """Whether an earlier download of the same, by the program too, is still as it was."""
    try:
        record = json.loads((folder / _RECORD).read_text())
        asked = (record["repo"], record["revision"], record["weights"])
        files = record["files"]
        return (
            asked == (repo, revision, weights)
            and bool(files)
            and all(
                _PLAIN_NAME.fullmatch(file["name"]) and _is_intact(folder / file["name"], file)
                for file in files
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False

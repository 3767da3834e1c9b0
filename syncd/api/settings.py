"""Payloads to the model's dataclasses: embedding, chunking and each source type's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from syncd.api import patterns as rules
from syncd.api.errors import bad_request
from syncd.api.schema import (
    DenseEmbeddingModel,
    FolderSource,
    GithubSource,
    S3Source,
    SourceChunkingConfig,
    SourceEmbeddingConfig,
    WebSource,
)
from syncd.api.schema_base import Model
from syncd.api.services import Services
from syncd.chroma.naming import check_collection, shown
from syncd.errors import ConfigError, PermanentError
from syncd.model import Chunking, Embedding, EmbeddingTask, SourceType
from syncd.sources.s3.settings import is_aws_queue

DEFAULT_CHUNKING = Chunking()
LINES_MAX_SIZE_BYTES = 4096
"""The documented size of line chunks; syntax-aware ones have Chunking's own default."""


def embedding(
    services: Services,
    default: Embedding,
    config: SourceEmbeddingConfig | None,
    older: DenseEmbeddingModel | None = None,
) -> Embedding:
    """Return the embedding that `config` (or `embedding_model`, its older form) describes.

    Raises RefusedError (400) when the two disagree or a model is not configured.
    """
    dense = config.dense if config else None
    if dense and older and dense != older:
        raise bad_request("embedding.dense and embedding_model differ; give one of them")
    dense = dense or older
    sparse = config.sparse if config else None
    return Embedding(
        model=_known(dense.model, services.models) if dense else default.model,
        task=_task(dense) if dense else default.task,
        sparse_model=_known(sparse.model, services.sparse_models) if sparse else _default_sparse(config, default),
        sparse_key=sparse.key if sparse else default.sparse_key,
    )


def chunking(config: SourceChunkingConfig | None) -> Chunking:
    """Return the chunking that `config` describes, defaults filled in."""
    if config is None:
        return DEFAULT_CHUNKING
    if config.type == "lines":
        if config.target_size_bytes is not None or config.breadcrumb is not None:
            raise bad_request("chunking: target_size_bytes and breadcrumb belong to type tree_sitter")
        size = config.max_size_bytes or LINES_MAX_SIZE_BYTES
        return Chunking(
            type="lines",
            max_size_bytes=size,
            target_size_bytes=size,
            max_lines=config.max_lines or DEFAULT_CHUNKING.max_lines,
        )
    if config.max_lines is not None:
        raise bad_request("chunking: max_lines belongs to type lines")
    size = config.max_size_bytes or DEFAULT_CHUNKING.max_size_bytes
    target = min(config.target_size_bytes or DEFAULT_CHUNKING.target_size_bytes, size)
    breadcrumb = DEFAULT_CHUNKING.breadcrumb if config.breadcrumb is None else config.breadcrumb
    return Chunking(max_size_bytes=size, target_size_bytes=target, breadcrumb=breadcrumb)


def source_settings(services: Services, kind: SourceType, given: Model) -> dict[str, Any]:
    """Return the settings to store, checked as far as can be without asking anybody; inline keys are still in them.

    Raises RefusedError (400).
    """
    match given:
        case GithubSource():
            _check_github(given)
        case S3Source():
            check_collection(given.collection_name)
            _check_endpoints(services, given)
        case WebSource():
            if given.schedule and given.schedule.target_collection_name is None:
                raise bad_request("web_scrape.schedule needs target_collection_name")
        case FolderSource():
            given = _below_root(services, given)
        case _:
            raise bad_request("file_upload sources are made by POST /api/v1/add-file; upload a file instead")
    _check_targets(given)
    values = given.model_dump(exclude_none=True)
    try:
        services.check_source(kind, values)
    except (PermanentError, ConfigError) as error:
        raise bad_request(f"{kind.value}: {error}") from error
    return values


def _known(model: str, configured: frozenset[str]) -> str:
    if model not in configured:
        choice = ", ".join(sorted(configured)) or "none"
        raise bad_request(f"model {shown(model)} is not configured on this daemon; available: {choice}")
    return model


def _task(dense: DenseEmbeddingModel) -> EmbeddingTask | None:
    if dense.task is None:
        return None
    return EmbeddingTask(dense.task.task_name, dense.task.document_prompt, dense.task.query_prompt)


def _default_sparse(config: SourceEmbeddingConfig | None, default: Embedding) -> str | None:
    # A caller who describes an embedding without `sparse` wants none; one who describes nothing gets the default's.
    return default.sparse_model if config is None else None


def _check_github(given: GithubSource) -> None:
    rules.repository(given.repository)
    if given.watch and given.watch.branch is not None:
        rules.branch(given.watch.branch)


def _check_endpoints(services: Services, given: S3Source) -> None:
    """Refuse addresses that the configuration does not name: whoever may make sources may not make the daemon call anybody."""
    for name, url in (("endpoint_url", given.endpoint_url), ("queue_url", given.queue_url)):
        if url is None:
            continue
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname or place.username or place.fragment:
            raise bad_request(f"s3.{name} {shown(url)} must be a URL: http or https, a host, no user")
        if services.s3_endpoints is None or (name == "queue_url" and is_aws_queue(url)):
            continue
        if f"{place.scheme}://{place.netloc}" not in services.s3_endpoints:
            raise bad_request(
                f"s3.{name} {shown(url)} is not allowed; name its host under s3.allowed_endpoints in the configuration"
            )


def _check_targets(given: Model) -> None:
    for name in ("watch", "schedule"):
        part = getattr(given, name, None)
        if part is not None and part.target_collection_name is not None:
            check_collection(part.target_collection_name)


def _below_root(services: Services, given: FolderSource) -> FolderSource:
    if "\0" in given.path:
        raise bad_request("folder.path must not hold a NUL character")
    path = Path(os.path.realpath(given.path))
    if not Path(given.path).is_absolute() or not any(path.is_relative_to(root) for root in services.folder_roots):
        roots = ", ".join(map(str, services.folder_roots)) or "none"
        raise bad_request(f"folder.path must be absolute and below a folder that the configuration allows: {roots}")
    return given.model_copy(update={"path": str(path)})

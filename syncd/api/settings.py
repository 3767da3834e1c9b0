"""Turns payloads into the model's dataclasses: embedding, chunking and the settings of a source."""

from __future__ import annotations

from syncd.api.errors import bad_request
from syncd.api.schema import DenseEmbeddingModel, SourceChunkingConfig, SourceEmbeddingConfig
from syncd.api.services import Services
from syncd.chroma.naming import check_collection
from syncd.errors import ConfigError, PermanentError
from syncd.model import Chunking, Embedding, EmbeddingTask, SourceSettings
from syncd.quoting import shown
from syncd.schema import Model, guess
from syncd.sources.factory import Requester

DEFAULT_CHUNKING = Chunking()
LINES_MAX_SIZE_BYTES = 4096
"""The published default for line chunks; syntax-aware ones have Chunking's own default."""


def embedding(
    services: Services,
    default: Embedding,
    config: SourceEmbeddingConfig | None,
    older: DenseEmbeddingModel | None = None,
) -> Embedding:
    """Return the embedding that `config` (or `embedding_model`, its older form) describes.

    Raises RefusedError (400) if the two disagree, a model is not configured, or cannot have the dimensions.
    """
    dense = config.dense if config else None
    if dense and older and dense != older:
        raise bad_request("embedding.dense and embedding_model differ; give only one of them")
    dense = dense or older
    sparse = config.sparse if config else None
    if dense:
        _known(dense.model, services.models)
        _check_dimensions(services, dense)
    return Embedding(
        model=dense.model if dense else default.model,
        dimensions=dense.dimensions if dense else default.dimensions,
        task=_task(dense) if dense else default.task,
        sparse_model=_known(sparse.model, services.sparse_models) if sparse else _default_sparse(config, default),
        sparse_key=sparse.key if sparse else default.sparse_key,
    )


def chunking(config: SourceChunkingConfig | None) -> Chunking:
    """Return the chunking that `config` describes, with defaults filled in. Raises RefusedError (400)."""
    if config is None:
        return DEFAULT_CHUNKING
    if config.type == "lines":
        if config.target_size_bytes is not None or config.breadcrumb is not None:
            raise bad_request("chunking: target_size_bytes and breadcrumb require type tree_sitter")
        size = config.max_size_bytes or LINES_MAX_SIZE_BYTES
        return Chunking(
            type="lines",
            max_size_bytes=size,
            target_size_bytes=size,
            max_lines=config.max_lines or DEFAULT_CHUNKING.max_lines,
        )
    if config.max_lines is not None:
        raise bad_request("chunking: max_lines requires type lines")
    size = config.max_size_bytes or DEFAULT_CHUNKING.max_size_bytes
    target = min(config.target_size_bytes or DEFAULT_CHUNKING.target_size_bytes, size)
    breadcrumb = DEFAULT_CHUNKING.breadcrumb if config.breadcrumb is None else config.breadcrumb
    return Chunking(max_size_bytes=size, target_size_bytes=target, breadcrumb=breadcrumb)


def source_settings(services: Services, name: str, given: Model, requester: Requester) -> SourceSettings:
    """Return the settings of a new source of type `name`, checked as far as possible without network access.

    They do not include secrets from `given` yet. Raises RefusedError (400).
    """
    try:
        settings = services.sources.accept(name, given, requester)
        for trigger in (settings.watch, settings.schedule):
            if trigger is not None and trigger.target_collection_name is not None:
                check_collection(trigger.target_collection_name)
    except (PermanentError, ConfigError) as error:
        raise bad_request(f"{name}: {error}") from error
    return settings


def _known(model: str, configured: frozenset[str]) -> str:
    if model not in configured:
        choice = ", ".join(sorted(configured)) or "none"
        likely = guess(model, configured)
        raise bad_request(f"model {shown(model)} is not configured on this daemon; {likely}available: {choice}")
    return model


def _check_dimensions(services: Services, dense: DenseEmbeddingModel) -> None:
    try:
        services.check_dimensions(dense.model, dense.dimensions)
    except ConfigError as error:
        raise bad_request(f"embedding.dense: {error}") from error


def _task(dense: DenseEmbeddingModel) -> EmbeddingTask | None:
    if dense.task is None:
        return None
    return EmbeddingTask(dense.task.task_name, dense.task.document_prompt, dense.task.query_prompt)


def _default_sparse(config: SourceEmbeddingConfig | None, default: Embedding) -> str | None:
    # A caller who describes an embedding without `sparse` wants none; one who describes nothing gets the default's.
    return default.sparse_model if config is None else None

"""Sources as in the published API, with our additions (`folder`, `watch`, `schedule`, `name`, chunk targets).

The fields that all sources share are here; `SourceShapes` adds one for each source type.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from syncd.api.patterns import is_uuid
from syncd.schema import NAME_PATTERN, ExtendedModel, Model, Moment, Omittable, SparseKey, Uuid
from syncd.sources.table import MAX_CHUNK_SIZE_BYTES, MIN_CHUNK_SIZE_BYTES, ChunkSize

OrderBy = Literal["ASC", "DESC"]
SparseEmbeddingModel = Literal["Chroma/BM25", "prithivida/Splade_PP_en_v1"]


def _zero_or_enough(size_bytes: int) -> int:
    if 0 < size_bytes < MIN_CHUNK_SIZE_BYTES:
        raise ValueError(f"must be at least {MIN_CHUNK_SIZE_BYTES}, or 0 for the default")
    return size_bytes


LimitSize = Annotated[int, Field(ge=0, le=MAX_CHUNK_SIZE_BYTES), AfterValidator(_zero_or_enough)]
"""0, as published, sets no limit of its own: the default counts."""


class Qwen3EmbeddingTask(Model):
    """Prompts put in front of texts before they are embedded."""

    task_name: Annotated[str, Field(max_length=200)]
    document_prompt: Annotated[str, Field(max_length=8192)] | None = None
    query_prompt: Annotated[str, Field(max_length=8192)] | None = None


class DenseEmbeddingModel(Model):
    """A dense model; any configured one, `Qwen/Qwen3-Embedding-0.6B` by default."""

    model: Annotated[str, Field(max_length=200)]
    task: Qwen3EmbeddingTask | None = None
    dimensions: Omittable[Annotated[int, Field(ge=1, le=65_536)]] = None
    """How many of a vector's leading dimensions the collection holds; all by default. For models trained for it only."""


class SparseEmbeddingConfig(Model):
    """A sparse model and the metadata key of its vectors."""

    model: SparseEmbeddingModel = "Chroma/BM25"
    key: SparseKey = "sparse_embedding"


class SourceEmbeddingConfig(Model):
    """How a source's texts become vectors."""

    dense: Omittable[DenseEmbeddingModel] = None
    sparse: SparseEmbeddingConfig | None = None


class SourceChunkingConfig(Model):
    """How texts are split into chunks. `max_lines` is for `lines`, `target_size_bytes` and `breadcrumb` for `tree_sitter`.

    The documented lines, at most 10 and 4096 bytes a chunk, are type `lines`. Type `tree_sitter` cuts a text without syntax between lines too, but
    by `target_size_bytes` (1500), whatever their number. 0 means the default.
    """

    type: Literal["tree_sitter", "lines"]
    max_size_bytes: Omittable[LimitSize] = None
    max_lines: Omittable[Annotated[int, Field(ge=0, le=100_000)]] = None
    target_size_bytes: Omittable[ChunkSize] = None
    breadcrumb: Omittable[bool] = None


class WatchView(Model):
    """Whether a source is watched as it should be. It is failing while it cannot be looked at, or what was seen cannot be brought."""

    state: Literal["watching", "failing"]
    failing_since: Moment | None
    reason: str | None
    next_try_at: Moment | None


class FreshnessView(Model):
    """How soon changes become searchable: over the documents indexed last, if the source says when they changed, and now."""

    documents: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    behind_s: float
    """For how long the oldest change that is asked for, and not searchable, has waited; 0 where there is none."""
    late: bool
    """Whether that is longer than the source's `max_lag_s`."""


class SourceBase(Model):
    """A configured source. It never contains secrets: an S3 source shows only its `aws_credential_id`."""

    id: Uuid
    database_name: str
    embedding_model: DenseEmbeddingModel
    embedding: SourceEmbeddingConfig
    chunking: SourceChunkingConfig
    created_at: Moment
    name: str | None = None
    """What the source is called; every field and path that takes its id takes this, too."""
    declared: bool | None = None
    """True if it is declared in the daemon's configuration file, and changed there."""
    paused_at: Moment | None = None
    """Since when nothing is done of what is asked of it."""
    collection_name: str | None = None
    """The collection a declared source writes to."""
    problem: str | None = None
    """Why the source's events are not received: for example, its key is refused or a credential is missing."""
    notice: str | None = None
    """What of its settings may mean something else than they seem to."""
    watch_state: WatchView | None = None
    """How its watch or schedule is doing; null if it has none."""
    freshness: FreshnessView | None = None
    next_run_at: Moment | None = None
    """When its schedule asks for the next run; null if it has none."""


def _is_no_id(name: str) -> str:
    if is_uuid(name):
        raise ValueError("must not have the form of an id")
    return name


SourceName = Annotated[str, Field(pattern=NAME_PATTERN), AfterValidator(_is_no_id)]


class CreateSourceBase(ExtendedModel):
    """A source to create: exactly one source type with its settings."""

    database_name: str
    chunking: Omittable[SourceChunkingConfig] = None
    embedding: Omittable[SourceEmbeddingConfig] = None
    embedding_model: DenseEmbeddingModel | None = None
    name: SourceName | None = None
    """What to call it, unique in its database; an addition to the published API."""

    @model_validator(mode="after")
    def one_type(self) -> Self:
        """Check that exactly one source type is given."""
        if len(self.types) != 1:
            raise ValueError(f"give exactly one of {', '.join(self._type_names)}")
        return self

    @property
    def types(self) -> dict[str, Model]:
        """Return the given source types with their settings."""
        given = {name: getattr(self, name) for name in self._type_names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def _type_names(self) -> list[str]:
        return [name for name in type(self).model_fields if name not in CreateSourceBase.model_fields]


class CreateSourceResponse(Model):
    """The new source."""

    source_id: Uuid
    notice: str | None = None
    """What of its settings may mean something else than they seem to."""

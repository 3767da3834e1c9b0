"""Sources as the published API has them, and our additions (`folder`, `watch`, `schedule`, `name`, chunk targets)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from syncd.api.schema_base import ExtendedModel, Int32, Model, Moment, Omittable, OwnModel, UniqueStrings, Uuid

SourceTypeFilter = Literal["github", "s3", "web_scrape", "file_upload", "folder"]
OrderBy = Literal["ASC", "DESC"]
SparseEmbeddingModel = Literal["Chroma/BM25", "prithivida/Splade_PP_en_v1"]
AutoSync = Literal["none", "direct", "metadata"]

MIN_CHUNK_SIZE_BYTES = 64
MAX_CHUNK_SIZE_BYTES = 16_384
"""Chroma Cloud takes documents up to this size, and collections should be movable there."""

ChunkSize = Annotated[int, Field(ge=MIN_CHUNK_SIZE_BYTES, le=MAX_CHUNK_SIZE_BYTES)]
Glob = Annotated[str, Field(min_length=1, max_length=512)]
Regex = Annotated[str, Field(min_length=1, max_length=1024)]


class Qwen3EmbeddingTask(Model):
    """Prompts put in front of texts before they are embedded."""

    task_name: Annotated[str, Field(max_length=200)]
    document_prompt: Annotated[str, Field(max_length=8192)] | None = None
    query_prompt: Annotated[str, Field(max_length=8192)] | None = None


class DenseEmbeddingModel(Model):
    """A dense model; any configured one, `Qwen/Qwen3-Embedding-0.6B` by default."""

    model: Annotated[str, Field(max_length=200)]
    task: Qwen3EmbeddingTask | None = None


class SparseEmbeddingConfig(Model):
    """A sparse model and the metadata key of its vectors."""

    model: SparseEmbeddingModel = "Chroma/BM25"
    key: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")] = "sparse_embedding"


class SourceEmbeddingConfig(Model):
    """How a source's texts become vectors."""

    dense: Omittable[DenseEmbeddingModel] = None
    sparse: SparseEmbeddingConfig | None = None


class SourceChunkingConfig(Model):
    """How texts are split. `max_lines` belongs to `lines`, `target_size_bytes` and `breadcrumb` to `tree_sitter`."""

    type: Literal["tree_sitter", "lines"]
    max_size_bytes: Omittable[ChunkSize] = None
    max_lines: Omittable[Annotated[int, Field(ge=1, le=100_000)]] = None
    target_size_bytes: Omittable[ChunkSize] = None
    breadcrumb: Omittable[bool] = None


class Watch(OwnModel):
    """Keeps one collection in step with the source."""

    target_collection_name: str
    branch: str | None = None
    """GitHub only; the default branch when null."""
    interval_s: Annotated[float, Field(ge=10, le=31_536_000)] = 300.0


class Schedule(OwnModel):
    """Runs the source again every so often, into one collection."""

    interval_s: Annotated[float, Field(ge=60, le=31_536_000)]
    target_collection_name: str | None = None
    """Required where the source itself names no collection."""


class GithubSource(ExtendedModel):
    """A repository on GitHub."""

    ADDITIONS = frozenset({"watch"})

    repository: Annotated[str, Field(max_length=201)]
    """`owner/name`."""
    app_id: Annotated[str, Field(max_length=64)] | None = None
    include_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    watch: Watch | None = None


class WebSource(ExtendedModel):
    """A site, from a starting page along its links."""

    ADDITIONS = frozenset({"schedule"})

    starting_url: Annotated[str, Field(max_length=2048)]
    page_limit: Int32 | None = None
    max_depth: Int32 | None = None
    include_path_regexes: Annotated[UniqueStrings, Field(max_length=100)] | None = None
    exclude_path_regexes: Annotated[UniqueStrings, Field(max_length=100)] | None = None
    schedule: Schedule | None = None


class S3Source(ExtendedModel):
    """A bucket or a prefix of one, with either a stored credential or an inline key, which is then stored."""

    ADDITIONS = frozenset({"queue_url", "endpoint_url", "path_style", "schedule"})

    bucket_name: Annotated[str, Field(min_length=3, max_length=255)]
    region: Annotated[str, Field(min_length=1, max_length=64)]
    collection_name: str
    path_prefix: Annotated[str, Field(max_length=1024)] | None = None
    auto_sync: AutoSync | None = None
    aws_credential_id: Int32 | None = None
    aws_access_key_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    aws_secret_access_key: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    queue_url: Annotated[str, Field(max_length=2048)] | None = None
    """Where the bucket's events arrive; the daemon's own `s3.queue_url` when null."""
    endpoint_url: Annotated[str, Field(max_length=2048)] | None = None
    """MinIO, R2, Ceph and the like, where the daemon's configuration allows it; AWS when null."""
    path_style: bool | None = None
    """`host/bucket/key` instead of `bucket.host/key`."""
    schedule: Schedule | None = None

    @model_validator(mode="after")
    def one_credential(self) -> Self:
        """Require a stored credential or a whole inline pair, never both."""
        inline = (self.aws_access_key_id, self.aws_secret_access_key)
        if any(inline) and not all(inline):
            raise ValueError("give aws_access_key_id and aws_secret_access_key together")
        if any(inline) == (self.aws_credential_id is not None):
            raise ValueError("give either aws_credential_id or aws_access_key_id with aws_secret_access_key")
        return self


class UploadSource(Model):
    """Files sent to `POST /api/v1/add-file`; it has no settings."""

    model_config = ConfigDict(extra="forbid")


class FolderSource(OwnModel):
    """A folder of the daemon's own machine, below one of the folders that its configuration allows."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    include_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    exclude_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    watch: Watch | None = None


TYPE_FIELDS: tuple[str, ...] = get_args(SourceTypeFilter)
_ONE_TYPE: dict[str, Any] = {"oneOf": [{"required": [name]} for name in TYPE_FIELDS]}


class CreateSourcePayload(ExtendedModel):
    """A source to make: exactly one type with its settings."""

    ADDITIONS = frozenset({"folder"})

    model_config = ConfigDict(json_schema_extra=_ONE_TYPE)

    database_name: str
    github: GithubSource | None = None
    web_scrape: WebSource | None = None
    s3: S3Source | None = None
    file_upload: UploadSource | None = None
    folder: FolderSource | None = None
    chunking: Omittable[SourceChunkingConfig] = None
    embedding: Omittable[SourceEmbeddingConfig] = None
    embedding_model: DenseEmbeddingModel | None = None

    @model_validator(mode="after")
    def one_type(self) -> Self:
        """Require exactly one source type."""
        if len(self.types) != 1:
            raise ValueError(f"give exactly one of {', '.join(TYPE_FIELDS)}")
        return self

    @property
    def types(self) -> dict[str, Model]:
        """Return the given types with their settings."""
        given = {name: getattr(self, name) for name in TYPE_FIELDS}
        return {name: value for name, value in given.items() if value is not None}


class CreateSourceResponse(Model):
    """The new source."""

    source_id: Uuid


class Source(Model):
    """A configured source. Secrets are never part of it: an S3 source shows its `aws_credential_id` only."""

    model_config = ConfigDict(json_schema_extra=_ONE_TYPE)

    id: Uuid
    database_name: str
    github: GithubSource | None = None
    web_scrape: WebSource | None = None
    s3: S3Source | None = None
    file_upload: UploadSource | None = None
    folder: FolderSource | None = None
    embedding_model: DenseEmbeddingModel
    embedding: SourceEmbeddingConfig
    chunking: SourceChunkingConfig
    created_at: Moment
    name: str | None = None
    """Set for sources declared in the daemon's configuration file."""
    collection_name: str | None = None
    """The collection such a source was declared with."""
    problem: str | None = None
    """Why its events do not come as they should: a key that is refused, a credential that is missing."""

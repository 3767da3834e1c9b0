"""`[[sources]]` in the configuration file: what the tables of all source types share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from syncd.chroma.naming import check_collection
from syncd.errors import PermanentError
from syncd.model import Chunking, Embedding, EmbeddingTask, SecretsPolicy, SourceSettings
from syncd.schema import NAME_PATTERN, SparseKey, Table

MIN_CHUNK_SIZE_BYTES = 64
MAX_CHUNK_SIZE_BYTES = 16_384
"""Chroma Cloud's limit on documents, so that collections can be moved there."""

ChunkSize = Annotated[int, Field(ge=MIN_CHUNK_SIZE_BYTES, le=MAX_CHUNK_SIZE_BYTES)]


def checked_with(rule: Callable[[str], str]) -> AfterValidator:
    """Return a check of a string by `rule`, which returns it or raises PermanentError."""

    def check(value: str) -> str:
        try:
            return rule(value)
        except PermanentError as error:
            raise ValueError(str(error)) from None

    return AfterValidator(check)


def interval(least_s: float) -> AfterValidator:
    """Return a check of an interval in seconds: 0 means never, everything else must be at least `least_s`."""

    def check(value: float | None) -> float | None:
        if value and value < least_s:
            raise ValueError(f"{value:g} s is too often: at least {least_s:g} s, or 0 for never")
        return value or None

    return AfterValidator(check)


class TaskTable(Table):
    """Prompts for the source's texts and for queries against them."""

    task_name: str
    document_prompt: str | None = None
    query_prompt: str | None = None


class SparseTable(Table):
    """The sparse model, and the metadata key of its vectors on a Chroma server that indexes them."""

    model: Literal["Chroma/BM25", "syncd/Code-BM25", "prithivida/Splade_PP_en_v1"] = "Chroma/BM25"
    key: SparseKey = "sparse_embedding"


class ChunkingTable(Table):
    """How text is split."""

    type: Literal["tree_sitter", "lines"] = "tree_sitter"
    max_size_bytes: ChunkSize | None = None
    target_size_bytes: ChunkSize = 1500
    max_lines: Annotated[int, Field(ge=1, le=10000)] = 10
    breadcrumb: bool = True

    def to_model(self) -> Chunking:
        """Return the chunking; the byte limit's default depends on the type."""
        default = 8192 if self.type == "tree_sitter" else 4096
        return Chunking(
            type=self.type,
            max_size_bytes=self.max_size_bytes or default,
            target_size_bytes=self.target_size_bytes,
            max_lines=self.max_lines,
            breadcrumb=self.breadcrumb,
        )


class SourceTable(Table):
    """The keys that all declared sources share. A type's table adds `type`, a Literal of its name, and `own_settings`."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    database: str = "default_database"
    collection: Annotated[str, checked_with(check_collection)]
    model: str | None = None
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = None
    """How many of a vector's leading dimensions the collection holds; all by default. For matryoshka models only."""
    task: TaskTable | None = None
    sparse: SparseTable | None = None
    chunking: ChunkingTable = ChunkingTable()
    converter: Literal["builtin", "docling"] = "builtin"
    """The document converter; docling needs its extra installed and its models downloaded."""
    max_lag_s: Annotated[float, Field(gt=0)] | None = None
    """The source is shown as late while a change has waited for longer."""
    secrets: SecretsPolicy = "mask"

    @property
    def source_type(self) -> str:
        """The published name of the source's type."""
        return getattr(self, "type")  # noqa: B009 - a Literal that only the types' own tables have

    def settings(self) -> SourceSettings:
        """Return the source's settings."""
        converter = None if self.converter == "builtin" else self.converter
        return replace(
            self.own_settings(),
            collection_name=self.collection,
            converter=converter,
            max_lag_s=self.max_lag_s,
            secrets=None if self.secrets == "mask" else self.secrets,
        )

    def own_settings(self) -> SourceSettings:
        """Return the settings that only this type has."""
        raise NotImplementedError

    def repeats(self, other: SourceTable) -> bool:
        """Return whether both would put the same documents into one collection, where each would be found twice."""
        is_same = self == other.model_copy(update={"name": self.name})
        return is_same or (self.database == other.database and self.settings().overlaps(other.settings()))

    def check_beside(self, sections: Mapping[type[Table], Table], state: Path) -> None:
        """Raise ValueError if the source conflicts with the configuration's other tables or with the `state` folder."""

    def embedding(self, default_model: str) -> Embedding:
        """Return how the source's texts become vectors."""
        task = self.task and EmbeddingTask(self.task.task_name, self.task.document_prompt, self.task.query_prompt)
        dense = Embedding(model=self.model or default_model, task=task, dimensions=self.dimensions)
        return replace(dense, sparse_model=self.sparse.model, sparse_key=self.sparse.key) if self.sparse else dense

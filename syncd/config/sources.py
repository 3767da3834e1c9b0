"""`[[sources]]` of the configuration file: sources under version control, beside those made through the API."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from syncd.chroma.naming import check_collection
from syncd.errors import PermanentError
from syncd.model import Chunking, Embedding, EmbeddingTask, SourceType

ChunkSize = Annotated[int, Field(ge=64, le=16384)]


def own_path(path: Path) -> Path:
    """Return a path of this machine with `~` as the home folder it stands for."""
    return path.expanduser().absolute()


def collection_name(name: str) -> str:
    """Return a name that a collection can have. Raises ValueError for others."""
    try:
        return check_collection(name)
    except PermanentError as error:
        raise ValueError(str(error)) from None


def interval(least_s: float) -> AfterValidator:
    """Return a check of an interval in seconds: 0 is none, everything else is at least `least_s`."""

    def check(value: float | None) -> float | None:
        if value and value < least_s:
            raise ValueError(f"{value:g} s is too often: at least {least_s:g} s, or 0 for never")
        return value or None

    return AfterValidator(check)


OwnPath = Annotated[Path, AfterValidator(own_path)]


class Table(BaseModel):
    """A table of the file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskTable(Table):
    """Prompts for the source's texts and for queries against them."""

    task_name: str
    document_prompt: str | None = None
    query_prompt: str | None = None


class SparseTable(Table):
    """Sparse vectors, and the metadata key they stand under where the Chroma server indexes them."""

    model: Literal["Chroma/BM25", "syncd/Code-BM25", "prithivida/Splade_PP_en_v1"] = "Chroma/BM25"
    key: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")] = "sparse_embedding"


class ChunkingTable(Table):
    """How text is split."""

    type: Literal["tree_sitter", "lines"] = "tree_sitter"
    max_size_bytes: ChunkSize | None = None
    target_size_bytes: ChunkSize = 1500
    max_lines: Annotated[int, Field(ge=1, le=10000)] = 10
    breadcrumb: bool = True

    def to_model(self) -> Chunking:
        """Return the chunking; the byte limit's default depends on the type, as documented."""
        default = 8192 if self.type == "tree_sitter" else 4096
        return Chunking(
            type=self.type,
            max_size_bytes=self.max_size_bytes or default,
            target_size_bytes=self.target_size_bytes,
            max_lines=self.max_lines,
            breadcrumb=self.breadcrumb,
        )


class SourceTable(Table):
    """What every declared source has."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    database: str = "default_database"
    collection: Annotated[str, AfterValidator(collection_name)]
    model: str | None = None
    task: TaskTable | None = None
    sparse: SparseTable | None = None
    chunking: ChunkingTable = ChunkingTable()
    converter: Literal["builtin", "docling"] = "builtin"
    """What turns documents into text; docling wants its extra installed and its models downloaded."""

    def settings(self) -> dict[str, Any]:
        """Return the source's settings as the store keeps them."""
        raise NotImplementedError

    def embedding(self, default_model: str) -> Embedding:
        """Return how the source's texts become vectors."""
        task = self.task and EmbeddingTask(self.task.task_name, self.task.document_prompt, self.task.query_prompt)
        dense = Embedding(model=self.model or default_model, task=task)
        return replace(dense, sparse_model=self.sparse.model, sparse_key=self.sparse.key) if self.sparse else dense


class GithubTable(SourceTable):
    """A repository whose branch is looked at every `interval_s`; with 0 it is synced when asked."""

    type: Literal["github"]
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$")]
    branch: str | None = None
    app_id: str | None = None
    include_globs: tuple[str, ...] = ("*",)
    interval_s: Annotated[float | None, Field(ge=0), interval(1)] = 300.0

    def settings(self) -> dict[str, Any]:
        """Return the source's settings as the store keeps them."""
        settings: dict[str, Any] = {
            "repository": self.repository,
            "app_id": self.app_id,
            "include_globs": list(self.include_globs),
        }
        if self.interval_s is not None:
            settings["watch"] = {
                "target_collection_name": self.collection,
                "branch": self.branch,
                "interval_s": self.interval_s,
            }
        return settings


class FolderTable(SourceTable):
    """A folder of this machine, watched live unless `watch` is false."""

    type: Literal["folder"]
    path: Path
    include_globs: tuple[str, ...] = ("*",)
    exclude_globs: tuple[str, ...] = ()
    watch: bool = True

    def settings(self) -> dict[str, Any]:
        """Return the source's settings as the store keeps them."""
        path = str(own_path(self.path))
        settings: dict[str, Any] = {
            "path": path,
            "include_globs": list(self.include_globs),
            "exclude_globs": list(self.exclude_globs),
        }
        if self.watch:
            settings["watch"] = {"target_collection_name": self.collection}
        if (real := os.path.realpath(path)) != path:
            # Where the owner's link leads now; one that leads elsewhere later was not declared.
            settings["real_path"] = real
        return settings


class WebTable(SourceTable):
    """A site; with `interval_s` it is crawled again that often."""

    type: Literal["web_scrape"]
    starting_url: str
    page_limit: Annotated[int, Field(ge=1)] | None = None
    max_depth: Annotated[int, Field(ge=0)] | None = None
    include_path_regexes: tuple[str, ...] = ()
    exclude_path_regexes: tuple[str, ...] = ()
    allow_subdomains: bool = False
    extra_hosts: tuple[str, ...] = ()
    respect_robots: bool = True
    render: Literal["never", "auto", "always"] = "never"
    interval_s: Annotated[float | None, Field(ge=0), interval(60)] = None

    def settings(self) -> dict[str, Any]:
        """Return the source's settings as the store keeps them."""
        shared = {*SourceTable.model_fields, "type", "interval_s"}
        settings = self.model_dump(mode="json", exclude=shared)
        if self.interval_s is not None:
            settings["schedule"] = {"target_collection_name": self.collection, "interval_s": self.interval_s}
        return settings


class S3Table(SourceTable):
    """A bucket or a part of it; without keys here, the ordinary AWS credential chain is used."""

    type: Literal["s3"]
    bucket_name: str
    region: str
    path_prefix: str | None = None
    auto_sync: Literal["none", "direct", "metadata"] = "none"
    queue_url: str | None = None
    endpoint_url: str | None = None
    path_style: bool = False
    profile: str | None = None
    """A profile of the AWS configuration files, instead of the ordinary chain."""
    reconcile_interval_s: Annotated[float | None, Field(ge=0), interval(60)] = 86400.0

    def settings(self) -> dict[str, Any]:
        """Return the source's settings as the store keeps them."""
        settings = self.model_dump(mode="json", exclude={*SourceTable.model_fields, "type", "reconcile_interval_s"})
        settings["collection_name"] = self.collection
        if self.reconcile_interval_s is not None:
            settings["schedule"] = {
                "target_collection_name": self.collection,
                "interval_s": self.reconcile_interval_s,
            }
        return settings


DeclaredSource = Annotated[GithubTable | FolderTable | WebTable | S3Table, Field(discriminator="type")]


def source_type(table: SourceTable) -> SourceType:
    """Return the source type of a declared source."""
    return SourceType(getattr(table, "type"))  # noqa: B009 - the discriminator stands on the subclasses only

"""The nouns of syncd and the protocols between its layers: plain values, no I/O.

A Source yields Documents and Checkpoints; a Document is parsed into Parts and these are split into Chunks, Chunks are
embedded and indexed; an Invocation asks for one such run.
"""

from __future__ import annotations

from syncd.model.invocations import Counts, DocumentState, Invocation, Origin, State
from syncd.model.records import (
    Chunking,
    Embedding,
    EmbeddingTask,
    SourceFacts,
    SourceRecord,
    SourceSchedule,
    SourceSettings,
    SourceWatch,
    Target,
    UnreadableSettings,
)
from syncd.model.requests import ConfirmDeletes, GitRef, OneObject, Request, SomeKeys, Upload, WholeSource
from syncd.model.rows import (
    NOTHING,
    PLAIN_COLLECTION,
    CollectionShape,
    NamedCollection,
    QueryFunction,
    Row,
    RowMetadata,
    Rows,
    SparseIndex,
)
from syncd.model.sources import Body, Checkpoint, Document, Known, Rechecking, Run, Source, Total, chunk_prefix
from syncd.model.texts import (
    Chunk,
    ChunkSpan,
    Embedded,
    Embedder,
    PageMark,
    Part,
    Preparer,
    Role,
    SparseEncoder,
    SparseVector,
    Stage,
    TextKind,
)
from syncd.model.values import LINEAGE_KEYS, Metadata, Scalar, Vectors, shortened
from syncd.model.warnings import DocumentWarning, WarningCode, Warnings

__all__ = [
    "LINEAGE_KEYS",
    "NOTHING",
    "PLAIN_COLLECTION",
    "Body",
    "Checkpoint",
    "Chunk",
    "ChunkSpan",
    "Chunking",
    "CollectionShape",
    "ConfirmDeletes",
    "Counts",
    "Document",
    "DocumentState",
    "DocumentWarning",
    "Embedded",
    "Embedder",
    "Embedding",
    "EmbeddingTask",
    "GitRef",
    "Invocation",
    "Known",
    "Metadata",
    "NamedCollection",
    "OneObject",
    "Origin",
    "PageMark",
    "Part",
    "Preparer",
    "QueryFunction",
    "Rechecking",
    "Request",
    "Role",
    "Row",
    "RowMetadata",
    "Rows",
    "Run",
    "Scalar",
    "SomeKeys",
    "Source",
    "SourceFacts",
    "SourceRecord",
    "SourceSchedule",
    "SourceSettings",
    "SourceWatch",
    "SparseEncoder",
    "SparseIndex",
    "SparseVector",
    "Stage",
    "State",
    "Target",
    "TextKind",
    "Total",
    "UnreadableSettings",
    "Upload",
    "Vectors",
    "WarningCode",
    "Warnings",
    "WholeSource",
    "chunk_prefix",
    "shortened",
]

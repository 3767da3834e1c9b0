"""The nouns of syncd and the protocols between its layers: plain values in, plain values out, no I/O.

A Source yields Documents and Checkpoints; a Document is parsed into Parts, Parts are split into Chunks, Chunks are
embedded and indexed; an Invocation asks for one such run.
"""

from __future__ import annotations

from syncd.model.records import (
    Chunking,
    Counts,
    DocumentState,
    Embedding,
    EmbeddingTask,
    Invocation,
    Origin,
    Schedule,
    SourceFacts,
    SourceRecord,
    SourceSettings,
    State,
    Target,
    UnreadableSettings,
    Watch,
)
from syncd.model.sources import Body, Checkpoint, Document, Known, Rechecking, Run, Source, Total, chunk_prefix
from syncd.model.texts import (
    Chunk,
    Embedded,
    Embedder,
    OpenHeadings,
    PageMark,
    Parser,
    Part,
    Role,
    Span,
    SparseEncoder,
    SparseVector,
    Split,
    Splitter,
    Stage,
    TextKind,
)
from syncd.model.values import Metadata, Scalar, Vectors

__all__ = [
    "Body",
    "Checkpoint",
    "Chunk",
    "Chunking",
    "Counts",
    "Document",
    "DocumentState",
    "Embedded",
    "Embedder",
    "Embedding",
    "EmbeddingTask",
    "Invocation",
    "Known",
    "Metadata",
    "OpenHeadings",
    "Origin",
    "PageMark",
    "Parser",
    "Part",
    "Rechecking",
    "Role",
    "Run",
    "Scalar",
    "Schedule",
    "Source",
    "SourceFacts",
    "SourceRecord",
    "SourceSettings",
    "Span",
    "SparseEncoder",
    "SparseVector",
    "Split",
    "Splitter",
    "Stage",
    "State",
    "Target",
    "TextKind",
    "Total",
    "UnreadableSettings",
    "Vectors",
    "Watch",
    "chunk_prefix",
]

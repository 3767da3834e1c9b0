"""From a document's bytes to chunks with their words, batch by batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import BinaryIO

import anyio

from syncd.model import Chunk, Chunking, Document, Embedder, Preparer, SourceRecord, Warnings
from syncd.model.formats import readers_fingerprint
from syncd.pipeline.effects import BYTES_PER_TOKEN
from syncd.pipeline.in_hand import InHand
from syncd.pipeline.job import DocumentJob, config_hash_of, pipeline_fingerprint
from syncd.pipeline.lineage import chunk_metadata, display_path
from syncd.pipeline.spooled_chunks import SpooledChunks
from syncd.store.changes import NewChunk, Urgency
from syncd.store.vectors import StoredVectors, vector_key


@dataclass(frozen=True, slots=True)
class Preparation:
    """What turns documents into chunks and vectors."""

    preparer: Callable[[SourceRecord], Preparer]
    embedder: Callable[[str], Awaitable[Embedder]]
    """Returns the model of a name, started when nobody used it yet. Raises RetryableError, PermanentError."""
    model_file: Callable[[str], str] = str
    """Says which file a model, by name, is set to be computed with."""
    max_text_in_flight_bytes: int = 64 << 20
    """Of all the documents that are being read at once."""

    def config_hash(self, source: SourceRecord) -> str:
        """Return what decides how the source's documents are made, besides themselves. Starts no model.

        It changes with the reader of any format: what a cursor or a crawl would pass over is looked at again, and each
        document's own fingerprint says whether it is prepared again.
        """
        parsing = self.preparer(source).fingerprint("any.pdf", None) + readers_fingerprint()
        return config_hash_of(source, parsing, self.model_file(source.embedding.model))

    def fingerprint(self, job: DocumentJob, embedder: Embedder) -> str:
        """Return what decides how this document is made, besides its bytes."""
        document = job.document
        parsing = self.preparer(job.run.source).fingerprint(file_name(document), document.media_type)
        return pipeline_fingerprint(job, embedder, parsing)


@dataclass(slots=True)
class Tally:
    """What of a document's chunks has vectors already, and what has not."""

    missing: int = 0
    missing_bytes: int = 0
    reused: int = 0


class Draft:
    """One document being made into chunks. `content_hash` is that of its bytes."""

    def __init__(
        self, preparation: Preparation, job: DocumentJob, embedder: Embedder, vectors: StoredVectors, content_hash: str
    ) -> None:
        self.chunks = SpooledChunks()
        self.tally = Tally()
        self.warnings = Warnings(job.document.warnings)
        self._preparation = preparation
        self._job = job
        self._embedder = embedder
        self._vectors = vectors
        self._version = content_hash if job.document.weak_version else job.document.version

    async def make(self, file: BinaryIO, in_hand: InHand) -> None:
        """Prepare batch by batch, so that a document costs the same memory whatever its length.

        Waits for room in the preparer. Raises RetryableError, PermanentError, Skipped.
        """
        source, effects = self._job.run.source, self._job.run.effects
        async with (
            aclosing(self._prepare(file)) as work,
            aclosing(in_hand.steps(self._job.mark, work)) as steps,
        ):
            async for batch in steps:
                new = await self._keyed(batch)
                with_sparse_vectors = await effects.with_sparse_vectors(source.embedding, new)
                await anyio.to_thread.run_sync(self.chunks.extend, with_sparse_vectors)

    def _prepare(self, file: BinaryIO) -> AsyncGenerator[Sequence[Chunk]]:
        document, source = self._job.document, self._job.run.source
        chunking = fitted(source.chunking, self._embedder)
        preparer = self._preparation.preparer(source)
        name, path, urgent = file_name(document), display_path(document), self._job.urgency > Urgency.BACKFILL
        return preparer.prepare(file, name, document.media_type, path, chunking, self.warnings, urgent=urgent)

    async def _keyed(self, chunks: Sequence[Chunk]) -> list[NewChunk]:
        """Return the chunks with the keys of their vectors, and count those that the cache lacks."""
        document, source = self._job.document, self._job.run.source
        task = source.embedding.task
        prompt = task.document_prompt if task else None
        model = self._embedder.fingerprint
        keys = [vector_key(model, prompt, chunk.embedded_text, source.database) for chunk in chunks]
        missing = await self._vectors.missing(keys)
        texts = {key: chunk.embedded_text for key, chunk in zip(keys, chunks, strict=True) if key in missing}
        self.tally.missing += len(texts)
        self.tally.reused += len(keys) - len(texts)
        self.tally.missing_bytes += sum(len(text.encode("utf-8", "surrogatepass")) for text in texts.values())
        return [
            NewChunk(chunk.text, chunk.context, key, chunk_metadata(document, source, self._version, chunk, number))
            for number, (key, chunk) in enumerate(zip(keys, chunks, strict=True), len(self.chunks))
        ]


def file_name(document: Document) -> str:
    """Return the name whose suffix decides how a document is read."""
    return document.name or document.key


def fitted(chunking: Chunking, embedder: Embedder) -> Chunking:
    """Return the chunking with its target within the model's window, so that chunks are not averaged out of windows."""
    window_bytes = int(embedder.max_tokens * BYTES_PER_TOKEN)
    return replace(chunking, target_size_bytes=min(chunking.target_size_bytes, window_bytes))

"""Says where a chunk comes from, and whether its document, fetched and prepared again, still gives the same.

Nothing is written, and no cursor moves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO, Literal, cast

import anyio
import numpy as np
from numpy.typing import NDArray

from syncd.errors import ConfigError, PermanentError, RetryableError, Skipped
from syncd.index.target import VectorStore
from syncd.model import Body, Checkpoint, Chunk, Document, Invocation, Origin, Run, SomeKeys, SourceRecord, State, Total
from syncd.pipeline.lineage import digest, display_path
from syncd.pipeline.preparation import Preparation, file_name, fitted
from syncd.store import Store
from syncd.store.chunks import FoundChunk
from syncd.store.collections import CollectionRecord
from syncd.store.documents import DocumentRecord
from syncd.sync.run_state import KnownDocuments
from syncd.sync.runner import OpenSource

DERIVE_LIMIT_S = 40.0
"""How long fetching, preparing and embedding one document again may take: whoever asks waits for it, for a minute at most."""
ALIKE = 0.999
"""Cosine of two vectors of one text: with what a text is batched changes them in the fourth digit."""

InChroma = Literal["as stored", "different", "missing", "unknown"]
Verdict = Literal["matches", "differs", "changed", "gone", "not derived"]


@dataclass(frozen=True, slots=True)
class Derivation:
    """What came of deriving a chunk again: `reason` says it in a sentence; what was not compared is None."""

    outcome: Verdict
    reason: str
    text_matches: bool | None = None
    id_matches: bool | None = None
    vector_matches: bool | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a chunk of one collection comes from."""

    collection: CollectionRecord
    chunk: FoundChunk
    document: DocumentRecord | None
    """None for one that is prepared only."""
    source: SourceRecord | None
    """None if it is gone."""
    in_chroma: InChroma
    derivation: Derivation


@dataclass(frozen=True, slots=True)
class _Stored:
    """A chunk of an indexed document, as the store has it, and its source with the collection's embedding."""

    record: CollectionRecord
    chunk: FoundChunk
    vector: NDArray[np.float32] | None
    document: DocumentRecord
    source: SourceRecord


class Explainer:
    """Explains chunks; any number at once."""

    def __init__(
        self, store: Store, vector_store: VectorStore, open_source: OpenSource, preparation: Preparation
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._open_source = open_source
        self._preparation = preparation

    async def explain(self, record: CollectionRecord, chunk_id: str) -> Explanation | None:
        """Return where a chunk comes from, and what deriving it again gives; None if the collection has no such chunk, or the
        store finds it damaged. Waits for its source, a preparer and the model, at most DERIVE_LIMIT_S.
        """
        chunk = (await self._store.chunks.get(record.id, [chunk_id])).get(chunk_id)
        if chunk is None:
            return None
        key, source_id = str(chunk.metadata["key"]), str(chunk.metadata["source_id"])
        vector = (await self._store.chunks.vectors(record.id, [chunk.id])).get(chunk.id)
        document = await self._store.documents.get(record.id, source_id, key) if chunk.stage == "written" else None
        source = await self._store.sources.get(source_id)
        in_chroma = await self._in_chroma(record, chunk, vector)
        if source is None:
            why = Derivation("not derived", "its source is gone; syncd verify lists what such sources left")
        elif document is None:
            why = Derivation("not derived", "its document is still being embedded or written; ask again when it is")
        else:
            recipe = await self._store.shadows.recipe(source_id, record.target)
            configured = replace(source, embedding=record.embedding, chunking=(recipe or source).chunking)
            why = await self._derivation(_Stored(record, chunk, vector, document, configured))
        return Explanation(record, chunk, document, source, in_chroma, why)

    async def _in_chroma(
        self, record: CollectionRecord, chunk: FoundChunk, vector: NDArray[np.float32] | None
    ) -> InChroma:
        try:
            found = await self._vector_store.get(record.target, [chunk.id], vectors=True)
        except (RetryableError, PermanentError):
            return "unknown"
        if not found:
            return "missing"
        (row,) = found
        if row.document != chunk.text or row.vector is None or vector is None:
            return "different"
        return "as stored" if likeness(row.vector, vector[: len(row.vector)]) >= ALIKE else "different"

    async def _derivation(self, stored: _Stored) -> Derivation:
        if stored.source.facts.no_dry_run:
            return Derivation("not derived", "only a crawl reads its pages; a sync of the source does")
        if stored.source.facts.no_runs:
            return Derivation("not derived", "uploaded files are not kept; upload it again to have it made anew")
        try:
            with anyio.fail_after(DERIVE_LIMIT_S):
                return await self._derived(stored)
        except TimeoutError:
            return Derivation("not derived", f"it took longer than {DERIVE_LIMIT_S:g} s; ask again later")
        except (RetryableError, PermanentError, ConfigError) as error:
            return Derivation("not derived", f"its document could not be fetched or prepared: {error}")

    async def _derived(self, stored: _Stored) -> Derivation:
        run = await self._run(stored, str(stored.chunk.metadata["key"]))
        steps = (await self._open_source(stored.source)).changes(run)
        async with aclosing(cast("AsyncGenerator[Document | Checkpoint | Total]", steps)) as found:
            # While the source is asked: it may close what bodies are read with when it ends.
            async for step in found:
                if isinstance(step, Document) and step.body is not None and step.key == stored.chunk.metadata["key"]:
                    return await self._compared(stored, step, step.body)
        return Derivation("gone", "its source has no such document any more; the next sync removes it")

    async def _run(self, stored: _Stored, key: str) -> Run:
        """Return what the source needs to know to yield this one document, as the collection has it if it can."""
        source, target = stored.source, stored.record.target
        now, asked = datetime.now(UTC), SomeKeys((key,))
        return Run(
            invocation=Invocation("explain", source.id, target, Origin.API, asked, State.PROCESSING, now),
            cursor=await self._store.progress.reached(source.id, target),
            earlier_cursor=await self._store.progress.earlier_cursor(source.id, stored.record.id),
            known=KnownDocuments(self._store, stored.record.id, source.id),
            keys=asked.keys,
            config_hash=self._preparation.config_hash(source),
            home=(await self._store.shadows.home_of(target)).collection,
        )

    async def _compared(self, stored: _Stored, now: Document, body: Body) -> Derivation:
        try:
            async with body.open() as file:
                content_hash, _ = await anyio.to_thread.run_sync(digest, file)
                if content_hash != stored.document.content_hash:
                    why = f"its source holds other bytes now, in version {now.version}; the next sync replaces it"
                    return Derivation("changed", why)
                derived = await self._chunk(file, now, stored)
        except Skipped as reason:
            return Derivation("changed", f"its document would be left out now: {reason}")
        return await self._judged(stored, now, derived)

    async def _chunk(self, file: BinaryIO, document: Document, stored: _Stored) -> Chunk | None:
        """Return the document's chunk of the same place, made with the present configuration; None if there are fewer."""
        embedder = await self._preparation.embedder(stored.source.embedding.model)
        preparer, chunking = self._preparation.preparer(stored.source), fitted(stored.source.chunking, embedder)
        left = int(stored.chunk.metadata["chunk_index"])
        name, path = file_name(document), display_path(document)
        work = preparer.prepare(file, name, document.media_type, path, chunking, urgent=True)
        async with aclosing(work) as batches:
            async for batch in batches:
                if left < len(batch):
                    return batch[left]
                left -= len(batch)
        return None

    async def _judged(self, stored: _Stored, now: Document, derived: Chunk | None) -> Derivation:
        if derived is None or derived.text != stored.chunk.text:
            why = "the same bytes are cut otherwise now; a sync of the whole source makes the document anew"
            return Derivation("differs", why, text_matches=False, id_matches=False)
        has_id = stored.chunk.id.rpartition("-")[0] in (now.chunk_prefix, now.other_prefix)
        try:
            task = stored.source.embedding.task
            embedder = await self._preparation.embedder(stored.source.embedding.model)
            (vector,) = (await embedder.embed([derived.embedded_text], "document", task, urgent=True)).vectors
        except (RetryableError, PermanentError) as error:
            return Derivation("matches", f"text and id; its vector was not computed: {error}", True, has_id)
        same = stored.vector is not None and likeness(vector, stored.vector) >= ALIKE
        if has_id and same:
            return Derivation("matches", "text, id and vector are what the document gives now", True, True, True)
        other = " and ".join(["id"] * (not has_id) + ["vector"] * (not same))
        return Derivation("differs", f"the text is the same, its {other} would be another one now", True, has_id, same)


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the cosine of two vectors; 0 if they cannot be compared."""
    if one.shape != other.shape:
        return 0.0
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length else 0.0

"""Everything durable, in one SQLite file, and beside it one of what is made of it: each public method is one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syncd.runtime.state import DATABASE_FILE, KEY_FILE, WORDS_FILE
from syncd.store.absent_sources import AbsentSources
from syncd.store.census import Censuses
from syncd.store.chunks import Chunks
from syncd.store.codec import SourceCodec
from syncd.store.collections import Collections
from syncd.store.database import Database
from syncd.store.document_list import DocumentList
from syncd.store.document_requests import DocumentRequests
from syncd.store.document_warnings import DocumentWarnings
from syncd.store.documents import Documents
from syncd.store.freshness import Freshness
from syncd.store.invocations import Invocations
from syncd.store.marks import Marks
from syncd.store.outbox import Outbox
from syncd.store.postings import Postings
from syncd.store.prepared import Prepared
from syncd.store.progress import Progress
from syncd.store.refills import Refills
from syncd.store.repairs import Repairs
from syncd.store.run_history import RunHistory
from syncd.store.secrets import Credentials, load_key
from syncd.store.shadows import Shadows
from syncd.store.source_names import SourceNames
from syncd.store.sources import Sources
from syncd.store.texts import DocumentTexts
from syncd.store.tokens import Tokens
from syncd.store.vectors import StoredVectors
from syncd.store.watch_failures import WatchFailures
from syncd.store.webhook_outbox import WebhookOutbox
from syncd.store.word_file import WordFile


@dataclass(frozen=True, slots=True)
class Store:
    """The open store, by subject. All parts share one writer, so their transactions never interleave."""

    database: Database
    sources: Sources
    source_names: SourceNames
    absent_sources: AbsentSources
    invocations: Invocations
    run_history: RunHistory
    collections: Collections
    documents: Documents
    listed: DocumentList
    document_requests: DocumentRequests
    warnings: DocumentWarnings
    outbox: Outbox
    refills: Refills
    shadows: Shadows
    postings: Postings
    words: WordFile
    chunks: Chunks
    repairs: Repairs
    texts: DocumentTexts
    prepared: Prepared
    progress: Progress
    freshness: Freshness
    censuses: Censuses
    marks: Marks
    watch_failures: WatchFailures
    webhooks: WebhookOutbox
    vectors: StoredVectors
    tokens: Tokens
    credentials: Credentials

    @classmethod
    async def open(cls, folder: Path, types: SourceCodec) -> Store:
        """Open (or create) `folder/syncd.sqlite`, with the tables of the source `types`, and the key file beside it.

        Raises ConfigError if the database was written by a newer syncd or a file cannot be used, or others can read the key file.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = load_key(folder / KEY_FILE)
        database = await Database.open(folder / DATABASE_FILE, types.migrations)
        postings = Postings(database)
        words = await WordFile.open(folder / WORDS_FILE, *await postings.begin())
        return cls(
            database=database,
            sources=Sources(database, types),
            source_names=SourceNames(database),
            absent_sources=AbsentSources(database),
            invocations=Invocations(database),
            run_history=RunHistory(database),
            collections=Collections(database),
            documents=Documents(database),
            listed=DocumentList(database),
            document_requests=DocumentRequests(database),
            warnings=DocumentWarnings(database),
            outbox=Outbox(database),
            refills=Refills(database),
            shadows=Shadows(database),
            postings=postings,
            words=words,
            chunks=Chunks(database),
            repairs=Repairs(database),
            texts=DocumentTexts(database),
            prepared=Prepared(database),
            progress=Progress(database),
            freshness=Freshness(database),
            censuses=Censuses(database),
            marks=Marks(database),
            watch_failures=WatchFailures(database),
            webhooks=WebhookOutbox(database),
            vectors=StoredVectors(database),
            tokens=Tokens(database),
            credentials=Credentials(database, key),
        )

    async def close(self) -> None:
        """Checkpoint the write-ahead log and close. Call once."""
        await self.words.close()
        await self.database.close()

"""Runs a WebSource the way the Syncer does, against an index that is a dictionary."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from syncd.errors import OvertakenError, PermanentError
from syncd.model import Checkpoint, Document, Invocation, Origin, Run, State, Target
from syncd.sources.web.extract import HtmlPage, extract
from syncd.sources.web.settings import WebLimits, WebSettings
from syncd.sources.web.source import WebSource
from syncd.sources.web.visit_result import PageExtractor
from syncd.store.database import Database
from tests.web_traps import TrapServer

QUICK = WebLimits(request_s=5.0, retry_after_s=3.0, slowest_interval_s=0.05)


@dataclass
class Index:
    """What a collection holds of one source: key to version and text."""

    versions: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why pages failed, by key."""
    looked_again: list[str] = field(default_factory=list)
    """Unchanged documents whose bytes were needed all the same."""
    checkpoint: Checkpoint | None = None

    async def version(self, key: str) -> str | None:
        return self.versions.get(key)

    async def keys(self) -> AsyncIterator[str]:
        for key in sorted(self.versions):
            yield key

    async def take(self, document: Document) -> None:
        """Do as the pipeline does: a version is read once, unless name or metadata are others."""
        if document.body is None:
            self.removed.append(document.key)
            self.forget(document.key)
        elif not self.holds(document):
            try:
                async with document.body.open() as file:
                    self.texts[document.key] = file.read().decode("utf-8", "replace")
            except OvertakenError:
                assert document.again is not None
                self.looked_again.append(document.key)
                return await self.take(await document.again())
            except PermanentError as error:
                self.failed[document.key] = str(error)
                return None
            self.versions[document.key] = document.version
            self.documents[document.key] = document
            self.writes.append(document.key)
        return None

    def holds(self, document: Document) -> bool:
        known = self.documents.get(document.key)
        if known is None or self.versions[document.key] != document.version:
            return False
        return (known.name, known.metadata) == (document.name, document.metadata)

    def forget(self, key: str) -> None:
        self.versions.pop(key, None)
        self.documents.pop(key, None)
        self.texts.pop(key, None)


@dataclass
class Crawler:
    """One source and its index; `sync` may be called again and again."""

    source: WebSource
    index: Index = field(default_factory=Index)
    cursor: str | None = None
    config_hash: str = ""

    async def sync(self, keys: frozenset[str] | None = None, stop_after: int | None = None) -> Index:
        """Crawl once. `stop_after`: walk away after so many documents, as a crash would."""
        seen: set[str] = set()
        self.index.checkpoint = None
        self.index.writes, self.index.removed, self.index.failed, self.index.looked_again = [], [], {}, []
        stream = self.source.changes(Run(invocation(), self.cursor, self.index, keys, self.config_hash))
        try:
            async for item in stream:
                if isinstance(item, Checkpoint):
                    self.index.checkpoint = item
                    self.cursor = item.cursor
                    continue
                await self.index.take(item)
                seen.add(item.key)
                if stop_after is not None and len(seen) >= stop_after:
                    return self.index
        finally:
            await stream.aclose()
        if self.index.checkpoint and self.index.checkpoint.absent_are_gone:
            for key in [key for key in self.index.versions if key not in seen]:
                self.index.removed.append(key)
                self.index.forget(key)
        return self.index

    def paths(self, site: TrapServer) -> list[str]:
        """The indexed pages of `site`, as paths, in the order they were first written."""
        return [key.removeprefix(site.url) for key in self.index.versions]


def invocation() -> Invocation:
    return Invocation(uuid.uuid4().hex, "s", Target("db", "pages"), Origin.API, {}, State.PROCESSING, datetime.now(UTC))


def settings_for(site: TrapServer, path: str = "/", **options: Any) -> WebSettings:
    base = WebSettings(site.url + path, allow_private_addresses=(f"127.0.0.1:{site.port}",), rate_per_s=0, limits=QUICK)
    return replace(base, **options)


class DirectReader:
    """Reads pages in this process: what most tests are about is not the process."""

    async def extract(self, data: bytes, url: str, content_type: str, max_links: int) -> HtmlPage:
        try:
            return extract(data, url, content_type, max_links)
        except ValueError as error:
            raise PermanentError(str(error)) from error


def crawler(
    site: TrapServer,
    database: Database,
    path: str = "/",
    source_id: str = "s",
    reader: PageExtractor | None = None,
    **options: Any,
) -> Crawler:
    settings = settings_for(site, path, **options)
    return Crawler(WebSource(settings, database, source_id, reader or DirectReader()))

"""Runs a WebSource into a collection of the in-memory vector store."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from syncd.errors import PermanentError
from syncd.model import Checkpoint, Document
from syncd.sources.web.extract import HtmlPage, extract
from syncd.sources.web.settings import WebLimits, WebSettings
from syncd.sources.web.source import SiteSource
from syncd.sources.web.visit_result import PageExtractor
from syncd.store.database import Database
from tests.sources.running import SyncedCollection, document
from tests.web_traps import TrapServer

QUICK = WebLimits(request_s=5.0, retry_after_s=3.0, slowest_interval_s=0.05)


@dataclass
class CrawledPages(SyncedCollection):
    """What a collection holds of one crawl, and what the last crawl did. A document is tried twice, as it may be overtaken."""

    type: str = "web_scrape"
    attempts: int = 2
    texts: dict[str, str] = field(default_factory=dict)
    """What is indexed, by URL."""
    indexed: dict[str, Document] = field(default_factory=dict)
    """How what is indexed was yielded when it was last indexed, by URL."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        return self.last.checkpoint

    @property
    def writes(self) -> list[str]:
        """What the last crawl indexed, in the order in which it was yielded."""
        written = set(self.last.keys("indexed"))
        return [document.key for document in self.documents if document.key in written]

    @property
    def removed(self) -> list[str]:
        return self.last.keys("deleted")

    @property
    def left_out(self) -> dict[str, str]:
        """Why the last crawl left addresses out, as it is listed."""
        return {result.key: result.reason for result in self.last.results if result.state == "skipped"}

    @property
    def looked_again(self) -> list[str]:
        """Unchanged documents whose bytes were needed all the same."""
        return self.last.looked_again

    async def crawl(self, source: SiteSource, keys: frozenset[str] | None, stop_after: int | None) -> None:
        await self.sync(source, keys=keys, die_after=stop_after)
        self.texts = {key: text.decode() for key, text in self.contents.items() if isinstance(text, bytes)}
        indexed = set(self.last.keys("indexed"))
        self.indexed |= {document.key: document for document in self.last.latest if document.key in indexed}
        self.indexed = {key: document for key, document in self.indexed.items() if key in self.versions}

    async def hold_page(self, url: str) -> None:
        """Have a page that no crawl will find again."""
        await self.hold(document(url, "# An old page\n"))


@dataclass
class Crawler:
    """One source and its collection; `sync` may be called again and again."""

    source: SiteSource
    index: CrawledPages = field(default_factory=CrawledPages)

    async def sync(self, keys: frozenset[str] | None = None, stop_after: int | None = None) -> CrawledPages:
        """Crawl once. `stop_after`: die after so many documents."""
        await self.index.crawl(self.source, keys, stop_after)
        return self.index

    def paths(self, site: TrapServer) -> list[str]:
        """The indexed pages of `site`, as paths, in the order in which they were first yielded."""
        return [key.removeprefix(site.url) for key in self.index.versions]


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
    return Crawler(SiteSource(settings, database, source_id, reader or DirectReader()))


class Names(AbstractResolver):
    """Leads (host, port) to a port of this machine, as if the test's servers had the ports of the web."""

    def __init__(self, ports: Mapping[tuple[str, int], int]) -> None:
        self._ports = ports

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        here = self._ports[host, port]
        found = ResolveResult(hostname=host, host="127.0.0.1", port=here, family=socket.AF_INET, proto=0, flags=0)
        return [found]

    async def close(self) -> None:
        pass

"""Measures the memory of a crawl against the number of pages: it must not grow with the site.

    python -m tests.benchmarks.crawl_memory [--pages 500 1000 2000 4000]

Each size is crawled by a process of its own that keeps no texts; the pages are made up by another process as they are asked
for. Printed are the crawler's resident memory above what it had after 100 pages, and the peak of the process that reads pages.
"""

import argparse
import asyncio
import multiprocessing
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from syncd.model import Checkpoint, Run
from syncd.sources.registry import TYPES
from syncd.sources.web.page_workers import PageWorkers
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.source import SiteSource
from syncd.store.database import Database
from tests.crash.history import WORDS
from tests.serving import serve
from tests.sources.running import invocation

WARM_PAGES = 100


class OnDisk:
    """The versions of a collection's documents, as the store would know them."""

    def __init__(self, folder: str) -> None:
        self._connection = sqlite3.connect(Path(folder, "known.db"), isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("CREATE TABLE known (key TEXT PRIMARY KEY, version TEXT)")

    async def version(self, key: str) -> str | None:
        row = self._connection.execute("SELECT version FROM known WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    async def keys(self) -> AsyncIterator[str]:
        for (key,) in self._connection.execute("SELECT key FROM known ORDER BY key"):
            yield key

    def take(self, key: str, version: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (key, version))


def page(number: int, pages: int) -> str:
    rng = random.Random(number)
    links = [number + 1, number + 2, *(rng.randrange(pages) for _ in range(30))]
    anchors = "".join(f'<li><a href="/{name(to)}">{rng.choice(WORDS)}</a>' for to in links if to < pages)
    text = "".join(f"<h2 id=s{part}>Part {part}</h2><p>{' '.join(rng.choices(WORDS, k=120))}</p>" for part in range(8))
    return f"<html><title>Page {number}</title><main><h1>{number}</h1>{text}<ul>{anchors}</ul></main></html>"


def name(number: int) -> str:
    """Return an address without digits: pages alike but for digits are bounded."""
    return "".join(chr(97 + int(digit)) for digit in str(number)) if number else ""


def number_of(path: str) -> int:
    return int("".join(str(ord(letter) - 97) for letter in path.strip("/")) or "0")


def serve_site(pipe: Connection, pages: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path in ("/robots.txt", "/sitemap.xml"):
            return web.Response(status=404)
        return web.Response(text=page(number_of(request.path), pages), content_type="text/html")

    with serve(answer) as url:
        pipe.send(url)
        pipe.recv()


def rss_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def crawl(url: str) -> tuple[int, float, float]:
    """Crawl; return pages, the crawler's growth in MiB (its peak after `WARM_PAGES`), and seconds."""
    settings = WebSettings(url + "/", allow_private_addresses=("127.0.0.1",), rate_per_s=0, concurrency=8)
    started, pages, base, peak = time.monotonic(), 0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        known, database = OnDisk(folder), await Database.open(Path(folder, "state.db"), TYPES.migrations)
        async with PageWorkers() as reader:
            async for item in SiteSource(settings, database, "s", reader).changes(Run(invocation(), None, known)):
                if isinstance(item, Checkpoint):
                    continue
                known.take(item.key, item.version)
                pages += 1
                if pages == WARM_PAGES:
                    base = rss_mib()
                if pages % 50 == 0:
                    peak = max(peak, rss_mib())
        await database.close()
    return pages, peak - base, time.monotonic() - started


def measure(url: str, pipe: Connection) -> None:
    pages, growth, seconds = asyncio.run(crawl(url))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    pipe.send((pages, growth, rss_mib(), children, seconds))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pages", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    spawn = multiprocessing.get_context("spawn")
    for pages in options.parse_args().pages:
        ours, theirs = spawn.Pipe()
        site = spawn.Process(target=serve_site, args=(theirs, pages))
        site.start()
        mine, its = spawn.Pipe()
        crawler = spawn.Process(target=measure, args=(ours.recv(), its))
        crawler.start()
        done, growth, rss, reader, seconds = mine.recv()
        crawler.join()
        ours.send(None)
        site.join()
        print(
            f"{done} pages in {seconds:.0f} s: crawler {growth:+.1f} MiB since page {WARM_PAGES}, {rss:.0f} MiB in all; "
            f"page reader {reader:.0f} MiB at most",
            flush=True,
        )


if __name__ == "__main__":
    main()

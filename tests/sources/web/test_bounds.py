"""Mazes, bombs, drips and half answers: everything ends, and soon."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import replace

import brotli
import pytest

from syncd.sources.web.page_workers import PageWorkers
from syncd.store.database import Database
from tests.sources.web.crawling import QUICK, crawler
from tests.web_traps import Answer, Request, TrapServer, html


async def test_an_endless_calendar_ends(site: TrapServer, database: Database):
    def month(asked: Request) -> Answer:
        number = int(asked.path.rpartition("=")[2])
        return Answer(html(f"Month {number}", f"Nothing in month {number}. " * 9, f"/calendar?month={number + 1}"))

    site.add("/", "", "/calendar?month=1")
    site.pages["/calendar*"] = month
    crawl = crawler(site, database, limits=replace(QUICK, chain_links=20))

    index = await crawl.sync()

    assert len(crawl.paths(site)) == 1 + 21
    assert index.checkpoint is not None
    assert index.checkpoint.absent_are_gone


async def test_endless_parameters_end(site: TrapServer, database: Database):
    def numbered(asked: Request) -> Answer:
        number = int(asked.path.rpartition("=")[2])
        links = [f"/list?p={number * 7 + step}" for step in range(1, 8)]
        return Answer(html(f"Part {number}", f"Items of part {number}. " * 9, *links))

    site.add("/", "", "/list?p=1")
    site.pages["/list*"] = numbered
    crawl = crawler(site, database, limits=replace(QUICK, alike_pages=30))

    await crawl.sync()

    assert len(crawl.paths(site)) == 1 + 30


async def test_a_path_that_grows_for_ever_ends(site: TrapServer, database: Database):
    site.add("/", "", "/dir/")
    site.pages["/dir/*"] = lambda asked: Answer(html(asked.path, f"In {asked.path}. " * 9, "dir/"))
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/dir/", "/dir/dir/", "/dir/dir/dir/"]


async def test_a_page_with_very_many_links_gives_its_first_ones(site: TrapServer, database: Database):
    site.add("/", "", *(f"/p/{number}" for number in range(50_000)))
    site.pages["/p/*"] = lambda asked: Answer(html(asked.path, f"Page {asked.path}. " * 9))
    crawl = crawler(site, database, limits=replace(QUICK, links_per_page=15))

    await crawl.sync()

    assert crawl.paths(site) == ["/", *(f"/p/{number}" for number in range(15))]


async def test_the_fetch_budget_ends_a_crawl_that_indexes_nothing(site: TrapServer, database: Database):
    site.add("/", "", *(f"/hidden/{number}" for number in range(500)))
    site.pages["/hidden/*"] = Answer(html("Hidden", "", head="<meta name=robots content=noindex>"))
    crawl = crawler(site, database, page_limit=2)

    index = await crawl.sync()

    assert 60 <= len(site.log) <= 60 + 16
    assert index.checkpoint is not None
    assert not index.checkpoint.absent_are_gone


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"<p>more and more</p>" * 1000


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b"."
        await asyncio.sleep(0.05)


BOMB = gzip.compress(b"<p>a</p>" * (16 << 20))
BROTLI_BOMB = brotli.compress(b"<p>a</p>" * (16 << 20), quality=1)


@pytest.mark.parametrize(
    "trap",
    [
        pytest.param(lambda: Answer(endless()), id="endless body"),
        pytest.param(lambda: Answer(BOMB, headers={"Content-Encoding": "gzip"}), id="gzip bomb"),
        pytest.param(lambda: Answer(BOMB, headers={"Content-Encoding": "x-gzip"}), id="x-gzip bomb"),
        pytest.param(lambda: Answer(BROTLI_BOMB, headers={"Content-Encoding": "br"}), id="brotli bomb"),
        pytest.param(lambda: Answer(BOMB[:1000], headers={"Content-Encoding": "x-gzip"}), id="x-gzip, cut off"),
        pytest.param(lambda: Answer(drip()), id="slow body"),
        pytest.param(lambda: Answer(before=asyncio.Event().wait), id="no headers"),
        pytest.param(lambda: Answer(b"x", headers={"Content-Length": "999999999"}), id="claims a gigabyte"),
        pytest.param(lambda: Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200_000 + b"\r\n"), id="header flood"),
        pytest.param(lambda: Answer(raw=b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 100_000 + b"\r\n\r\n"), id="long header"),
        pytest.param(lambda: Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<p>cut"), id="truncated"),
        pytest.param(lambda: Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), id="not http"),
        pytest.param(lambda: Answer(raw=b""), id="nothing"),
        pytest.param(lambda: Answer(b"", 204), id="no content"),
        pytest.param(lambda: Answer(b""), id="empty"),
        pytest.param(lambda: Answer(b"", 304), id="not modified, unasked"),
        pytest.param(lambda: Answer(b"<p>part</p>", 206), id="partial content, unasked"),
        pytest.param(lambda: Answer(html("No", ""), 401), id="unauthorised"),
        pytest.param(lambda: Answer(html("No", ""), 403), id="forbidden"),
        pytest.param(lambda: Answer(html("No", ""), 500), id="broken"),
        pytest.param(lambda: Answer(b"\x1f\x8bgarbage", headers={"Content-Encoding": "gzip"}), id="broken gzip"),
    ],
)
async def test_an_answer_that_is_no_page_is_left_out_and_the_rest_goes_on(
    site: TrapServer, database: Database, trap: type[Answer]
):
    site.add("/", "", "/trap", "/fine")
    site.pages["/trap"] = lambda _: trap()
    site.add("/fine")
    limits = replace(QUICK, attempts=1, page_size_bytes=1 << 20)
    crawl = crawler(site, database, limits=limits)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/fine"]


async def test_http_1_0_without_length_is_read_to_its_end(site: TrapServer, database: Database):
    site.add("/", "", "/old")
    site.pages["/old"] = Answer(raw=b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + html("Old", ""))
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/old"]


async def test_pages_that_break_the_reader_cost_themselves_only(site: TrapServer, database: Database):
    site.add("/", "", "/deep", "/wide", "/fine")
    site.pages["/deep"] = Answer(b"<!doctype html><html><body>" + b"<div>" * 200_000 + b"deep")
    site.pages["/wide"] = Answer(b"<!doctype html><html><body><main " + b"a " * 300_000 + b">wide</main>")
    site.add("/fine")
    async with PageWorkers(limit_s=2.0) as reader:
        crawl = crawler(site, database, reader=reader)
        await crawl.sync()

    assert "/fine" in crawl.paths(site)

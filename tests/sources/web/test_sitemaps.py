"""Sitemaps as seeds: pages nobody links to are found, files that lie or explode are not trusted."""

import gzip
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from syncd.sources.web.sitemap import SitemapError, read_sitemap
from syncd.sources.web.sitemap_seeder import ListedSitemap, SitemapQueue
from syncd.store.database import Database
from tests.sources.web.crawling import QUICK, crawler
from tests.web_traps import Answer, TrapServer, html

XML = {"Content-Type": "application/xml"}
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*locations: str) -> bytes:
    entries = "".join(f"<url><loc> {one} </loc><lastmod>2024-05-06</lastmod></url>" for one in locations)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {NAMESPACE}>{entries}</urlset>'.encode()


def index(*locations: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{one}</loc></sitemap>" for one in locations)
    return f"<sitemapindex {NAMESPACE}>{entries}</sitemapindex>".encode()


async def test_pages_only_a_sitemap_knows_are_found_after_those_with_links(site: TrapServer, database: Database):
    site.pages["/robots.txt"] = Answer(f"Sitemap: {site.url}/maps.xml".encode(), headers={"Content-Type": "text/plain"})
    site.pages["/maps.xml"] = Answer(
        index(
            f"{site.url}/maps.xml",
            f"{site.url}/one.xml.gz",
            "http://elsewhere.example/x.xml",
            f"{site.url}/missing.xml",
        ),
        headers=XML,
    )
    packed = gzip.compress(
        urlset(f"{site.url}/orphan?a=1&amp;b=2", "http://elsewhere.example/page", f"{site.url}/linked")
    )
    site.pages["/one.xml.gz"] = Answer(packed, headers={"Content-Type": "application/gzip"})
    site.add("/", "", "/linked")
    site.add("/linked")
    site.add("/orphan", "", "/from-orphan")
    site.add("/from-orphan")
    crawl = crawler(site, database)

    result = await crawl.sync()

    assert crawl.paths(site) == ["/", "/linked", "/orphan?a=1&b=2", "/from-orphan"]
    assert site.paths().count("/maps.xml") == 1
    assert result.checkpoint is not None
    assert result.checkpoint.absent_are_gone


async def test_a_sitemap_on_an_internal_host_is_not_asked_for(
    site: TrapServer, other_site: TrapServer, database: Database
):
    site.pages["/robots.txt"] = Answer(f"Sitemap: {other_site.url}/map.xml\nSitemap: http://[".encode())
    site.add("/")
    await crawler(site, database).sync()
    assert other_site.log == []


async def test_a_sitemap_that_fails_keeps_the_crawl_from_being_complete(site: TrapServer, database: Database):
    site.add("/")
    site.pages["/sitemap.xml"] = Answer(b"", 500)
    result = await crawler(site, database).sync()
    assert result.checkpoint is not None
    assert not result.checkpoint.absent_are_gone


def dated(**pages: str) -> Answer:
    entries = "".join(f"<url><loc>{url}</loc><lastmod>{date}</lastmod></url>" for url, date in pages.items())
    return Answer(f"<urlset {NAMESPACE}>{entries}</urlset>".encode(), headers=XML)


async def test_what_a_sitemap_says_changed_last_comes_first(site: TrapServer, database: Database):
    site.add("/")
    dates = {"/old": "2019-01-01", "/new": "2024-05-06T10:00:00Z", "/undated": "soon", "/middle": "2023-02-03"}
    site.pages["/sitemap.xml"] = dated(**{site.url + path: date for path, date in dates.items()})
    for path in dates:
        site.add(path)
    crawl = crawler(site, database, page_limit=4)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/new", "/middle", "/old"]


async def test_a_page_older_than_its_last_reading_is_not_asked_for_again_for_some_days(
    site: TrapServer, database: Database, monkeypatch: pytest.MonkeyPatch
):
    now = time.time()
    site.add("/")
    date = datetime.fromtimestamp(now, UTC).date()
    dates = {"/old": "2019-01-01", "/today": date.isoformat(), "/undated": ""}
    site.pages["/sitemap.xml"] = dated(**{site.url + path: text for path, text in dates.items()})
    for path in dates:
        site.add(path)
    crawl = crawler(site, database)
    await crawl.sync()

    asked: list[list[str]] = []
    for days in (1, 6, 9):
        monkeypatch.setattr("syncd.sources.web.page_fetcher.time.time", lambda later=days: now + later * 86400)
        site.log.clear()
        index = await crawl.sync()
        assert index.writes == index.removed == []
        asked.append(sorted(site.paths()))
    assert asked == [["/", "/today", "/undated"], ["/", "/undated"], ["/", "/old", "/today", "/undated"]]

    site.pages["/sitemap.xml"] = dated(**{site.url + "/old": (date + timedelta(days=9)).isoformat()})
    site.add("/old", "It says something else now. " * 9)
    index = await crawl.sync()
    assert site.url + "/old" in index.writes


def test_dates_and_kinds_are_read():
    page = next(read_sitemap(urlset("http://h/a"), 1 << 20))
    assert (page.location, page.is_sitemap) == ("http://h/a", False)
    assert page.modified_at is not None
    assert page.modified_at.year == 2024
    assert next(read_sitemap(index("http://h/b"), 1 << 20)).is_sitemap
    assert [one.location for one in read_sitemap(b"\xef\xbb\xbfhttp://h/a\nx\nhttp://h/b\n", 1 << 20)] == [
        "http://h/a",
        "http://h/b",
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>',
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>&f;</loc></url></urlset>',
        b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1/x.dtd"> %p;]><urlset></urlset>',
        b"<urlset>" + b"<a>" * 100,
        b"<urlset><url><loc>http://h/</loc>",
        gzip.compress(b"<urlset>" + b" " * (8 << 20) + b"</urlset>"),
        b"\x1f\x8bbroken",
    ],
)
def test_hostile_sitemaps_are_refused(data: bytes):
    with pytest.raises(SitemapError):
        list(read_sitemap(data, 1 << 20))


def test_a_sitemap_gives_at_most_50_000_pages():
    many = urlset(*(f"http://h/{number}" for number in range(50_100)))
    entries = read_sitemap(many, 50 << 20)
    assert sum(1 for _ in islice(entries, 50_000)) == 50_000
    with pytest.raises(SitemapError, match="more than 50000"):
        next(entries)


async def test_of_the_sitemaps_that_an_index_lists_no_more_are_kept_than_may_be_read(
    site: TrapServer, database: Database, monkeypatch: pytest.MonkeyPatch
):
    site.add("/")
    listed = [f"{site.url}/s{number}.xml" for number in range(1000)]
    site.pages["/sitemap.xml"] = Answer(index(*listed))
    site.pages["/s*"] = lambda asked: Answer(urlset(f"{site.url}/p{asked.path[2:-4]}"))
    site.pages["/p*"] = lambda asked: Answer(html(asked.path, ""))
    waiting: list[int] = []
    add = SitemapQueue.add

    def counted(queue: SitemapQueue, listed: Sequence[ListedSitemap]) -> None:
        add(queue, listed)
        waiting.append(len(queue._waiting))

    monkeypatch.setattr(SitemapQueue, "add", counted)
    crawl = crawler(site, database, limits=replace(QUICK, sitemaps=4))
    synced = await crawl.sync()
    assert crawl.paths(site) == ["/", "/p0", "/p1", "/p2"]
    assert max(waiting) == 4
    assert synced.checkpoint is not None
    assert "more than 4 sitemaps" in synced.checkpoint.incomplete


async def test_what_sitemaps_list_comes_right_after_the_starting_page(site: TrapServer, database: Database):
    site.add("/", "", "/a")
    site.add("/a", "", "/deep")
    site.add("/deep")
    site.add("/listed")
    site.pages["/sitemap.xml"] = Answer(f"<urlset><url><loc>{site.url}/listed</loc></url></urlset>".encode())
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/a", "/listed", "/deep"]
    assert [one.path for one in site.log][1:3] == ["/", "/sitemap.xml"]

"""Part of a site is never taken for the whole: whatever cuts a crawl short is said, and nothing goes for being absent."""

import gzip
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from syncd.store.database import Database
from tests.sources.web.crawling import QUICK, CrawledPages, Crawler, crawler
from tests.sources.web.test_sitemaps import XML, index, urlset
from tests.web_traps import Answer, Request, TrapServer, html

TEXT = {"Content-Type": "text/plain"}
ORPHANS = [f"/orphan-{name}" for name in "abcdefgh"]
MAINTENANCE = b"<!doctype html><html><body><p>We will be back & running soon.<br></body></html>"


def orphaned(site: TrapServer, database: Database, name: str = "/map.xml", **options: object) -> Crawler:
    """A site most of whose pages only a sitemap leads to, named by robots.txt unless it is the conventional one."""
    site.add("/")
    for path in ORPHANS:
        site.add(path)
    site.pages[name] = Answer(urlset(*(site.url + path for path in ORPHANS)), headers=XML)
    if name != "/sitemap.xml":
        site.pages["/robots.txt"] = Answer(f"Sitemap: {site.url}{name}".encode(), headers=TEXT)
    return crawler(site, database, **options)


def assert_kept(index: CrawledPages, site: TrapServer, reason: str) -> None:
    assert index.checkpoint is not None
    assert not index.checkpoint.absent_are_gone
    assert reason in index.checkpoint.incomplete
    assert index.removed == []
    assert {site.url + path for path in ORPHANS} <= index.versions.keys()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(MAINTENANCE), "is not well-formed XML"),
        (
            Answer(b"<html xmlns='http://www.w3.org/1999/xhtml'><p>Back soon</p></html>"),
            "it is not a sitemap but <html>",
        ),
        (Answer(b"Down for maintenance", headers=TEXT), "lists no URLs"),
        (Answer(b""), "empty"),
        (Answer(b"", 403), "status 403"),
        (Answer(b"", 404), "status 404"),
        (Answer(b"", 410), "status 410"),
        (Answer(b"", 503), "status 503"),
        (Answer(b"", 503, {"Retry-After": "86400"}), "sent Retry-After: 86400 s"),
        (Answer(urlset("http://h/")[:-9], headers=XML), "is not well-formed XML"),
        (Answer(gzip.compress(urlset("http://h/"))[:-9]), "invalid gzip data"),
        (Answer(b"", 302, {"Location": "http://elsewhere.example/"}), "redirects to another site"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("name", ["/map.xml", "/sitemap.xml"])
async def test_a_sitemap_that_cannot_be_read_whole_removes_nothing(
    site: TrapServer, database: Database, name: str, answer: Answer, reason: str
):
    crawl = orphaned(site, database, name)
    await crawl.sync()
    site.pages[name] = answer

    assert_kept(await crawl.sync(), site, f"sitemap {site.url}{name}: ")
    assert reason in (crawl.index.checkpoint.incomplete if crawl.index.checkpoint else "")


async def test_a_bare_ampersand_hides_no_page_and_is_said(site: TrapServer, database: Database):
    locations = [f"{site.url}/list?a={number}&b=2" for number in range(8)]
    site.add("/")
    site.pages["/list*"] = lambda asked: Answer(html(asked.path, f"All about {asked.path}. " * 9))
    site.pages["/sitemap.xml"] = Answer(urlset(*locations), headers=XML)
    crawl = crawler(site, database)

    result = await crawl.sync()

    assert set(crawl.paths(site)) == {"/", *(one.removeprefix(site.url) for one in locations)}
    assert result.checkpoint is not None
    assert "every '&' was read as '&amp;'" in result.checkpoint.incomplete
    assert not result.checkpoint.absent_are_gone


async def test_one_broken_part_of_an_index_keeps_the_others_and_is_said(site: TrapServer, database: Database):
    crawl = orphaned(site, database)
    site.pages["/maps.xml"] = Answer(index(f"{site.url}/broken.xml", f"{site.url}/map.xml"), headers=XML)
    site.pages["/robots.txt"] = Answer(f"Sitemap: {site.url}/maps.xml".encode(), headers=TEXT)
    site.pages["/broken.xml"] = Answer(MAINTENANCE)
    assert_kept(await crawl.sync(), site, "/broken.xml: ")


@pytest.mark.parametrize("status", [200, 403, 404])
async def test_where_nothing_says_that_there_is_a_sitemap_its_absence_is_no_gap(
    site: TrapServer, database: Database, status: int
):
    site.add("/")
    site.pages["/sitemap.xml"] = Answer(MAINTENANCE, status)
    result = await crawler(site, database).sync()
    assert result.checkpoint is not None
    assert (result.checkpoint.absent_are_gone, result.checkpoint.incomplete) == (True, "")


async def test_a_feed_among_the_sitemaps_is_no_gap(site: TrapServer, database: Database):
    crawl = orphaned(site, database)
    site.pages["/robots.txt"] = Answer(f"Sitemap: {site.url}/map.xml\nSitemap: {site.url}/rss".encode(), headers=TEXT)
    site.pages["/rss"] = Answer(b"<rss><channel><item><link>x</link></item></channel></rss>", headers=XML)
    result = await crawl.sync()
    assert result.checkpoint is not None
    assert result.checkpoint.absent_are_gone


@pytest.mark.parametrize("name", ["/map.xml", "/sitemap.xml"])
async def test_a_sitemap_that_stays_away_for_a_day_is_gone(
    site: TrapServer, database: Database, name: str, monkeypatch: pytest.MonkeyPatch
):
    crawl = orphaned(site, database, name)
    await crawl.sync()
    del site.pages[name]
    assert_kept(await crawl.sync(), site, "status 404")
    later = time.time() + 86_500
    monkeypatch.setattr("syncd.sources.web.sitemap_seeder.time.time", lambda: later)

    result = await crawl.sync()

    assert crawl.paths(site) == ["/"]
    assert result.checkpoint is not None
    assert result.checkpoint.incomplete == ""


async def test_a_sitemap_that_comes_back_is_as_if_it_had_never_been_away(site: TrapServer, database: Database):
    crawl = orphaned(site, database, "/sitemap.xml")
    await crawl.sync()
    map_file = site.pages.pop("/sitemap.xml")
    await crawl.sync()
    site.pages["/sitemap.xml"] = map_file
    result = await crawl.sync()
    assert result.checkpoint is not None
    assert result.checkpoint.absent_are_gone


async def test_a_robots_txt_that_forgets_its_sitemap_removes_nothing(site: TrapServer, database: Database):
    crawl = orphaned(site, database)
    await crawl.sync()
    del site.pages["/robots.txt"]
    result = await crawl.sync()
    assert result.removed == []
    assert set(crawl.paths(site)) == {"/", *ORPHANS}


async def test_more_sitemaps_than_are_read_are_a_gap(site: TrapServer, database: Database):
    crawl = orphaned(site, database, limits=replace(QUICK, sitemaps=2))
    await crawl.sync()
    many = [f"{site.url}/other-{number}.xml" for number in range(3)]
    site.pages["/maps.xml"] = Answer(index(*many, f"{site.url}/map.xml"), headers=XML)
    site.pages["/robots.txt"] = Answer(f"Sitemap: {site.url}/maps.xml".encode(), headers=TEXT)
    assert_kept(await crawl.sync(), site, "more than 2 sitemaps")


async def test_every_link_of_a_page_is_followed(site: TrapServer, database: Database):
    pages = [f"/p/{letters}" for letters in words(1200)]
    site.add("/", "", *pages)
    site.pages["/p/*"] = lambda asked: Answer(html(asked.path, f"Page {asked.path}. " * 9))
    crawl = crawler(site, database)

    result = await crawl.sync()

    assert crawl.paths(site) == ["/", *pages]
    assert result.checkpoint is not None
    assert result.checkpoint.absent_are_gone


@pytest.mark.parametrize("validator", [{}, {"ETag": '"1"'}], ids=["read", "vouched for"])
async def test_links_that_are_cut_are_said_crawl_after_crawl(
    site: TrapServer, database: Database, validator: dict[str, str]
):
    def home(asked: Request) -> Answer:
        if validator and asked.headers.get("if-none-match"):
            return Answer(b"", 304, validator)
        return Answer(html("Home", "", *(f"/p/{letters}" for letters in words(9))), headers=validator)

    site.pages["/"] = home
    site.pages["/p/*"] = lambda asked: Answer(html(asked.path, f"Page {asked.path}. " * 9))
    crawl = crawler(site, database, limits=replace(QUICK, links_per_page=5))
    await crawl.index.hold_page(site.url + "/old")

    for _ in range(2):
        result = await crawl.sync()
        assert result.checkpoint is not None
        assert "pages with more than 5 links" in result.checkpoint.incomplete
        assert site.url + "/old" in result.versions


async def test_as_many_links_as_may_be_are_no_gap(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b", "/a?utm_source=x")
    site.add("/a")
    site.add("/b")
    result = await crawler(site, database, limits=replace(QUICK, links_per_page=2)).sync()
    assert result.checkpoint is not None
    assert result.checkpoint.absent_are_gone


async def test_pages_alike_beyond_their_limit_are_a_gap_and_stay(site: TrapServer, database: Database):
    site.add("/", "", *(f"/item/{number}" for number in range(5)))
    site.pages["/item/*"] = lambda asked: Answer(html(asked.path, f"Item {asked.path}. " * 9))
    crawl = crawler(site, database)
    await crawl.sync()
    fewer = crawler(site, database, limits=replace(QUICK, alike_pages=3))
    fewer.index = crawl.index

    result = await fewer.sync()

    assert result.removed == []
    assert result.checkpoint is not None
    assert "only the first 3 were read: 1" in result.checkpoint.incomplete


async def test_limits_that_somebody_set_are_no_gap_and_remove_nothing(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.add("/b")
    result = await crawler(site, database, page_limit=2).sync()
    assert result.checkpoint is not None
    assert (result.checkpoint.absent_are_gone, result.checkpoint.incomplete) == (False, "")


async def test_a_spent_budget_of_requests_is_a_gap(site: TrapServer, database: Database):
    site.add("/", "", *(f"/p/{letters}" for letters in words(90)))
    site.pages["/p/*"] = lambda asked: Answer(html(asked.path, f"Page {asked.path}. " * 9))
    result = await crawler(site, database, limits=replace(QUICK, fetches=20)).sync()
    assert result.checkpoint is not None
    assert "used up its 20 requests" in result.checkpoint.incomplete


def words(count: int) -> list[str]:
    """So many different words without digits, which would look like pages alike."""
    letters = "abcdefghijklm"
    make: Callable[[int], str] = lambda n: letters[n // 169 % 13] + letters[n // 13 % 13] + letters[n % 13]  # noqa: E731
    return [make(number) for number in range(count)]

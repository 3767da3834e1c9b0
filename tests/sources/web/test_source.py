from dataclasses import replace

import pytest

from syncd.errors import PermanentError, RetryableError
from syncd.store.database import Database
from tests.sources.web.crawling import QUICK, crawler
from tests.web_traps import Answer, TrapServer


async def test_crawls_a_site_breadth_first_into_markdown(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a", "", "/a/1", "/")
    site.add("/b", "", "/b/1")
    site.add("/a/1")
    site.add("/b/1")
    crawl = crawler(site, database)

    index = await crawl.sync()

    assert crawl.paths(site) == ["/", "/a", "/b", "/a/1", "/b/1"]
    assert index.texts[site.url + "/a"].startswith("# Page /a\n\nThis is the text of Page /a")
    assert f"[/a/1]({site.url}/a/1)" in index.texts[site.url + "/a"]
    document = index.indexed[site.url + "/a"]
    assert document.metadata == {"url": site.url + "/a", "title": "Page /a", "language": "en"}
    assert (document.name, document.media_type) == ("a.md", "text/markdown")
    assert index.checkpoint is not None
    assert index.checkpoint.absent_are_gone


async def test_asks_each_page_once_and_says_who_it_is(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/a#part", "/a?utm_source=x", "/./a")
    site.add("/a", "", "/", "/a")

    await crawler(site, database, contact="ops@example.org").sync()

    assert site.paths() == ["/", "/a"]
    assert {one.headers["user-agent"] for one in site.log} == {"syncd/0.1.0 (+ops@example.org)"}
    assert all("cookie" not in one.headers and "authorization" not in one.headers for one in site.log)


async def test_depth_limits_how_many_links_away_it_goes(site: TrapServer, database: Database):
    site.add("/", "", "/a")
    site.add("/a", "", "/b")
    site.add("/b")
    site.pages["/sitemap.xml"] = Answer(f"{site.url}/orphan".encode(), headers={"Content-Type": "text/plain"})
    site.add("/orphan")
    only = crawler(site, database, max_depth=0)
    near = crawler(site, database, source_id="near", max_depth=1)

    await only.sync()
    await near.sync()

    assert only.paths(site) == ["/"]
    assert near.paths(site) == ["/", "/a"]


async def test_page_limit_counts_indexed_documents_and_removes_nothing(site: TrapServer, database: Database):
    site.add("/", "", "/empty", "/hidden", "/a", "/b", "/c")
    site.pages["/empty"] = Answer(b"")
    site.add("/hidden", head="<meta name=robots content=noindex>")
    for name in "abc":
        site.add(f"/{name}")
    crawl = crawler(site, database, page_limit=3)
    await crawl.index.hold_page(site.url + "/old")

    index = await crawl.sync()

    assert crawl.paths(site) == ["/old", "/", "/a", "/b"]
    assert index.checkpoint is not None
    assert not index.checkpoint.absent_are_gone


async def test_path_patterns_choose_pages_and_exclude_wins(site: TrapServer, database: Database):
    site.add("/", "", "/docs/a", "/docs/secret", "/blog", "/docs/b?x=/blog")
    for path in ("/docs/a", "/docs/secret", "/blog", "/docs/b"):
        site.add(path)
    crawl = crawler(site, database, include_path_regexes=("^/docs/",), exclude_path_regexes=("secret$",))

    await crawl.sync()

    assert crawl.paths(site) == ["/docs/a", "/docs/b?x=/blog"]
    assert site.paths() == ["/", "/docs/a", "/docs/b?x=/blog"]


async def test_an_invalid_pattern_is_named(site: TrapServer, database: Database):
    with pytest.raises(PermanentError, match=r"exclude_path_regexes: '\(\?=x\)' is not a valid RE2 pattern"):
        crawler(site, database, exclude_path_regexes=("(?=x)",))


async def test_a_starting_page_that_is_gone_fails_the_run_and_removes_nothing(site: TrapServer, database: Database):
    crawl = crawler(site, database)
    await crawl.index.hold_page(site.url + "/old")

    with pytest.raises(PermanentError, match=r"starting_url http://127\.0\.0\.1:.*status 404"):
        await crawl.sync()
    with pytest.raises(PermanentError, match="status 404"):
        await crawl.sync()

    assert crawl.index.versions == {site.url + "/old": "1"}


async def test_a_starting_page_that_fails_for_now_is_tried_again(site: TrapServer, database: Database):
    site.pages["/"] = Answer(b"", 503, {"Retry-After": "0"})
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1))
    with pytest.raises(RetryableError, match="status 503"):
        await crawl.sync()
    site.add("/")

    await crawl.sync()

    assert crawl.paths(site) == ["/"]


async def test_private_addresses_are_refused_unless_allowed(site: TrapServer, database: Database):
    site.add("/")

    with pytest.raises(
        PermanentError, match=r"127\.0\.0\.1 is not a public address; allow_private_addresses can allow it"
    ):
        await crawler(site, database, allow_private_addresses=()).sync()

    assert site.log == []


async def test_robots_txt_is_obeyed(site: TrapServer, database: Database):
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /private\n", headers={"Content-Type": "text/plain"})
    site.add("/", "", "/private/a", "/public")
    site.add("/private/a")
    site.add("/public")
    polite = crawler(site, database)
    rude = crawler(site, database, source_id="rude", respect_robots=False)

    await polite.sync()
    assert site.paths() == ["/", "/public"]

    await rude.sync()
    assert polite.paths(site) == ["/", "/public"]
    assert rude.paths(site) == ["/", "/private/a", "/public"]

"""What a crawl leaves out is listed, each address with its reason."""

import pytest

from syncd.errors import PermanentError
from syncd.store.database import Database
from tests.sources.web.crawling import crawler
from tests.web_traps import Answer, TrapServer, html


def by_path(site: TrapServer, left_out: dict[str, str]) -> dict[str, str]:
    return {url.removeprefix(site.url): reason for url, reason in left_out.items()}


async def test_every_kind_of_page_that_is_left_out_has_its_reason(site: TrapServer, database: Database):
    paths = ["/dead", "/noindex", "/picture", "/private/x", "/empty", "/robots", "/a/a/a/a", "/again", "/moved"]
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /robots", headers={"Content-Type": "text/plain"})
    site.add("/", "", *paths, "http://elsewhere.example/one", "http://elsewhere.example/two")
    site.add("/noindex", head="<meta name=robots content=noindex>")
    site.pages["/picture"] = Answer(b"\x89PNG", headers={"Content-Type": "image/png"})
    site.pages["/empty"] = Answer(b"<html><body></body></html>")
    site.add("/again", "The very same words. " * 9, title="Same")
    site.pages["/moved"] = Answer(b"", 301, {"Location": "http://elsewhere.example/"})
    crawl = crawler(site, database, exclude_path_regexes=("^/private",))

    for _ in range(2):
        index = await crawl.sync()
        assert crawl.paths(site) == ["/", "/again"]
        assert by_path(site, index.left_out) == {
            "/dead": f"status 404; linked from {site.url}/",
            "/noindex": "robots meta tag: noindex",
            "/picture": "unsupported media type: image/png",
            "/private/x": "matches exclude_path_regexes '^/private'",
            "/empty": "no text content",
            "/robots": "disallowed by robots.txt",
            "/a/a/a/a": "a path segment repeats",
            "/moved": "redirects to http://elsewhere.example/: outside the site",
            "http://elsewhere.example/": "outside the site: extra_hosts can add elsewhere.example",
        }
        assert index.removed == []


async def test_links_that_are_not_followed_stay_listed_while_their_page_does_not_change(
    site: TrapServer, database: Database
):
    def page(asked: object) -> Answer:
        if getattr(asked, "headers", {}).get("if-none-match") == '"1"':
            return Answer(b"", 304)
        return Answer(html("Home", "", "/private/x"), headers={"ETag": '"1"'})

    site.pages["/"] = page
    crawl = crawler(site, database, exclude_path_regexes=("^/private",))
    await crawl.sync()
    index = await crawl.sync()
    assert list(by_path(site, index.left_out)) == ["/private/x"]

    site.add("/")
    index = await crawl.sync()
    assert index.left_out == {}
    assert index.removed == []


@pytest.mark.parametrize(
    ("limit", "left_out"),
    [
        (
            {"page_limit": 2},
            {"/b": "beyond page_limit = 2: not asked for", "/deep": "beyond page_limit = 2: not asked for"},
        ),
        ({"max_depth": 1}, {"/deep": "more than max_depth = 1 links away from the starting page"}),
    ],
)
async def test_what_lies_beyond_a_limit_is_listed(
    site: TrapServer, database: Database, limit: dict[str, int], left_out: dict[str, str]
):
    site.add("/", "", "/a", "/b")
    site.add("/a", "", "/b", "/deep")
    site.add("/b", "", "/a")
    site.add("/deep")
    index = await crawler(site, database, **limit).sync()
    assert by_path(site, index.left_out) == left_out


async def test_a_page_that_is_no_longer_one_is_deleted_first_and_then_listed(site: TrapServer, database: Database):
    site.add("/", "", "/a")
    site.add("/a")
    crawl = crawler(site, database)
    await crawl.sync()
    site.add("/a", head="<meta name=robots content=noindex>")

    index = await crawl.sync()
    assert by_path(site, dict.fromkeys(index.removed, "")) == {"/a": ""}
    index = await crawl.sync()
    assert by_path(site, index.left_out) == {"/a": "robots meta tag: noindex"}


async def test_a_run_that_was_killed_lists_all_the_same(site: TrapServer, database: Database):
    site.add("/", "", "/dead", "/private/x", *(f"/p/{name}" for name in "abcdefgh"))
    site.pages["/p/*"] = lambda asked: Answer(html(asked.path, f"Page {asked.path}. " * 9))
    crawl = crawler(site, database, exclude_path_regexes=("^/private",))
    await crawl.sync(stop_after=4)

    index = await crawl.sync()

    assert sorted(by_path(site, index.left_out)) == ["/dead", "/private/x"]


async def test_the_links_that_are_listed_are_bounded(site: TrapServer, database: Database):
    site.add("/", "", *(f"/private/{number}" for number in range(900)), "/a")
    site.add("/a")
    index = await crawler(site, database, exclude_path_regexes=("^/private",)).sync()
    assert len(index.left_out) == 200


async def test_a_site_of_which_nothing_can_be_read_says_so(site: TrapServer, database: Database):
    site.pages["/"] = Answer(b"<html><div id=root></div><script src=/app.js></script></html>")
    with pytest.raises(PermanentError, match=r"nothing could be indexed.*set render = 'auto'"):
        await crawler(site, database).sync()


async def test_no_page_is_wanted_and_none_is_missed(site: TrapServer, database: Database):
    site.add("/")
    index = await crawler(site, database, page_limit=0).sync()
    assert index.left_out == {}

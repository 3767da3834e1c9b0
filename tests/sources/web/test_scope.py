"""Which addresses are pages of the site, and which are mazes without an end."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest

from syncd.errors import PermanentError
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.source import SiteSource
from syncd.sources.web.urls import facets, is_calendar, normal, twins, url_pattern
from syncd.store.database import Database
from tests.sources.web.crawling import QUICK, Crawler, DirectReader, Names, crawler
from tests.web_traps import Answer, Request, TrapServer, html


def named_site(
    site: TrapServer, database: Database, start: str, *hosts: str, extra_hosts: tuple[str, ...] = ()
) -> Crawler:
    """Return a crawler for which all `hosts` are this server."""
    settings = WebSettings(
        start, allow_private_addresses=("127.0.0.1",), rate_per_s=0, limits=QUICK, extra_hosts=extra_hosts
    )
    resolver = Names({(host, 80): site.port for host in hosts})
    return Crawler(SiteSource(settings, database, "s", DirectReader(), resolver=resolver))


@pytest.mark.parametrize("start", ["http://shop.example/", "http://www.shop.example/"])
async def test_a_site_with_and_without_www_is_one_and_each_page_is_indexed_once(
    site: TrapServer, database: Database, start: str
):
    site.add(
        "/",
        "",
        "/a",
        "http://shop.example/b",
        "http://www.shop.example/b",
        "http://www.shop.example/a",
        "http://shop.example/",
    )
    site.add("/a", "Page A of the shop. " * 9, "/b", "/c")
    site.add("/b", "Page B of the shop. " * 9, "/c")
    site.add("/c", "Page C of the shop. " * 9, "http://www.shop.example/c", "http://shop.example/c")
    crawl = named_site(site, database, start, "shop.example", "www.shop.example")

    for _ in range(2):
        index = await crawl.sync()
        assert sorted(key.rpartition("/")[2] for key in index.versions) == ["", "a", "b", "c"]


async def test_further_hosts_may_be_written_in_any_script(site: TrapServer, database: Database):
    site.pages["/"] = lambda asked: Answer(
        html(
            "Home", f"Books at {asked.headers['host']}. " * 9, "http://xn--bcher-kva.example/x", "http://other.example/"
        )
    )
    site.add("/x")
    hosts = ("shop.example", "xn--bcher-kva.example", "other.example")
    crawl = named_site(site, database, "http://shop.example/", *hosts, extra_hosts=("BÜCHER.example",))

    index = await crawl.sync()

    assert list(index.versions) == ["http://shop.example/", "http://xn--bcher-kva.example/x"]


@pytest.mark.parametrize("host", ["", "a b", "http://", "[::1"])
def test_a_further_host_that_is_none_is_an_error(database: Database, host: str):
    settings = WebSettings("http://shop.example/", extra_hosts=(host,))
    with pytest.raises(PermanentError, match=r"extra_hosts .* give a host or host:port"):
        SiteSource(settings, database, "s", DirectReader())


async def test_patterns_see_the_query_and_still_end_at_the_path(site: TrapServer, database: Database):
    site.add("/", "", "/a?print=1", "/a?x=1", "/b/?x=1", "/c/", "/c/?x=1")
    for path in ("/a", "/b/", "/c/"):
        site.pages[path] = lambda asked: Answer(html(asked.path, f"Page {asked.path}. " * 9))
    crawl = crawler(site, database, exclude_path_regexes=("[?&]print=", "^/c/$"))

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/a?x=1", "/b/?x=1"]


COLOURS = ("red", "blue", "green", "black")
SIZES = ("small", "large", "wide")
MAKERS = ("acme", "globex", "initech")
SORTS = ("price", "name", "new")


@pytest.mark.parametrize(
    ("include", "start", "indexed"),
    [
        ((), "/docs/", ["/docs/"]),
        (("^/docs/",), "/docs/", ["/docs/"]),
        (("/docs/_sources/",), "/docs/", ["/docs/_sources/index.rst.txt"]),
        ((), "/docs/_sources/index.rst.txt", ["/docs/_sources/index.rst.txt"]),
    ],
)
async def test_the_sources_of_pages_are_left_out_beside_the_pages_unless_somebody_asks_for_them(
    site: TrapServer, database: Database, include: tuple[str, ...], start: str, indexed: list[str]
):
    site.add("/docs/", "", "/docs/_sources/index.rst.txt")
    site.pages["/docs/_sources/index.rst.txt"] = Answer(
        b"Winch\n=====\n\nGrease it.\n", headers={"Content-Type": "text/plain"}
    )
    crawl = crawler(site, database, start, include_path_regexes=include)

    index = await crawl.sync()

    assert crawl.paths(site) == indexed
    if indexed == ["/docs/"]:
        assert index.left_out[site.url + "/docs/_sources/index.rst.txt"].startswith("the source text of a page")


async def test_combinations_of_filters_end_although_there_are_no_numbers_in_them(site: TrapServer, database: Database):
    chosen = {"colour": COLOURS, "size": SIZES, "maker": MAKERS, "sort": SORTS}

    def shop(asked: Request) -> Answer:
        now = dict(pair.split("=") for pair in asked.path.partition("?")[2].split("&") if pair)
        links = [
            "/shop?" + "&".join(f"{n}={v}" for n, v in {**now, name: value}.items())
            for name in chosen
            for value in chosen[name]
        ]
        return Answer(html(asked.path, f"Things: {asked.path}. " * 9, *links, "/item/one"))

    site.add("/", "", "/shop")
    site.pages["/shop"] = shop
    site.add("/item/one")
    crawl = crawler(site, database, limits=replace(QUICK, facet_pages=5))

    index = await crawl.sync()

    paths = crawl.paths(site)
    assert {"/shop", "/item/one", "/shop?colour=red", "/shop?sort=name"} <= set(paths)
    assert len(paths) <= 3 + 13 + 13 * 5
    assert len(paths) < 5 * 4 * 4 * 4
    assert index.checkpoint is not None
    assert index.checkpoint.absent_are_gone


async def test_parameters_that_name_things_are_no_filters(site: TrapServer, database: Database):
    paths = [f"/index?article={letter}{other}&view=whole" for letter in "abcdef" for other in "uvwxyz"]
    site.add("/", "", *paths)
    site.pages["/index"] = lambda asked: Answer(html(asked.path, f"About {asked.path}. " * 9))
    crawl = crawler(site, database, limits=replace(QUICK, facet_pages=5))

    await crawl.sync()

    assert len(crawl.paths(site)) == 1 + len(paths)


@pytest.mark.parametrize(
    "form", ["/calendar/{0:%Y}/{0:%m}", "/diary?month={0:%Y-%m}", "/events/{0:%Y%m%d}", "/x?year={0:%Y}&m={0:%m}"]
)
async def test_a_calendar_ends_after_two_years_of_months(site: TrapServer, database: Database, form: str):
    months = [date(2024, 1, 1)]
    for _ in range(80):
        months.append((months[-1] + timedelta(days=32)).replace(day=1))
    paths = [form.format(month) for month in months]
    site.add("/", "", paths[0], "/list/1")
    for path, following in pairwise(paths):
        site.add(normal(path, site.url).text.removeprefix(site.url), f"Nothing happens in {path}. " * 9, following)
    for number in range(1, 60):
        site.add(f"/list/{number}", f"Part {number} of the list. " * 9, f"/list/{number + 1}")
    crawl = crawler(site, database)

    await crawl.sync()

    found = crawl.paths(site)
    assert sum(path.startswith("/list/") for path in found) == 59
    assert sum(not path.startswith("/list/") for path in found) == 1 + 1 + QUICK.calendar_links


def test_the_pattern_of_an_address_tells_dates_from_numbers():
    patterns = {
        "http://h/2024/05/17/title": "h/@/title?",
        "http://h/c?d=2024-05": "h/c?d=@",
        "http://h/item/20249999": "h/item/#?",
        "http://h/page/7": "h/page/#?",
    }
    assert {address: url_pattern(normal(address)) for address in patterns} == patterns
    assert [is_calendar(pattern) for pattern in patterns.values()] == [True, True, False, False]


def test_only_several_parameters_make_facets():
    assert facets(normal("http://h/a?b=c")) == ()
    assert facets(normal("http://h/a?b=c&d=e")) == ("&h/a?b=c", "&h/a?d=e")


def test_the_twins_of_an_address_differ_in_scheme_and_www_only():
    assert twins("http://h.example/x?y=1") == [
        "http://www.h.example/x?y=1",
        "https://h.example/x?y=1",
        "https://www.h.example/x?y=1",
    ]
    assert twins("http://www.h.example:8080/") == ["http://h.example:8080/"]

"""Redirects, canonical links, identities, duplicates, soft errors: one document per page, whatever it is called."""

from dataclasses import replace

import pytest

from syncd.store.database import Database
from tests.sources.web.crawling import QUICK, crawler
from tests.web_traps import Answer, Request, TrapServer, html, redirect


async def test_a_redirect_is_an_alias_of_where_it_leads(site: TrapServer, database: Database):
    site.add("/", "", "/old", "/older", "/new")
    site.pages["/older"] = redirect("/old", 301)
    site.pages["/old"] = redirect("new", 308)
    site.add("/new")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/new"]


async def test_redirects_that_lead_nowhere_give_nothing(site: TrapServer, other_site: TrapServer, database: Database):
    site.add("/", "", "/self", "/loop", "/chain/0", "/far", "/file", "/nowhere", "/fine")
    site.pages["/self"] = redirect("/self")
    site.pages["/loop"] = redirect("/pool")
    site.pages["/pool"] = redirect("/loop")
    site.pages["/chain/*"] = lambda asked: redirect(f"/chain/{int(asked.path[7:]) + 1}")
    site.pages["/far"] = redirect(other_site.url + "/")
    site.pages["/file"] = redirect("file:///etc/passwd")
    site.pages["/nowhere"] = Answer(b"", 302)
    site.add("/fine")
    other_site.add("/")
    crawl = crawler(site, database)

    index = await crawl.sync()

    assert crawl.paths(site) == ["/", "/fine"]
    assert other_site.log == []
    assert sum(path.startswith("/chain/") for path in site.paths()) == 11
    assert site.paths().count("/self") == 1
    assert index.checkpoint is not None
    assert index.checkpoint.absent_are_gone


async def test_redirects_are_held_to_the_site_and_its_path_patterns(
    site: TrapServer, other_site: TrapServer, database: Database
):
    both = (f"127.0.0.1:{site.port}", f"127.0.0.1:{other_site.port}")
    site.add("/", "", "/far", "/inside")
    site.pages["/far"] = redirect(other_site.url + "/")
    site.pages["/inside"] = redirect("/secret/page")
    site.add("/secret/page")
    other_site.add("/")
    crawl = crawler(site, database, allow_private_addresses=both, exclude_path_regexes=("^/secret",))

    await crawl.sync()

    assert crawl.paths(site) == ["/"]
    assert other_site.log == []
    assert "/secret/page" not in site.paths()


async def test_a_starting_page_may_move_to_another_path(site: TrapServer, database: Database):
    site.pages["/"] = redirect("/docs/")
    site.add("/docs/", "", "a")
    site.add("/docs/a")
    crawl = crawler(site, database)
    await crawl.sync()
    assert crawl.paths(site) == ["/docs/", "/docs/a"]


async def test_a_quick_meta_refresh_is_a_redirect(site: TrapServer, database: Database):
    site.add("/", "", "/moved")
    site.add("/moved", head='<meta http-equiv=refresh content="0; url=/target">')
    site.add("/target")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/target"]


async def test_spellings_of_one_address_are_one_page(site: TrapServer, database: Database):
    site.add(
        "/",
        "",
        "/p?b=2&a=1",
        "/p?a=1&b=2",
        "/p?a=1&b=2&utm_source=mail&fbclid=x#top",
        "/p?a=1&b=2&PHPSESSID=0123456789abcdef0123",
        "/%7Euser",
        "/~user",
        "/x/../~user",
        f"{site.url.replace('http:', 'HTTP:')}/~user",
    )
    site.add("/p")
    site.add("/~user")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/p?a=1&b=2", "/~user"]
    assert sorted(site.paths()) == ["/", "/p?a=1&b=2", "/~user"]


async def test_the_same_content_twice_is_indexed_once_under_its_first_address(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/a/", "/A", "/b")
    for path in ("/a", "/a/", "/A"):
        site.add(path, "The very same words. " * 10, title="Same")
    site.add("/b")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/a", "/b"]


async def test_when_the_first_address_of_a_content_goes_the_next_takes_over(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a", "The very same words. " * 10, title="Same", ETag='"1"')
    site.add("/b", "The very same words. " * 10, title="Same", ETag='"1"')
    crawl = crawler(site, database)
    await crawl.sync()
    assert crawl.paths(site) == ["/", "/a"]
    site.pages["/a"] = Answer(b"", 410)

    index = await crawl.sync()

    assert crawl.paths(site) == ["/", "/b"]
    assert index.texts[site.url + "/b"].startswith("# Same")


@pytest.mark.parametrize("header", [False, True])
async def test_a_canonical_link_to_the_same_page_makes_an_alias(site: TrapServer, database: Database, header: bool):
    def variant(asked: Request) -> Answer:
        head = "" if header else "<link rel=canonical href=/page>"
        headers = {"Link": f'<{site.url}/page>; rel="canonical"'} if header else {}
        return Answer(html("Page", f"Sorted {asked.path[-1]}. " + "The list itself. " * 20, head=head), headers=headers)

    site.add("/", "", "/page?sort=a", "/page?sort=b")
    site.pages["/page"] = variant
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/page"]


@pytest.mark.parametrize(
    "target", ["file:///usr/share/doc/page.html", "http://elsewhere.example/page", "/missing", "http://[", "/"]
)
async def test_a_wrong_canonical_link_is_ignored(site: TrapServer, database: Database, target: str):
    site.add("/", "", "/page", "/page2")
    site.add("/page", head=f'<link rel=canonical href="{target}">')
    site.add("/page2", head=f'<link rel=canonical href="{target}">')
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/page", "/page2"]


@pytest.mark.parametrize("status", [404, 500, 403])
async def test_a_starting_page_whose_canonical_address_gives_nothing_is_read_itself(
    site: TrapServer, database: Database, status: int
):
    site.add("/", "", "/a", head='<link rel="canonical" href="/index.html">')
    site.add("/a")
    site.pages["/index.html"] = Answer(b"", status)
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1))
    await crawl.sync()
    assert crawl.paths(site) == ["/", "/a"]


async def test_a_chain_of_canonical_links_ends_at_its_last_page(site: TrapServer, database: Database):
    site.add("/", "", "/c1")
    for number in (1, 2, 3):
        head = f"<link rel=canonical href=/c{number + 1}>" if number < 3 else ""
        site.add(f"/c{number}", "One text for all of them. " * 10, title="One", head=head)
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/c3"]


async def test_pages_that_say_not_found_with_status_200_are_left_out(site: TrapServer, database: Database):
    def missing(asked: Request) -> Answer:
        return Answer(html("404 - Page not found", f"Sorry, {asked.path} does not exist here."))

    site.add("/", "", "/gone/1", "/gone/2", "/help/not-found")
    site.add("/help/not-found", "What to do when a file is not found. " * 5, title="File not found")
    site.pages["*"] = missing
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/help/not-found"]


async def test_each_part_of_a_site_says_not_found_in_its_own_way(site: TrapServer, database: Database):
    site.add("/", "", "/wiki/missing", "/shop/gone/", "/wiki/page")
    site.add("/wiki/page")
    site.pages["/wiki/*"] = lambda asked: Answer(html("Wiki: page not found", f"There is no {asked.path} yet."))
    site.pages["/shop/*"] = lambda asked: Answer(html("404, sold out", f"The item {asked.path} was not found."))
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/wiki/page"]


async def test_a_page_about_missing_pages_is_kept_where_errors_are_honest(site: TrapServer, database: Database):
    site.add("/", "", "/errors")
    site.add("/errors", "Short.", title="404 not found")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/errors"]


async def test_missing_pages_that_redirect_home_are_no_documents(site: TrapServer, database: Database):
    site.add("/", "", "/gone/1", "/gone/2")
    site.pages["/gone/*"] = redirect("/")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/"]


async def test_a_cookie_wall_gives_nothing_and_stores_no_cookie(site: TrapServer, database: Database):
    def wall(asked: Request) -> Answer:
        if "cookie" in asked.headers:
            return Answer(html("Inside", ""))
        return Answer(b"", 302, {"Location": "/wall", "Set-Cookie": "seen=1"})

    site.add("/", "", "/wall", "/after")
    site.pages["/wall"] = wall
    site.add("/after")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/after"]
    assert all("cookie" not in one.headers for one in site.log)

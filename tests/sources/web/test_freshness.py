"""Crawling again: what has not changed costs nothing, what is gone goes, what only fails stays."""

import random
from dataclasses import replace

import pytest

from syncd.errors import PutOffError, RetryableError
from syncd.sources.web.page_workers import PageWorkers
from syncd.sources.web.suffixes import SAMPLES
from syncd.store.database import Database
from tests.sources.running import Bytes, document
from tests.sources.web.crawling import QUICK, crawler
from tests.web_traps import Answer, Handler, Request, TrapServer, html


def tagged(title: str, *links: str, tag: str = "1") -> Handler:
    """A page that answers 304 to its ETag."""

    def answer(asked: Request) -> Answer:
        headers = {"ETag": f'"{tag}"'}
        if asked.headers.get("if-none-match") == f'"{tag}"':
            return Answer(b"", 304, headers)
        return Answer(html(title, f"Text {tag} of {title}. " * 9, *links), headers=headers)

    return answer


async def test_a_second_crawl_of_an_unchanged_site_writes_nothing(site: TrapServer, database: Database):
    site.pages["/"] = tagged("Home", "/dated", "/plain")
    site.add("/dated", Last_Modified="Mon, 06 May 2024 10:00:00 GMT")
    site.add("/plain", "", "/deep", "/notes.txt", head='<meta name=date content="2024-05-06">')
    site.add("/deep")
    site.pages["/notes.txt"] = Answer(b"Plain notes.", headers={"Content-Type": "text/plain", "ETag": '"n"'})
    crawl = crawler(site, database)
    await crawl.sync()
    site.log.clear()

    index = await crawl.sync()

    assert index.writes == []
    assert index.looked_again == [], "they are named exactly as before"
    assert index.removed == []
    asked = {one.path: one.headers for one in site.log}
    assert asked["/"]["if-none-match"] == '"1"'
    assert asked["/dated"]["if-modified-since"] == "Mon, 06 May 2024 10:00:00 GMT"
    assert "/deep" in asked
    report = dict(crawl.source.report())
    assert report.pop("pages_per_s") > 0
    assert report == {"found": 5, "fetched": 5, "unchanged": 5, "indexed": 5, "failed": 0, "queue": 0}


async def test_an_unchanged_page_that_is_wanted_all_the_same_is_read_whole_again(site: TrapServer, database: Database):
    """As after an update that makes other chunks of the same text: links into the page must not get lost."""
    site.pages["/"] = tagged("Home", "/a")
    site.add("/a", "<h2 id=part>Part</h2>", ETag='"a"', Last_Modified="Mon, 06 May 2024 10:00:00 GMT")
    crawl = crawler(site, database)
    await crawl.sync()
    before = crawl.index.indexed[site.url + "/a"]
    await crawl.index.hold(replace(before, name="made by an earlier version", body=Bytes(b"# Earlier\n")))

    index = await crawl.sync()

    assert index.looked_again == index.writes == [site.url + "/a"]
    again = index.indexed[site.url + "/a"]
    assert (again.anchors, again.metadata, again.version) == (before.anchors, before.metadata, before.version)
    assert before.anchors[0][1] == "part"


async def test_pages_that_fail_are_listed_with_their_reasons(site: TrapServer, database: Database):
    site.add("/", "", "/broken", "/large", "/cut")
    site.pages["/broken"] = Answer(b"", 500)
    site.pages["/large"] = Answer(b"x" * 2000)
    site.pages["/cut"] = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<p>cut")
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1, page_size_bytes=1500))

    index = await crawl.sync()

    assert index.failed == {
        site.url + "/broken": "status 500",
        site.url + "/large": "larger than 1500 bytes",
        site.url + "/cut": "the response was cut off",
    }


async def test_a_changed_page_is_written_and_its_new_links_followed(site: TrapServer, database: Database):
    site.pages["/"] = tagged("Home", "/a")
    site.add("/a")
    crawl = crawler(site, database)
    await crawl.sync()
    site.pages["/"] = tagged("Home", "/a", "/b", tag="2")
    site.add("/b")

    index = await crawl.sync()

    assert index.writes == [site.url + "/", site.url + "/b"]


async def test_other_bytes_with_the_same_text_write_nothing(site: TrapServer, database: Database):
    counter = iter(range(100))
    site.pages["/"] = lambda asked: Answer(
        html("Home", "The text stays. " * 9, head=f"<meta name=token content={next(counter)}>"),
        headers={"ETag": f'"{next(counter)}"'},
    )
    crawl = crawler(site, database)
    await crawl.sync()

    index = await crawl.sync()

    assert index.writes == []


async def test_an_index_that_lost_a_page_gets_it_again_in_full(site: TrapServer, database: Database):
    site.pages["/"] = tagged("Home")
    crawl = crawler(site, database)
    await crawl.sync()
    await crawl.index.hold(document(site.url + "/", None))

    index = await crawl.sync()

    assert index.writes == [site.url + "/"]


async def test_vanished_pages_go_after_a_complete_crawl(site: TrapServer, database: Database):
    site.add("/", "", "/gone", "/missing", "/unlinked", "/stays")
    for path in ("/gone", "/missing", "/unlinked", "/stays"):
        site.add(path)
    crawl = crawler(site, database)
    await crawl.sync()
    site.add("/", "", "/gone", "/missing", "/stays")
    site.pages["/gone"] = Answer(b"", 410)
    site.pages["/missing"] = Answer(b"", 404)

    index = await crawl.sync()

    assert sorted(index.removed) == [site.url + path for path in ("/gone", "/missing", "/unlinked")]
    assert crawl.paths(site) == ["/", "/stays"]


async def test_a_404_given_once_removes_nothing(site: TrapServer, database: Database):
    site.add("/", "", "/flaky")
    site.add("/flaky")
    crawl = crawler(site, database)
    await crawl.sync()
    answers = iter([Answer(b"", 404), Answer(html("Flaky", ""))])
    site.pages["/flaky"] = lambda _: next(answers)

    index = await crawl.sync()

    assert index.removed == []


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_pages_that_fail_for_now_stay_with_all_that_only_they_link_to(
    site: TrapServer, database: Database, status: int
):
    site.add("/", "", "/hub")
    site.add("/hub", "", "/leaf")
    site.add("/leaf")
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1))
    await crawl.sync()
    site.pages["/hub"] = Answer(b"", status)

    index = await crawl.sync()

    assert index.removed == []
    assert crawl.paths(site) == ["/", "/hub", "/leaf"]
    assert index.checkpoint is not None
    assert index.checkpoint.absent_are_gone


async def test_a_page_that_never_could_be_read_keeps_a_crawl_incomplete_three_times(
    site: TrapServer, database: Database
):
    site.add("/", "", "/broken")
    site.pages["/broken"] = Answer(b"", 500)
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1))
    complete: list[bool] = []
    for _ in range(4):
        index = await crawl.sync()
        assert index.checkpoint is not None
        complete.append(index.checkpoint.absent_are_gone)
    assert complete == [False, False, True, True]


async def test_an_outage_in_mid_crawl_stops_it_and_it_goes_on_later(site: TrapServer, database: Database):
    pages = [f"/p{chr(97 + number)}" for number in range(20)]
    site.add("/", "", *pages)
    for path in pages[:5]:
        site.add(path)
    site.pages["*"] = Answer(b"", 500)
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1), concurrency=2)
    site.pages["/robots.txt"] = Answer(b"", 404)
    with pytest.raises(RetryableError, match="stopped responding"):
        await crawl.sync()
    assert crawl.paths(site) == ["/", *pages[:5]]
    for path in pages[5:]:
        site.add(path)
    site.pages["/sitemap.xml"] = Answer(b"", 404)
    site.log.clear()

    index = await crawl.sync()

    assert crawl.paths(site) == ["/", *pages]
    assert sorted(site.paths()) == pages[5:]
    assert index.checkpoint is not None
    assert index.checkpoint.absent_are_gone


async def test_pages_that_stay_broken_while_the_site_answers_hold_up_a_crawl_once(site: TrapServer, database: Database):
    broken = [f"/b{chr(97 + number)}" for number in range(26)]
    site.add("/", "", *broken, "/good")
    site.add("/good")
    for path in broken:
        site.pages[path] = Answer(b"", 500)
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1))
    with pytest.raises(RetryableError, match="stopped responding"):
        await crawl.sync()
    index = await crawl.sync()
    assert crawl.paths(site) == ["/", "/good"]
    assert set(index.last.keys("failed")) == {site.url + path for path in broken}


async def test_where_all_is_to_be_looked_at_again_what_failed_is_asked_for(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.pages["/b"] = Answer(b"", 500)
    crawl = crawler(site, database, limits=replace(QUICK, attempts=1))
    await crawl.sync()
    site.add("/b")
    await crawl.index.forget_cursor()
    site.log.clear()
    await crawl.sync()
    assert site.paths() == ["/b"]
    assert crawl.paths(site) == ["/", "/a", "/b"]


async def test_an_indexed_page_is_asked_for_whatever_else_is_in_its_folder(site: TrapServer, database: Database):
    scripts = [f"/w/i{chr(97 + number)}.js" for number in range(SAMPLES)]
    # None waits for the one before it, so that all scripts are known when the last page comes.
    site.pages["/"] = Answer(html("Home", "", "/w/Node.js", *scripts, "/w/Vue.js"))
    for path in scripts:
        site.pages[path] = Answer(b"var x", headers={"Content-Type": "text/javascript"})
    site.pages["/w/Node.js"], site.pages["/w/Vue.js"] = tagged("Node"), tagged("Vue")
    crawl = crawler(site, database, concurrency=1)
    for _ in range(3):
        index = await crawl.sync()
        assert index.removed == []
    assert crawl.paths(site) == ["/", "/w/Node.js", "/w/Vue.js"]


async def test_pages_that_patterns_now_exclude_go(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.add("/b")
    crawl = crawler(site, database)
    await crawl.sync()
    narrower = crawler(site, database, exclude_path_regexes=("^/b",))
    narrower.index = crawl.index

    index = await narrower.sync()

    assert index.removed == [site.url + "/b"]


async def test_a_single_page_that_may_be_asked_for_later_only_fails_for_now_and_alone(
    site: TrapServer, database: Database
):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.add("/b")
    crawl = crawler(site, database)
    await crawl.sync()
    site.pages["/a"] = Answer(b"", 429, {"Retry-After": "3600"})
    site.add("/b", "New words. " * 20)
    index = await crawl.sync(frozenset({site.url + "/a", site.url + "/b"}))
    assert index.writes == [site.url + "/b"]
    (failed,) = [document.body for document in index.documents if document.key == site.url + "/a"]
    with pytest.raises(PutOffError, match="Retry-After: 3600 s"):
        async with failed.open():
            pass


async def test_single_pages_can_be_asked_for(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.add("/b")
    crawl = crawler(site, database)
    await crawl.sync()
    cursor = crawl.index.cursor
    site.add("/a", "New words. " * 20)
    site.pages["/b"] = Answer(b"", 410)
    site.log.clear()

    index = await crawl.sync(frozenset({site.url + "/a", site.url + "/b"}))

    assert index.writes == [site.url + "/a"]
    assert index.removed == [site.url + "/b"]
    assert crawl.index.cursor == cursor
    assert site.paths() == ["/a", "/b"]


async def test_a_page_reader_that_does_not_start_fails_the_run_and_no_page(
    site: TrapServer, database: Database, monkeypatch: pytest.MonkeyPatch
):
    site.add("/", "", "/a")
    site.add("/a")
    crawl = crawler(site, database)
    await crawl.sync()
    site.add("/", "Changed. " * 20, "/a")
    monkeypatch.setattr("syncd.sources.web.page_workers.PAGE_WORKER_MODULE", "syncd.sources.web.no_such_module")
    async with PageWorkers() as reader:
        broken = crawler(site, database, reader=reader)
        broken.index = crawl.index
        with pytest.raises(RetryableError, match="does not start"):
            await broken.sync()
    assert crawl.paths(site) == ["/", "/a"]


async def test_a_page_that_kills_its_reader_keeps_what_it_said_last(site: TrapServer, database: Database):
    site.add("/", "", "/a")
    site.add("/a")
    crawl = crawler(site, database)
    await crawl.sync()
    site.pages["/a"] = Answer(b"<html><body><main " + b"a " * 300_000 + b">wide</main>")
    async with PageWorkers(limit_s=0.01) as reader:
        slow = crawler(site, database, reader=reader)
        slow.index = crawl.index
        index = await slow.sync()
    assert index.removed == []
    assert slow.paths(site) == ["/", "/a"]


def tree(site: TrapServer, seed: int) -> None:
    """A site of 40 pages, linked at random, with aliases, duplicates and broken links among them."""
    chosen = random.Random(seed)
    for number in range(40):
        links = [f"/n{chosen.randrange(40)}" for _ in range(3)] + [f"/n{number + 1}"]
        if number % 9 == 8:
            site.pages[f"/n{number}"] = Answer(b"", 302, {"Location": f"/n{number - 1}"})
        elif number % 11 == 10:
            site.add(f"/n{number}", "Twice the same. " * 20, *links[:1], title="Twice")
        else:
            site.add(f"/n{number}", "", *links)
    site.add("/", "", "/n0", "/n3", "/n20", "/missing")


@pytest.mark.parametrize("seed", range(12))
async def test_a_crawl_that_dies_at_random_moments_ends_like_one_that_did_not(
    site: TrapServer, database: Database, seed: int
):
    tree(site, seed)
    undisturbed = crawler(site, database, source_id="undisturbed")
    await undisturbed.sync()
    site.log.clear()
    chosen = random.Random(seed)
    crawl = crawler(site, database, source_id="killed")
    deaths = 0
    indexed: set[str] = set()
    while crawl.index.checkpoint is None:
        asked_before = len(site.log)
        await crawl.sync(stop_after=len(indexed) + chosen.randrange(1, 15))
        again = {one.path for one in site.log[asked_before:]} & indexed
        assert not again, "a page that was indexed is not asked for again"
        indexed = {key.removeprefix(site.url) for key in crawl.index.versions}
        deaths += crawl.index.checkpoint is None
        # A new process has nothing but the database.
        crawl = replace(crawl, source=crawler(site, database, source_id="killed").source)
    assert deaths > 0
    assert crawl.index.texts == undisturbed.index.texts
    assert crawl.index.checkpoint.absent_are_gone


async def test_another_recipe_begins_a_crawl_of_its_own(site: TrapServer, database: Database):
    site.add("/", "", "/stays", "/goes")
    site.add("/stays")
    site.add("/goes")
    crawl = crawler(site, database)
    await crawl.sync()

    site.add("/", "", "/stays", "/comes")
    site.add("/comes")
    del site.pages["/goes"]
    crawl.index.config_hash = "another"
    index = await crawl.sync()

    assert sorted(path.removeprefix(site.url) for path in index.versions) == ["/", "/comes", "/stays"]
    assert (index.looked_again, index.failed) == ([], {})

"""robots.txt, Retry-After, limiter and what pages ask of robots."""

import asyncio
import time
from dataclasses import replace
from email.utils import formatdate

import pytest

from syncd.errors import PermanentError, RetryableError
from syncd.sources.web.rate_limiter import RateLimiter
from syncd.store.database import Database
from tests.sources.web.crawling import QUICK, crawler
from tests.web_traps import Answer, Request, TrapServer, html, redirect

TEXT = {"Content-Type": "text/plain"}


def robots(text: str | bytes) -> Answer:
    return Answer(text.encode() if isinstance(text, str) else text, headers=TEXT)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ("\ufeffUser-agent: *\nDisallow: /a", ["/b.html", "/c"]),
        ("User-agent: *\nDisallow: /*.html$", ["/a/x", "/c"]),
        ("User-agent: *\nDisallow: /a\nAllow: /a/x", ["/a/x", "/b.html", "/c"]),
        ("User-agent: other\nDisallow: /\n\nUser-agent: syncd\nDisallow: /c", ["/a/x", "/b.html"]),
        ("User-agent: SyncD\nDisallow: /c\n\nUser-agent: *\nDisallow: /", ["/a/x", "/b.html"]),
        ("User-agent: *\nDisallow:", ["/a/x", "/b.html", "/c"]),
        ("<html>not robots at all</html>", ["/a/x", "/b.html", "/c"]),
    ],
)
async def test_robots_rules(site: TrapServer, database: Database, rules: str, allowed: list[str]):
    site.add("/", "", "/a/x", "/b.html", "/c")
    for path in ("/a/x", "/b.html", "/c"):
        site.add(path)
    site.pages["/robots.txt"] = robots(rules)
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", *allowed]


async def test_a_site_that_wants_no_robots_is_left_alone(site: TrapServer, database: Database):
    site.add("/")
    site.pages["/robots.txt"] = robots("User-agent: *\nDisallow: /")
    with pytest.raises(PermanentError, match=r"disallowed by robots\.txt"):
        await crawler(site, database).sync()
    assert site.paths() == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_without_robots_txt_everything_is_allowed(site: TrapServer, database: Database, status: int):
    site.add("/")
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /", status, TEXT)
    crawl = crawler(site, database)
    await crawl.sync()
    assert crawl.paths(site) == ["/"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_with_an_unreadable_robots_txt_nothing_is_asked(site: TrapServer, database: Database, status: int):
    site.add("/")
    site.pages["/robots.txt"] = Answer(b"", status)
    with pytest.raises(RetryableError, match=r"robots\.txt could not be read"):
        await crawler(site, database).sync()
    assert site.paths() == []


async def test_robots_txt_may_redirect_and_is_read_up_to_500_kib(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.add("/b")
    site.pages["/robots.txt"] = redirect("/rules", 301)
    filler = "# " + "x" * 1000 + "\n"
    site.pages["/rules"] = robots("User-agent: *\nDisallow: /a\n" + filler * 700 + "Disallow: /b\n")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/b"]


async def test_crawl_delay_and_request_rate_set_the_pace(site: TrapServer, database: Database):
    site.add("/")
    site.pages["/robots.txt"] = robots("User-agent: *\nCrawl-delay: 0.15")
    crawl = crawler(site, database)
    waits: list[float] = []
    original = RateLimiter.at_least

    def spy(limiter: RateLimiter, interval_s: float) -> None:
        waits.append(interval_s)
        original(limiter, interval_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RateLimiter, "at_least", spy)
        await crawl.sync()
        site.pages["/robots.txt"] = robots("User-agent: *\nRequest-rate: 5/1s")
        await crawler(site, database, source_id="rate").sync()
        site.pages["/robots.txt"] = robots("User-agent: *\nCrawl-delay: 86400")
        await crawler(site, database, source_id="slow", limits=replace(QUICK, crawl_delay_s=0.01)).sync()

    assert waits == [0.15, 0.2, 0.01]


@pytest.mark.parametrize("wait", ["0", "date"])
async def test_retry_after_is_waited_for(site: TrapServer, database: Database, wait: str):
    answers: list[int] = []

    def busy(asked: Request) -> Answer:
        answers.append(1)
        if len(answers) == 1:
            return Answer(b"", 429, {"Retry-After": "0" if wait == "0" else formatdate(usegmt=True)})
        return Answer(html("Busy", "Now it is here. " * 9))

    site.add("/", "", "/busy")
    site.pages["/busy"] = busy
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/busy"]
    assert len(answers) == 2


async def test_a_page_that_always_says_too_many_requests_is_given_up_and_kept(site: TrapServer, database: Database):
    site.add("/", "", "/busy", "/fine")
    site.add("/busy")
    site.add("/fine")
    crawl = crawler(site, database, limits=replace(QUICK, attempts=2))
    await crawl.sync()
    site.pages["/busy"] = Answer(b"", 429, {"Retry-After": "0"})
    site.log.clear()

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/busy", "/fine"]
    assert site.paths().count("/busy") == 2


async def test_a_long_retry_after_puts_the_page_off_and_removes_nothing(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b", "/c")
    site.add("/a")
    site.pages["/b"] = Answer(b"", 503, {"Retry-After": "86400"})
    site.add("/c")
    crawl = crawler(site, database, concurrency=1)
    await crawl.index.hold_page(site.url + "/old")

    index = await crawl.sync()

    assert index.checkpoint is not None
    assert not index.checkpoint.absent_are_gone
    assert "pages deferred: 1 (" in index.checkpoint.incomplete
    assert index.checkpoint.again_after_s == 86400
    assert crawl.paths(site) == ["/old", "/", "/a", "/c"]
    site.add("/b")
    site.log.clear()

    index = await crawl.sync()

    assert sorted(crawl.paths(site)) == ["/", "/a", "/b", "/c"]
    assert site.paths() == ["/b"]
    assert index.checkpoint is not None
    assert (index.checkpoint.absent_are_gone, index.checkpoint.incomplete) == (True, "")


async def test_a_page_put_off_run_after_run_keeps_no_other_from_being_read_anew(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.pages["/b"] = Answer(b"", 429, {"Retry-After": formatdate(time.time() + 10**6, usegmt=True)})
    crawl = crawler(site, database)
    await crawl.sync()

    index = await crawl.sync()
    assert "sent Retry-After" in index.failed[site.url + "/b"]
    assert index.checkpoint is not None
    assert index.checkpoint.incomplete == "pages that could not be read: 1"

    site.add("/a", "It says something else now. " * 9)
    assert (await crawl.sync()).writes == [site.url + "/a"]


async def test_one_address_that_asks_to_wait_does_not_hold_the_host(site: TrapServer, database: Database):
    waiting, answered = asyncio.Event(), asyncio.Event()

    def busy(_: Request) -> Answer:
        if not waiting.is_set():
            waiting.set()
            return Answer(b"", 503, {"Retry-After": "1"})
        assert answered.is_set(), "others were asked meanwhile"
        return Answer(html("Busy", "No longer busy. " * 9))

    def fine(asked: Request) -> Answer:
        answered.set()
        return Answer(html(asked.path, f"Page {asked.path}. " * 9))

    site.add("/", "", "/busy", "/fine")
    site.pages["/busy"], site.pages["/fine"] = busy, fine
    crawl = crawler(site, database, concurrency=1)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/busy", "/fine"]


async def test_a_host_that_puts_every_page_off_is_asked_nothing_more(site: TrapServer, database: Database):
    pages = [f"/p/{number}" for number in "abcdefghijklmnopqrstuvwxyz"]
    site.add("/", "", *pages)
    site.pages["/p/*"] = Answer(b"", 503, {"Retry-After": "7200"})
    crawl = crawler(site, database, concurrency=1)

    index = await crawl.sync()

    assert index.checkpoint is not None
    assert "continues from here" in index.checkpoint.incomplete
    assert len(site.paths()) < 15
    site.pages["/p/*"] = lambda asked: Answer(html(asked.path, f"Page {asked.path}. " * 9))
    await crawl.sync()
    assert sorted(crawl.paths(site)) == ["/", *pages]


async def test_a_starting_page_that_is_put_off_is_tried_again(site: TrapServer, database: Database):
    site.pages["/"] = Answer(b"", 503, {"Retry-After": "7200"})
    with pytest.raises(RetryableError, match="sent Retry-After: 7200 s") as raised:
        await crawler(site, database).sync()
    assert raised.value.retry_after_s == 7200


async def test_what_pages_ask_of_robots_is_done(site: TrapServer, database: Database):
    site.add("/", "", "/noindex", "/header", "/other-bot", "/none", "/nofollow", "/fine")
    site.add("/noindex", "", "/from-noindex", head='<META NAME="Robots" CONTENT="NoIndex, follow">')
    site.add("/header", "", "/from-header", X_Robots_Tag="syncd: noindex")
    site.add("/other-bot", X_Robots_Tag="otherbot: noindex")
    site.add("/none", "", "/from-none", head="<meta name=syncd content=none>")
    site.add("/nofollow", "", "/from-nofollow", head="<meta name=robots content=nofollow>")
    site.pages["/fine"] = Answer(
        html(
            "Fine",
            'Text of a fine page. <a rel="nofollow ugc" href="/ugc">x</a> <a rel=noopener href="/followed">y</a>',
        )
    )
    for path in ("/from-noindex", "/from-header", "/from-none", "/from-nofollow", "/ugc", "/followed"):
        site.add(path)
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == [
        "/",
        "/other-bot",
        "/nofollow",
        "/fine",
        "/from-noindex",
        "/from-header",
        "/followed",
    ]


async def test_a_page_that_asks_to_leave_the_index_leaves_it_at_once(site: TrapServer, database: Database):
    site.add("/", "", "/a", "/b")
    site.add("/a")
    site.add("/b")
    crawl = crawler(site, database, page_limit=3)
    await crawl.sync()
    site.add("/a", head="<meta name=robots content=noindex>")

    index = await crawl.sync()

    assert index.removed == [site.url + "/a"]
    assert crawl.paths(site) == ["/", "/b"]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_struggling_host_is_asked_less_and_recovers():
    limiter = RateLimiter(4, 0.1, 30.0, Clock())
    limiter.struggled()
    limiter.struggled()
    assert limiter.interval_s == pytest.approx(1.1)
    for _ in range(50):
        limiter.answered(0.05)
    assert limiter.interval_s == pytest.approx(0.1)
    for _ in range(20):
        limiter.struggled()
    assert limiter.interval_s == pytest.approx(30.1)


def test_answers_that_take_ever_longer_slow_the_pace():
    limiter = RateLimiter(4, 0.0, 30.0, Clock())
    for _ in range(10):
        limiter.answered(0.1)
    limiter.answered(2.0)
    assert limiter.interval_s == pytest.approx(2.0)

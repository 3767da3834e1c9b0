"""Whatever bytes a site sends, a reader gives a value or its documented error, and what is stored can be stored."""

import json
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from syncd.html.charset import encoding_of
from syncd.sources.web.addresses import AddressGuard
from syncd.sources.web.extract import extract
from syncd.sources.web.fetch import Response
from syncd.sources.web.head import header_canonical, header_directives
from syncd.sources.web.headers import readable
from syncd.sources.web.media import UnwantedTypeError, kind_of, size_limit_for
from syncd.sources.web.rate_limiter import RateLimiter
from syncd.sources.web.robots import Robots, location, rules_from
from syncd.sources.web.settings import WebLimits
from syncd.sources.web.sitemap import SitemapError, read_sitemap, sitemap_date
from syncd.sources.web.text_body import as_utf8
from syncd.sources.web.urls import UrlError, normal
from syncd.store.database import Database
from tests.sources.web.crawling import crawler
from tests.web_traps import Answer, TrapServer, html

PAGE = normal("http://host.example/page")
DIGITS = st.sampled_from(["9" * 20, "9" * 400, "9" * 5000, "nan", "inf", "1e400", "-5", "0001", "²"])
HEADER = st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape")) | DIGITS
ANYTHING = HEADER | st.text(st.characters(exclude_categories=[]), max_size=60)


def answered(status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(PAGE, status, readable(CIMultiDict(named)))


@settings(deadline=None)
@given(HEADER)
def test_any_header_can_be_stored_and_sent_back(value: str):
    names = ("ETag", "Last-Modified", "Content-Type", "Location", "Link", "X-Robots-Tag")
    kept = readable(CIMultiDict((name, value) for name in names))
    json.dumps(dict(kept), ensure_ascii=False).encode()
    assert all(kept[name] == value for name in ("ETag", "Last-Modified") if name in kept)


@settings(deadline=None)
@given(ANYTHING)
def test_any_location_leads_to_an_address_or_nowhere(value: str):
    found = location(answered(302, Location=value))
    assert found is None or found.text.isascii()


@settings(deadline=None)
@given(ANYTHING)
def test_any_text_is_an_address_or_a_url_error(value: str):
    for text in (value, f"http://{value}", f"http://[{value}]/", f"http://h:{value}/"):
        try:
            found = normal(text, PAGE.text)
        except UrlError:
            continue
        assert found.text.isascii()
        assert 0 <= found.port < 65536
        AddressGuard().refusal(found.hostname, found.port)


@settings(deadline=None)
@given(ANYTHING)
def test_any_other_header_is_read(value: str):
    response = answered(
        200, Retry_After=value, Content_Type=value, Content_Disposition=value, Link=value, X_Robots_Tag=value
    )
    assert 0 <= (response.retry_after_s or 0) <= 86_400
    with suppress(UnwantedTypeError):
        size_limit_for(response.claim, WebLimits(), b"\0some body")
    kind_of(response.claim, b"\0some body")
    header_canonical(response.headers.getall("Link"))
    header_directives(response.headers.getall("X-Robots-Tag"))
    encoding_of(b"body \xff", response.headers["Content-Type"])
    as_utf8(b"body \xff", response.headers["Content-Type"], ".txt")


FIELDS = ("Crawl-delay", "Request-rate", "Sitemap", "Disallow", "Allow", "Visit-time", "User-agent", "Host", "")


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FIELDS), ANYTHING | DIGITS.map(lambda n: f"{n}/{n}s")), max_size=6))
def test_any_robots_txt_is_rules(lines: list[tuple[str, str]]):
    text = "User-agent: *\n" + "\n".join(f"{name}: {value}" for name, value in lines)
    rules = rules_from(Response(PAGE, 200, CIMultiDict(), text.encode("utf-8", "replace")))
    rules.allows(PAGE)
    limiter, limits = RateLimiter(1, 0.0), WebLimits()
    Robots(None, limits)._slow_down(rules, PAGE, limiter)  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    assert 0 <= limiter.interval_s <= limits.crawl_delay_s


def test_wildcards_of_a_robots_file_count_as_far_as_a_check_of_each_page_can_afford():
    costly = "".join(f"Disallow: /{'*a' * 20}*{number}$\n" for number in range(5_000))
    text = f"User-agent: *\nDisallow: /*.first$\n{costly}Disallow: /*.last$\nDisallow: /plain\n"
    rules = rules_from(Response(PAGE, 200, CIMultiDict(), text.encode()))
    urls = [normal(f"/{name}", PAGE.text) for name in ("b.first", "b.last", "plain")]
    assert [rules.allows(url) for url in urls] == [False, True, False]


@pytest.mark.parametrize(
    "wish",
    [
        "Crawl-delay: nan",
        "Crawl-delay: inf",
        "Crawl-delay: 1e400",
        "Crawl-delay: -9",
        f"Crawl-delay: {'9' * 5000}",
        f"Request-rate: 1/{'9' * 4000}s",
        f"Request-rate: {'9' * 4000}/1s",
    ],
    ids=lambda wish: wish[:24],
)
def test_a_pace_that_cannot_be_kept_is_cut(wish: str):
    rules = rules_from(Response(PAGE, 200, CIMultiDict(), f"User-agent: *\n{wish}\n".encode()))
    limiter = RateLimiter(1, 0.0)
    Robots(None, WebLimits())._slow_down(rules, PAGE, limiter)  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    assert 0 <= limiter.interval_s <= 30.0


@settings(deadline=None)
@given(ANYTHING)
def test_any_date_of_a_sitemap_can_be_reckoned_with(value: str):
    for text in (value, f"{value}-01-01", f"0001-01-01T{value}", f"9999-12-31T23:59:59{value}"):
        found = sitemap_date(text)
        assert found is None or found.timestamp() >= 0


@pytest.mark.parametrize(
    "text", ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "10000-01-01"]
)
def test_a_date_that_cannot_be_meant_is_none(text: str):
    assert sitemap_date(text) is None


ENCODINGS = st.sampled_from(["zip", "rot13", "hex", "gb2312", "utf-7", "idna", "punycode", "undefined", "utf-16", "x"])
BODIES = st.binary(max_size=200) | ENCODINGS.map(
    lambda name: f'<?xml version="1.0" encoding="{name}"?><urlset/>'.encode()
)


@settings(deadline=None)
@given(BODIES | BODIES.map(lambda body: b"<urlset><url><loc>" + body + b"</loc><lastmod>" + body + b"</lastmod></url>"))
def test_any_sitemap_is_entries_or_a_sitemap_error(data: bytes):
    try:
        for entry in read_sitemap(data, 1000):
            entry.location.encode()
    except SitemapError as error:
        str(error).encode()


HEADS = st.sampled_from(
    [
        '<meta http-equiv="refresh" content="{};url={}">',
        '<link rel="canonical" href="{}{}">',
        '<base href="{}{}"><a href="x">x</a>',
        '<meta name="date" content="{}{}"><html lang="{}">',
        '<script type="application/ld+json">{{"datePublished": "2024-01-01{}", "n": {}}}</script>',
        '<meta charset="{}{}"><title>&#xd800;&#0;{}</title>',
    ]
)


@settings(deadline=None)
@given(HEADS, ANYTHING | ENCODINGS, ANYTHING, ANYTHING | ENCODINGS)
def test_any_page_is_read_or_refused_in_the_documented_way(head: str, one: str, two: str, charset: str):
    data = head.format(one, two, one).encode("utf-8", "surrogatepass") + b"<p>Text \xff\xfe of the page."
    try:
        page = extract(data, PAGE.text, f"text/html; charset={charset}", 10)
    except (ValueError, RecursionError, MemoryError):
        return
    json.dumps(asdict(page), ensure_ascii=False).encode()


def raw(headers: bytes, body: bytes = b"", status: int = 200) -> Answer:
    lines = b"HTTP/1.1 %d Status\r\nConnection: close\r\nContent-Length: %d\r\n" % (status, len(body))
    return Answer(raw=lines + headers + b"\r\n\r\n" + body)


NASTY: dict[str, bytes] = {
    "etag": b'Content-Type: text/html\r\nETag: "caf\xe9"',
    "modified": b"Content-Type: text/html\r\nLast-Modified: Mon, 01 Jan 0001 00:00:00 GMT\xe9",
    "ancient": b"Content-Type: text/html\r\nLast-Modified: Mon, 01 Jan 0001 00:00:00 GMT",
    "endless": b"Content-Type: text/html\r\nLast-Modified: Fri, 31 Dec 9999 23:59:59 -2359",
    "link": b"Content-Type: text/html\r\nLink: </caf\xe9>; rel=canonical",
    "junk": b"Content-Type: text/html\r\nLink: <http://[::1>; rel=canonical",
    "charset": b"Content-Type: text/html; charset=zip",
    "robots": b"Content-Type: text/html\r\nX-Robots-Tag: caf\xe9: noindex",
}


async def test_no_header_of_one_page_keeps_the_others_from_being_indexed(site: TrapServer, database: Database):
    site.add("/", "", *(f"/{name}" for name in (*NASTY, "type", "away", "wait", "length")), "/fine")
    for name, headers in NASTY.items():
        site.pages[f"/{name}"] = raw(headers, html(name, f"The page called {name} says this. " * 9))
    site.pages["/type"] = raw(b"Content-Type: text/caf\xe9", b"bytes")
    site.pages["/away"] = raw(b"Location: /caf\xe9", status=302)
    site.pages["/caf%E9"] = Answer(html("Coffee", "Where the old redirect leads. " * 9))
    site.pages["/wait"] = raw("Retry-After: ²".encode(), status=503)
    site.pages["/length"] = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9 9\xe9\r\n\r\nbody")
    site.add("/fine")
    crawl = crawler(site, database)

    for _ in range(2):
        await crawl.sync()
        assert set(crawl.paths(site)) == {"/", "/fine", "/caf%E9", *(f"/{name}" for name in NASTY)}


async def test_a_sitemap_of_zero_dates_is_read(site: TrapServer, database: Database):
    site.add("/")
    site.add("/orphan")
    entry = f"<url><loc>{site.url}/orphan</loc><lastmod>0001-01-01T00:00:00</lastmod></url>"
    site.pages["/sitemap.xml"] = Answer(f"<urlset>{entry}</urlset>".encode())
    crawl = crawler(site, database)
    await crawl.sync()
    assert crawl.paths(site) == ["/", "/orphan"]


@pytest.mark.parametrize(
    "name", ["Crawl-delay: nan", "Crawl-delay: 1e400", "Sitemap: /caf\udce9", "Sitemap: http://[::1"]
)
async def test_no_line_of_robots_txt_keeps_a_site_from_being_indexed(site: TrapServer, database: Database, name: str):
    rules = f"User-agent: *\n{name}\n".encode("utf-8", "surrogateescape")
    site.pages["/robots.txt"] = Answer(rules, headers={"Content-Type": "text/plain"})
    site.add("/")
    limits: Any = WebLimits(crawl_delay_s=0.01)
    crawl = crawler(site, database, limits=limits)
    await crawl.sync()
    assert crawl.paths(site) == ["/"]

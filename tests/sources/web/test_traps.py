"""One site with every trap a crawler is known to fall into, crawled by the daemon: what is indexed, asked for and left out."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.daemon import MINILM, Daemon
from tests.web_traps import Answer, Request, TrapServer, html, redirect, trap_server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
INTERNAL = (
    "http://10.0.0.1/", "//169.254.169.254/latest", "http://2130706433:81/", "http://0x7f000001:81/", "http://[::ffff:7f00:1]:81/",
    "http://user@127.0.0.1:81/", "http://127.1:81/", "http:\\\\127.0.0.1:81\\x",
)  # fmt: skip
ODD = (
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://127.0.0.1/x",
    "/bad%zz",
    "/" + "x" * 5000,
    "http://[",
    "mailto:a@b.example",
)


def text(name: str) -> str:
    return f"What {name} has to say, in words of its own that no other page of this site has. " * 3


def page(site: TrapServer, path: str, *links: str, head: str = "", **headers: str) -> None:
    site.add(path, text(path), *links, head=head, **headers)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"<p>more and more</p>" * 1000


def once(first: Answer, then: Answer) -> object:
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        return first if len(asked) == 1 else then

    return answer


def numbered(asked: Request) -> Answer:
    head, _, number = asked.path.rpartition("=")
    return Answer(html(asked.path, text(asked.path), f"{head}={int(number) + 1}"))


def filtered(asked: Request) -> Answer:
    now = dict(pair.split("=") for pair in asked.path.partition("?")[2].split("&") if pair)
    links = ["&".join(f"{n}={v}" for n, v in {**now, name: value}.items()) for name in "ab" for value in ("x", "y")]
    return Answer(html(asked.path, text(asked.path), *(f"/shop?{link}" for link in links)))


def lay(site: TrapServer, other: TrapServer) -> None:
    """Lay all traps."""
    add, pages = site.add, site.pages
    robots = "User-agent: *\nDisallow: /robots/\nAllow: /robots/allowed\nDisallow: /*.secret$\nCrawl-delay: 0.001\n"
    pages["/robots.txt"] = Answer(b"\xef\xbb\xbf" + robots.encode() + f"Sitemap: {site.url}/index.xml\n".encode())
    listed = f"<url><loc>{site.url}/orphan</loc></url><url><loc>http://10.0.0.2/x</loc></url><url><loc>{other.url}/x</loc></url>"
    pages["/index.xml"] = Answer(
        f"<sitemapindex><sitemap><loc>{site.url}/pages.xml.gz</loc></sitemap><sitemap><loc>{site.url}/index.xml</loc></sitemap>"
        f"<sitemap><loc>{site.url}/lol.xml</loc></sitemap></sitemapindex>".encode()
    )
    pages["/pages.xml.gz"] = Answer(
        gzip.compress(f"<urlset>{listed}</urlset>".encode()), headers={"Content-Type": "application/gzip"}
    )
    pages["/lol.xml"] = Answer(
        b'<!DOCTYPE l [<!ENTITY a "http://10.0.0.3/"><!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>&a;&x;</loc></url></urlset>'
    )
    for path in (
        "/fine",
        "/orphan",
        "/robots/allowed",
        "/new",
        "/base/dir/rel",
        "/followed",
        "/after",
        "/from-noindex",
        "/~user",
    ):
        page(site, path)
    for path in ("/robots/no", "/x.secret", "/ugc", "/from-nofollow"):
        page(site, path)
    other.add("/")
    # Redirects.
    pages["/self"], pages["/loop"], pages["/pool"] = redirect("/self"), redirect("/pool"), redirect("/loop")
    pages["/chain/*"] = lambda asked: redirect(f"/chain/{int(asked.path[7:]) + 1}")
    pages["/far"], pages["/inner"], pages["/file"] = (
        redirect(other.url + "/"),
        redirect("http://10.0.0.1/"),
        redirect("file:///etc/passwd"),
    )
    pages["/old"], pages["/missing-home"] = redirect("/new", 301), redirect("/")
    page(site, "/refresh", head='<meta http-equiv=refresh content="0; url=/new">')
    # Mazes.
    pages["/calendar*"], pages["/shop*"] = numbered, filtered
    pages["/dir/*"] = lambda asked: Answer(html(asked.path, text(asked.path), "dir/"))
    page(site, "/based", "rel", head='<base href="/base/dir/">')
    # Wishes.
    page(site, "/noindex", "/from-noindex", head='<META NAME="Robots" CONTENT="NoIndex">')
    page(site, "/header-noindex", X_Robots_Tag="syncd: noindex")
    page(site, "/nofollow", "/from-nofollow", head="<meta name=robots content=nofollow>")
    pages["/rel"] = Answer(
        html("Rel", text("rel") + '<a rel="nofollow ugc" href="/ugc">x</a> <a rel=noopener href="/followed">y</a>')
    )
    # Canonical links and copies.
    for target in ("file:///x", "http://elsewhere.example/", "/missing"):
        page(site, f"/canonical-{len(target)}", head=f'<link rel=canonical href="{target}">')
    for number, target in ((1, 2), (2, 3), (3, 3)):
        add(
            f"/chained-{number}",
            text("chained") + "x" * number,
            title="Chained",
            head=f'<link rel=canonical href="/chained-{target}">',
        )
    for path in ("/copy", "/copy/", "/COPY"):
        add(path, text("the copy"), title="Copy")
    # Types, encodings and sizes.
    types = {"/png.html": (PNG, "text/html"), "/vague": (html("Vague", text("vague")), "application/octet-stream"),
             "/feed": (b"<rss version='2.0'></rss>", "application/rss+xml"), "/wiki/Node.js": (html("Node", text("node")), "text/html"),
             "/latin": (html("L", text("Größe")).decode().encode("latin-1"), "text/html; charset=iso-8859-1"),
             "/lying": (html("Lying", text("Łódź")), "text/html; charset=iso-8859-1"),
             "/utf16": (html("U", text("Grœße")).decode().encode("utf-16"), "text/html"),
             "/sjis": (html("S", text("日本語の文章")).decode().encode("shift_jis"), "text/html; charset=Shift_JIS"),
             "/gb": (html("G", text("中文网页")).decode().encode("gb18030"), "text/html; charset=gb2312"),
             "/undeclared": (html("C", text("“Größe” kostet 5 €")).decode().encode("cp1252"), "text/html"),
             "/xhtml": (b'<?xml version="1.0" encoding="UTF-8"?>' + html("X", text("Œuvre")), "application/xhtml+xml"),
             "/plain": (html("Plain", text("plain")), "text/plain"), "/untyped": (html("Untyped", text("untyped")), "")}  # fmt: skip
    for path, (body, kind) in types.items():
        pages[path] = Answer(body, headers={"Content-Type": kind})
    pages["/gigabyte"] = Answer(
        b"PK\x03\x04", headers={"Content-Type": "application/zip", "Content-Length": "999999999"}
    )
    pages["/bomb"] = Answer(gzip.compress(b"<p>a</p>" * (4 << 20)), headers={"Content-Encoding": "gzip"})
    pages["/deep"] = Answer(b"<!doctype html><html><body>" + b"<div>" * 100_000 + b"deep")
    pages["/endless"] = lambda _: Answer(endless())
    # Failures.
    pages["/busy"] = once(Answer(b"", 429, {"Retry-After": "1"}), Answer(html("Busy", text("busy"))))
    pages["/dated"] = once(
        Answer(b"", 503, {"Retry-After": formatdate(time.time() + 1, usegmt=True)}),
        Answer(html("Dated", text("dated"))),
    )
    for status in (204, 304, 401, 403):
        pages[f"/status/{status}"] = Answer(b"", status)
    pages["/cut"] = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<p>cut")
    pages["/http10"] = Answer(raw=b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + html("Old", text("http10")))
    pages["/soft/*"] = lambda asked: Answer(html("404 - Page not found", f"Sorry, {asked.path} does not exist here."))
    pages["/cookie"] = lambda asked: (
        Answer(html("In", "")) if "cookie" in asked.headers else Answer(b"", 302, {"Location": "/cookie"})
    )
    pages["/app"] = Answer(
        b"<html><noscript>You need to enable JavaScript to run this app.</noscript><script src=/a.js></script></html>"
    )
    menu = "".join(f"<li><a href=/fine>Entry {number}</a></li>" for number in range(300))
    pages["/menu"] = Answer(
        f"<html><nav><ul>{menu}</ul></nav><main><h1>Menu</h1><p>Only this matters.</p></main></html>".encode()
    )
    links = [
        path
        for path in pages
        if path[-1] != "*" and path.startswith("/") and not path.endswith((".xml", ".gz", ".txt"))
    ]
    unlinked = (
        "/orphan",
        "/pool",
        "/new",
        "/base/dir/rel",
        "/followed",
        "/ugc",
        "/from-noindex",
        "/from-nofollow",
        "/~user",
    )
    mazes = ("/chain/0", "/calendar?month=1", "/shop", "/dir/", "/soft/a", "/soft/b")
    spellings = ("/%7Euser", "/x/../~user#top", "/~user?utm_source=mail", "/dead", "/fine?b=2&a=1", "/fine?a=1&b=2#end")
    add(
        "/",
        text("home"),
        *(link for link in links if link not in unlinked),
        *mazes,
        *spellings,
        *INTERNAL,
        *ODD,
        other.url + "/",
    )


@dataclass(frozen=True)
class Crawled:
    """What came of the crawl."""

    site: TrapServer
    other: TrapServer
    states: dict[str, tuple[str, str]]
    """State and reason of each address."""
    texts: dict[str, str]

    def indexed(self, *paths: str) -> set[str]:
        return {path for path in paths if self.states.get(self.site.url + path, ("", ""))[0] == "indexed"}

    def count(self, start: str) -> int:
        return sum(
            state == "indexed" for url, (state, _) in self.states.items() if url.startswith(self.site.url + start)
        )


@pytest.fixture(scope="module")
def crawled(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Crawled:
    return asyncio.run(crawl(minilm_folder, tmp_path_factory.mktemp("daemon")))


async def crawl(models: Path, folder: Path) -> Crawled:
    async with trap_server() as site, trap_server() as other:
        lay(site, other)
        config = f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
models_dir = "{models}"
threads = 1
[web]
rate_per_s = 0
allow_private_addresses = ["127.0.0.1:{site.port}", "127.0.0.1:{other.port}"]
[[sources]]
name = "traps"
type = "web_scrape"
starting_url = "{site.url}/"
collection = "traps"
interval_s = 86400
"""
        daemon = Daemon(folder, config)
        await asyncio.to_thread(daemon.start)
        try:
            await asyncio.to_thread(
                daemon.wait_until,
                lambda: bool(daemon.rows("SELECT 1 FROM invocations")) and daemon.unsettled() == 0,
                400.0,
            )
            states = {
                key: (state, reason) for key, state, reason in daemon.rows("SELECT key, state, reason FROM documents")
            }
            rows = daemon.rows(
                "SELECT d.key, c.text FROM documents d JOIN chunks c ON c.document_id = d.id ORDER BY c.number"
            )
        finally:
            await asyncio.to_thread(daemon.stop)
        texts: dict[str, str] = {}
        for key, part in rows:
            texts[key] = texts.get(key, "") + part
        return Crawled(site, other, states, texts)


def test_redirects_are_followed_to_their_end_and_no_further(crawled: Crawled):
    assert crawled.indexed(
        "/new", "/old", "/refresh", "/self", "/loop", "/pool", "/far", "/inner", "/file", "/missing-home"
    ) == {"/new"}
    assert sum(path.startswith("/chain/") for path in crawled.site.paths()) == 11


def test_nothing_outside_the_site_is_asked_for(crawled: Crawled):
    assert crawled.other.log == []
    assert all(url.startswith(crawled.site.url) for url, (state, _) in crawled.states.items() if state == "indexed")


def test_mazes_end(crawled: Crawled):
    assert crawled.count("/calendar") == 25
    assert crawled.count("/dir/") == 3
    assert crawled.count("/shop") == 3 * 3


def test_wishes_of_pages_and_robots_txt_are_respected(crawled: Crawled):
    kept = ("/nofollow", "/rel", "/followed", "/from-noindex", "/robots/allowed")
    left_out = ("/noindex", "/header-noindex", "/ugc", "/from-nofollow", "/robots/no", "/x.secret")
    assert crawled.indexed(*kept, *left_out) == set(kept)
    assert not {"/ugc", "/from-nofollow", "/robots/no", "/x.secret"} & set(crawled.site.paths())


def test_sitemaps_are_read_whatever_else_is_in_them(crawled: Crawled):
    assert crawled.indexed("/orphan") == {"/orphan"}


def test_wrong_canonical_links_are_ignored_and_copies_are_indexed_once(crawled: Crawled):
    assert len(crawled.indexed("/canonical-9", "/canonical-25", "/canonical-8")) == 3
    assert len(crawled.indexed("/copy", "/copy/", "/COPY")) == 1
    assert crawled.indexed("/~user", "/%7Euser", "/~user?utm_source=mail") == {"/~user"}
    assert crawled.site.paths().count("/~user") == 1
    assert sum(path.startswith("/fine?") for path in crawled.site.paths()) == 1
    assert crawled.indexed("/chained-1", "/chained-2", "/chained-3") == {"/chained-3"}


def test_answers_are_what_their_bytes_are(crawled: Crawled):
    words = {
        "/latin": "Größe",
        "/lying": "Łódź",
        "/utf16": "Grœße",
        "/sjis": "日本語の文章",
        "/gb": "中文网页",
        "/undeclared": "“Größe” kostet 5 €",
        "/xhtml": "Œuvre",
    }
    kept = ("/vague", "/wiki/Node.js", "/based", "/base/dir/rel", "/plain", "/untyped", *words)
    assert crawled.indexed(*kept, "/png.html", "/feed", "/gigabyte") == set(kept)
    assert [path for path, word in words.items() if word not in crawled.texts[crawled.site.url + path]] == []


def test_bombs_cost_themselves_only(crawled: Crawled):
    states = [crawled.states[crawled.site.url + path][0] for path in ("/bomb", "/endless")]
    assert states == ["failed", "failed"]
    assert crawled.indexed("/fine") == {"/fine"}


def test_who_asks_to_wait_is_waited_for_and_failures_are_listed(crawled: Crawled):
    assert crawled.indexed("/busy", "/dated", "/http10") == {"/busy", "/dated", "/http10"}
    reasons = {
        path: crawled.states[crawled.site.url + path]
        for path in ("/status/204", "/status/401", "/status/403", "/cut", "/dead")
    }
    assert all(state in ("failed", "skipped") and reason for state, reason in reasons.values())


def test_pages_that_are_none_are_left_out(crawled: Crawled):
    assert crawled.indexed("/soft/a", "/soft/b", "/cookie", "/app") == set()
    assert "render = 'auto'" in crawled.states[crawled.site.url + "/app"][1]
    assert all("cookie" not in one.headers for one in crawled.site.log)
    assert "Entry 7" not in crawled.texts[crawled.site.url + "/menu"]


def test_every_address_that_was_found_is_indexed_or_listed_with_its_reason(crawled: Crawled):
    silent = [url for url, (state, reason) in crawled.states.items() if state != "indexed" and not reason]
    assert silent == []
    assert {"skipped", "failed", "indexed"} == {state for state, _ in crawled.states.values()}

"""Rendering: what scripts write is indexed, and nothing a page does reaches an address that is not allowed."""

import asyncio
import sys

import pytest

from syncd.errors import PermanentError
from syncd.sources.web.addresses import AddressGuard
from syncd.sources.web.proxy import FilteringProxy
from syncd.store.database import Database
from tests.sources.web.crawling import crawler
from tests.web_traps import Answer, TrapServer

SCRIPT = {"Content-Type": "text/javascript"}


@pytest.fixture
def browser() -> None:
    render = pytest.importorskip("syncd.sources.web.render", reason="the extra `render` (playwright) is not installed")
    if render.chromium() is None:
        pytest.skip("no chromium is installed")


def app(script: str = "/app.js") -> Answer:
    return Answer(
        f"<html><title>App</title><body><div id=root></div><script src={script}></script></body></html>".encode()
    )


WRITES = b"""
fetch('/words.json').then(r => r.json()).then(words => {
  document.getElementById('root').innerHTML =
    '<main><h1>Rendered</h1><p>' + words.join(' ') + '</p><a href="/next">next</a></main>';
});
"""


async def test_without_the_extra_the_run_fails_with_what_to_install(
    site: TrapServer, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    monkeypatch.delitem(sys.modules, "syncd.sources.web.render", raising=False)
    site.add("/")

    with pytest.raises(PermanentError, match=r"pip install 'syncd\[render\]'"):
        await crawler(site, database, render="auto").sync()


@pytest.mark.usefixtures("browser")
async def test_a_page_without_text_is_rendered_and_its_links_followed(site: TrapServer, database: Database):
    site.pages["/"] = app()
    site.pages["/app.js"] = Answer(WRITES, headers=SCRIPT)
    site.pages["/words.json"] = Answer(
        b'["written", "by", "a", "script"]', headers={"Content-Type": "application/json"}
    )
    site.add("/next")
    crawl = crawler(site, database, render="auto")

    index = await crawl.sync()

    assert crawl.paths(site) == ["/", "/next"]
    assert index.texts[site.url + "/"] == f"# Rendered\n\nwritten by a script\n\n[next]({site.url}/next)\n"
    assert site.paths().count("/next") == 1, "a page with text of its own is not rendered"
    assert {one.headers["user-agent"].split("/")[0] for one in site.log} == {"syncd"}

    index = await crawl.sync()

    assert index.writes == []


ESCAPES = """
const inside = 'http://127.0.0.1:{port}';
const tries = [
  () => fetch(inside + '/fetch', {{mode: 'no-cors'}}),
  () => new WebSocket('ws://127.0.0.1:{port}/socket'),
  () => {{ const f = document.createElement('iframe'); f.src = inside + '/frame'; document.body.append(f); }},
  () => {{ new Image().src = inside + '/image'; }},
  () => navigator.sendBeacon(inside + '/beacon', 'x'),
  () => new EventSource(inside + '/events'),
  () => {{ const l = document.createElement('link'); l.rel = 'prefetch'; l.href = inside + '/prefetch'; document.head.append(l); }},
  () => fetch('/jump'),
  () => window.open(inside + '/popup'),
];
for (const go of tries) {{ try {{ go(); }} catch (error) {{}} }}
document.getElementById('root').innerHTML = '<main><p>Tried everything there is to try.</p></main>';
"""


@pytest.mark.usefixtures("browser")
async def test_no_channel_of_the_browser_reaches_an_internal_host(
    site: TrapServer, other_site: TrapServer, database: Database
):
    site.pages["/"] = app()
    site.pages["/app.js"] = Answer(ESCAPES.format(port=other_site.port).encode(), headers=SCRIPT)
    site.pages["/jump"] = Answer(b"", 302, {"Location": f"{other_site.url}/redirected"})
    crawl = crawler(site, database, render="always")

    index = await crawl.sync()

    assert index.texts[site.url + "/"] == "Tried everything there is to try.\n"
    assert other_site.log == []


@pytest.mark.usefixtures("browser")
async def test_what_robots_disallow_is_not_loaded_by_a_page_either(site: TrapServer, database: Database):
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /words.json", headers={"Content-Type": "text/plain"})
    site.pages["/"] = app()
    site.pages["/app.js"] = Answer(WRITES, headers=SCRIPT)
    crawl = crawler(site, database, render="auto")

    with pytest.raises(PermanentError, match=r"nothing could be indexed.* no text content"):
        await crawl.sync()

    assert crawl.paths(site) == []
    assert "/words.json" not in site.paths()


async def ask(proxy: FilteringProxy, head: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    writer.write(head.encode() + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def test_the_proxy_lets_allowed_addresses_through_one_exchange_each(site: TrapServer):
    site.add("/page?x=1", "Hello. " * 9)
    guard = AddressGuard((f"127.0.0.1:{site.port}",), ())
    async with FilteringProxy(guard, 1 << 20, 2.0, 2.0) as proxy:
        answer = await ask(proxy, f"GET {site.url}/page?x=1 HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive")
    assert b"Hello." in answer
    assert site.log[0].path == "/page?x=1"
    assert "proxy-connection" not in site.log[0].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"])
async def test_the_proxy_refuses_the_rest(site: TrapServer, host: str):
    async with FilteringProxy(AddressGuard((), (80, 443, site.port)), 1 << 20, 2.0, 2.0) as proxy:
        for head in (f"GET http://{host}:{site.port}/ HTTP/1.1", f"CONNECT {host}:{site.port} HTTP/1.1"):
            assert (await ask(proxy, head)).startswith(b"HTTP/1.1 403")
        for head in ("CONNECT accounts.google.com:443 HTTP/1.1", "GET file:///etc/passwd HTTP/1.1", "nonsense"):
            assert b"200" not in await ask(proxy, head)
        assert len(proxy.refused) >= 3
    assert site.log == []

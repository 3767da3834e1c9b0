"""What a response is, whatever it claims to be, and what of it is kept."""

import zipfile
from collections.abc import AsyncIterator
from io import BytesIO

import pytest

from syncd.store.database import Database
from tests.sources.web.crawling import crawler
from tests.web_traps import Answer, TrapServer, html

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
TEXT = "Größe und Café kosten 5 €, sagt man in Łódź nicht. "


def page(text: str, head: str = "") -> str:
    return f"<!doctype html><html><head>{head}<title>T</title></head><body><main><p>{text * 5}</p></main></body></html>"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (page("Größe Café ").encode("latin-1"), "text/html; charset=iso-8859-1", "Größe Café"),
        (page("日本語の文章です").encode("shift_jis"), "text/html; charset=Shift_JIS", "日本語の文章です"),
        (page("日本語の文章です", "<meta charset=shift_jis>").encode("shift_jis"), "text/html", "日本語の文章です"),
        (page("Größe Łódź ").encode("utf-16"), "text/html", "Größe Łódź"),
        (page("Größe Łódź ").encode(), "text/html; charset=iso-8859-1", "Größe Łódź"),
        (page("“Größe” \u2013 Café €").encode("cp1252"), "text/html", "“Größe” \u2013 Café €"),
        (page("中文网页内容").encode("gb18030"), "text/html; charset=gb2312", "中文网页内容"),
        (
            b'<?xml version="1.0" encoding="UTF-8"?>\n' + page("Größe Łódź ").encode(),
            "application/xhtml+xml",
            "Größe Łódź",
        ),
        (page("Größe Łódź ").encode(), "text/html; charset=no-such-thing", "Größe Łódź"),
        (b"\xef\xbb\xbf" + page("Größe Łódź ").encode(), "text/html; charset=latin1", "Größe Łódź"),
    ],
)
async def test_text_is_read_in_its_real_encoding(
    site: TrapServer, database: Database, body: bytes, content_type: str, expected: str
):
    site.pages["/"] = Answer(body, headers={"Content-Type": content_type})
    index = await crawler(site, database).sync()
    assert expected in index.texts[site.url + "/"]


@pytest.mark.parametrize(
    ("body", "content_type", "path", "name"),
    [
        (PNG, "text/html", "/x", None),
        (html("Real", ""), "application/octet-stream", "/x.html", "x.md"),
        (html("Real", ""), "application/octet-stream", "/x.bin", None),
        (html("Real", ""), "text/plain", "/x", "x.txt"),
        (html("Real", ""), "", "/x", "x.md"),
        (b"<rss version='2.0'></rss>", "application/rss+xml", "/feed", None),
        (b'{"a": 1}', "application/json", "/x", None),
        (PDF, "application/pdf", "/manual", "manual.pdf"),
        (PDF, "text/html", "/manual", "manual.pdf"),
        (PDF, "application/octet-stream", "/manual.pdf", "manual.pdf"),
        (html("Log in", ""), "application/pdf", "/manual.pdf", None),
        (b"# Read me\n\nText.", "text/markdown", "/readme.md", "readme.md"),
        (b"# Read me\n\nText.", "text/plain", "/readme.md", "readme.md"),
        (PNG, "text/plain", "/x.txt", None),
        (b"a,b\n1,2\n", "text/csv", "/data", "data.csv"),
    ],
)
async def test_a_response_is_what_its_bytes_say(
    site: TrapServer, database: Database, body: bytes, content_type: str, path: str, name: str | None
):
    site.add("/", "", path)
    site.pages[path] = Answer(body, headers={"Content-Type": content_type})
    crawl = crawler(site, database)

    index = await crawl.sync()

    document = index.indexed.get(site.url + path)
    assert (document.name if document else None) == name


async def test_a_linked_document_is_handed_on_byte_for_byte(site: TrapServer, database: Database):
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", b"x" * (3 << 20))
    data = packed.getvalue() + bytes(2 << 20)
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    site.add("/", "", "/report")
    site.pages["/report"] = Answer(data, headers={"Content-Type": kind})
    crawl = crawler(site, database)

    index = await crawl.sync()

    document = index.indexed[site.url + "/report"]
    assert document.name == "report.docx"
    assert document.body is not None
    async with document.body.open() as file:
        assert file.read() == data


async def test_archives_are_not_downloaded(site: TrapServer, database: Database):
    sent = 0

    async def gigabyte() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1024):
            sent += 1
            yield bytes(1 << 20)

    site.add("/", "", "/all", "/all.zip")
    site.pages["/all"] = lambda _: Answer(gigabyte(), headers={"Content-Type": "application/zip"})
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/"]
    assert sent < 64
    assert "/all.zip" not in site.paths()


async def test_base_href_moves_relative_links(site: TrapServer, database: Database):
    site.add("/", "", "one", "/two", head='<base href="/sub/dir/">')
    site.add("/sub/dir/one")
    site.add("/two")
    crawl = crawler(site, database)

    index = await crawl.sync()

    assert crawl.paths(site) == ["/", "/sub/dir/one", "/two"]
    assert f"[one]({site.url}/sub/dir/one)" in index.texts[site.url + "/"]


async def test_a_base_that_leads_away_or_nowhere_is_handled(site: TrapServer, database: Database):
    site.add("/", "", "one", head='<base href="javascript:0">')
    site.add("/one", "", "two", head='<base href="http://elsewhere.example/">')
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/one"]


async def test_navigation_larger_than_the_content_is_left_out(site: TrapServer, database: Database):
    menu = "".join(f'<li><a href="/m/{number}">Menu entry number {number}</a></li>' for number in range(300))
    body = (
        f"<html lang=de><title>Short</title><body><header><a href=/>Brand</a></header><nav><ul>{menu}</ul></nav>"
        f"<div class=cookie-banner>We value your privacy</div><main><h1>Short</h1><p>Only this matters.</p></main>"
        f"<footer>Imprint and more</footer></body></html>"
    )
    site.pages["/"] = Answer(body.encode())
    crawl = crawler(site, database, max_depth=0)

    index = await crawl.sync()

    assert index.texts[site.url + "/"] == "# Short\n\nOnly this matters.\n"
    assert index.indexed[site.url + "/"].metadata["language"] == "de"


async def test_a_page_for_browsers_only_gives_its_noscript_text(site: TrapServer, database: Database):
    body = (
        "<html><title>App</title><body><div id=root></div><noscript><p>This application needs JavaScript; "
        "its manual is on paper.</p></noscript><script src=/app.js></script></body></html>"
    )
    site.pages["/"] = Answer(body.encode())
    index = await crawler(site, database).sync()
    assert index.texts[site.url + "/"] == "This application needs JavaScript; its manual is on paper.\n"


async def test_dates_and_modification_times_are_kept(site: TrapServer, database: Database):
    site.add(
        "/",
        head='<meta property="article:published_time" content="2024-05-06T07:08:09Z"><link rel=canonical href="/#top">',
        Last_Modified="Mon, 06 May 2024 10:00:00 GMT",
    )
    index = await crawler(site, database).sync()
    document = index.indexed[site.url + "/"]
    assert document.metadata["published"] == "2024-05-06T07:08:09Z"
    assert document.metadata["canonical_url"] == site.url + "/"
    assert document.changed_at is not None
    assert document.changed_at.isoformat() == "2024-05-06T10:00:00+00:00"


async def test_anchors_say_which_fragment_a_byte_belongs_to(site: TrapServer, database: Database):
    body = (
        "<html><title>Ä</title><body><main><h1>Über</h1><p>Löwe.</p><section id=first><h2>Ein<a class=headerlink "
        "href='#first'>¶</a></h2><p>Text</p></section><h2 id='second part'>Zwei</h2><p>Text</p>"
        "<dl><dt id=mod.func><code>func()</code></dt><dd>does it</dd></dl></main></body></html>"
    )
    site.pages["/"] = Answer(body.encode())

    index = await crawler(site, database).sync()

    text = index.texts[site.url + "/"].encode()
    document = index.indexed[site.url + "/"]
    starts = [(text[start:].split(b"\n")[0].decode(), fragment) for start, fragment in document.anchors]
    assert starts == [("## Ein", "first"), ("## Zwei", "second part"), ("`func()`", "mod.func")]

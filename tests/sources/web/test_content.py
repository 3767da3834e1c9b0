"""What a response is, whatever it claims to be, and what of it is kept."""

import gzip
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from io import BytesIO

import brotli
import pytest

from syncd.store.database import Database
from tests.sources.web.crawling import crawler
from tests.web_traps import Answer, TrapServer, html

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
DOCX = b"PK\x03\x04" + bytes(22) + b"\x13\0\0\0[Content_Types].xml" + bytes(50)
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
        (html("Real", ""), "application/octet-stream", "/x.bin", "x.md"),
        (html("Real", ""), "application/force-download", "/x", "x.md"),
        (html("Node.js", ""), "text/html", "/wiki/Node.js", "Node.md"),
        (html("tar.gz", ""), "text/html", "/man/tar.gz", "tar.md"),
        (PNG, "application/octet-stream", "/x.html", None),
        (PDF, "application/x-pdf", "/manual", "manual.pdf"),
        (PDF, "application/force-download", "/get?id=1", "get.pdf"),
        (DOCX, "application/octet-stream", "/get?id=2", "get.docx"),
        (b"# Read me", "text/x-markdown; charset=utf-8", "/readme", "readme.md"),
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
        (b"= Read me\n\nText.", "text/plain", "/readme.adoc", "readme.adoc"),
        (b"\\section{Read me}", "application/x-tex", "/readme", "readme.tex"),
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


async def test_a_file_is_called_what_its_answer_calls_it(site: TrapServer, database: Database):
    names = {
        "/a": 'attachment; filename="notes.md"',
        "/b": "attachment; filename*=UTF-8''caf%C3%A9.rst; filename=cafe.bin",
        "/c": "attachment; filename=..\\..\\table.csv",
    }
    site.add("/", "", *names, "/d")
    for path, disposition in names.items():
        headers = {"Content-Type": "application/octet-stream", "Content-Disposition": disposition}
        site.pages[path] = Answer(b"one,two\n1,2\n" + path.encode(), headers=headers)
    site.pages["/d"] = Answer(b"bytes", headers={"Content-Type": "application/octet-stream"})

    index = await crawler(site, database).sync()

    named = {key.removeprefix(site.url): document.name for key, document in index.indexed.items()}
    assert named == {"/": "index.md", "/a": "a.md", "/b": "b.rst", "/c": "c.csv"}


async def test_many_pictures_of_one_folder_are_not_asked_for_one_by_one(site: TrapServer, database: Database):
    site.add(
        "/", "", *(f"/img/{number}.png" for number in range(100)), *(f"/wiki/{number}.png" for number in range(30))
    )
    site.pages["/img/*"] = Answer(PNG, headers={"Content-Type": "image/png"})
    site.pages["/wiki/*"] = lambda asked: Answer(html(asked.path, f"About the picture {asked.path}. " * 9))
    crawl = crawler(site, database)

    await crawl.sync()

    assert len(crawl.paths(site)) == 31
    assert 5 <= sum(path.startswith("/img/") for path in site.paths()) <= 5 + 16


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("UTF-8", bytes),
    ],
)
async def test_a_page_is_unpacked_whatever_packed_it(
    site: TrapServer, database: Database, coding: str, pack: Callable[[bytes], bytes]
):
    site.pages["/"] = Answer(pack(html("Packed", "")), headers={"Content-Encoding": coding})
    index = await crawler(site, database).sync()
    assert "# Packed" in index.texts[site.url + "/"]


async def test_headers_of_many_kilobytes_are_read(site: TrapServer, database: Database):
    site.add(
        "/", "", Content_Security_Policy="script-src 'self' " + "https://cdn.example " * 1500, Set_Cookie="a" * 9000
    )
    crawl = crawler(site, database)
    await crawl.sync()
    assert crawl.paths(site) == ["/"]


RUSSIAN = "Паромы уходят утром один за другим, пока над водой ещё лежит туман. "


@pytest.mark.parametrize(
    ("body", "content_type", "guess"),
    [
        (page(RUSSIAN).encode("windows-1251"), "text/html", "Windows-1251"),
        (page("日本語の文章です。港のページです。").encode("shift_jis"), "text/html", "CP932"),
        (page("naïve Größe und Café").encode("cp1252"), "text/html", "Windows-1252"),
        (page("Καλημέρα").encode("cp1253"), "text/html", "Windows-1253"),
        (page("Příliš žluťoučký kůň úpěl ďábelské ódy. ").encode("cp1250"), "text/html", "Windows-1250"),
        (RUSSIAN.encode("koi8-r"), "text/plain", "KOI8-R"),
        (RUSSIAN.encode("windows-1251"), "text/plain; charset=windows-1251", ""),
        (RUSSIAN.encode("utf-16"), "text/plain", ""),
        ("Größe und Café".encode("latin-1"), "text/markdown; charset=iso-8859-1", ""),
        ("日本語の文章です。".encode("iso-2022-jp"), "text/plain; charset=iso-2022-jp", ""),
        (RUSSIAN.encode(), "text/plain; charset=iso-8859-1", ""),
        (b"Only ASCII.", "text/plain; charset=utf-16", ""),
    ],
)
async def test_text_and_pages_that_do_not_say_how_they_are_encoded_are_read_as_they_look_and_it_is_said(
    site: TrapServer, database: Database, body: bytes, content_type: str, guess: str
):
    site.pages["/"] = Answer(body, headers={"Content-Type": content_type})
    index = await crawler(site, database).sync()

    text = index.texts[site.url + "/"]
    assert any(
        words in text
        for words in (RUSSIAN.strip(), "日本語の文章です", "Größe und Café", "Only ASCII.", "Καλημέρα", "žluťoučký kůň")
    )
    warnings = index.indexed[site.url + "/"].warnings
    assert [(each.code, each.message.rpartition(" ")[2]) for each in warnings] == (
        [("encoding_guessed", guess)] if guess else []
    )


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
        "<html><title>App</title><body><div id=root></div><noscript><p>The opening hours are nine to five, and the ferries leave "
        "every hour.</p></noscript><script src=/app.js></script></body></html>"
    )
    site.pages["/"] = Answer(body.encode())
    index = await crawler(site, database).sync()
    assert index.texts[site.url + "/"] == "The opening hours are nine to five, and the ferries leave every hour.\n"
    assert [each.code for each in index.indexed[site.url + "/"].warnings] == ["script_made"]


@pytest.mark.parametrize(
    "body",
    [
        "<noscript>You need to enable JavaScript to run this app.</noscript><div id=root></div>",
        "<div id=app>Loading…</div>",
        "<div id=app></div>",
        "<main><h1>Docs</h1><p>Bitte aktivieren Sie JavaScript, um diese Seite zu sehen.</p></main>",
        "<p>This page requires JavaScript.</p>",
    ],
)
async def test_a_page_that_only_says_that_it_needs_scripts_is_no_document_and_the_way_out_is_said(
    site: TrapServer, database: Database, body: str
):
    site.add("/", "", "/app")
    site.pages["/app"] = Answer(
        f"<html><title>App</title><body>{body}<script src=/app.js></script></body></html>".encode()
    )
    crawl = crawler(site, database)

    index = await crawl.sync()

    assert crawl.paths(site) == ["/"]
    assert "render = 'auto'" in index.left_out[site.url + "/app"]
    (warned,) = index.warned
    assert (warned.key, warned.stage, warned.warnings[0].code) == (site.url + "/app", "skipped", "script_made")
    assert "render = 'auto'" in warned.warnings[0].message
    assert sum(result.counts.warned for result in index.last.results) == 1


async def test_the_frames_of_a_frameset_are_followed(site: TrapServer, database: Database):
    frames = "<frame src=list.html><frameset><frame src='text.html#top'></frameset><noframes><a href=old.html>x</a></noframes>"
    site.pages["/"] = Answer(
        f"<html><head><title>API</title><script>0</script></head><frameset>{frames}</frameset></html>".encode()
    )
    site.add("/list.html")
    site.add("/text.html")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/list.html", "/text.html"]


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

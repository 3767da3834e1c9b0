"""HTML files and EPUB books as Markdown: what is text, what is structure, and what a page only decorates."""

from __future__ import annotations

from base64 import b64encode

import pytest

from syncd.errors import PermanentError
from tests.pipeline.parse.documents import epub, flat_odf, odf, pdf
from tests.pipeline.parse.reading import PartReader, on_pages, parts_of, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_html_keeps_headings_lists_tables_links_and_code(pool: PartReader) -> None:
    page = (
        "<html><head><title>T</title></head><body><h2>Head</h2><p>See <a href='https://example.org'>this</a>.</p>"
        "<ul><li>one</li></ul><table><tr><th>a</th></tr><tr><td>b</td></tr></table><pre><code>x = 1</code></pre></body>"
    )
    text = await text_of(pool, page.encode(), "a.html")
    for expected in ("## Head", "[this](https://example.org)", "- one", "| a |", "x = 1"):
        assert expected in text


async def test_html_says_its_own_encoding(pool: PartReader) -> None:
    page = '<html><meta charset="iso-8859-2"><body><p>Łódź</p></body></html>'.encode("iso-8859-2")
    assert "Łódź" in await text_of(pool, page, "a.html")


async def test_pictures_inside_html_are_not_kept(pool: PartReader) -> None:
    text = await text_of(pool, b"<body><p>A <img alt='a door' src='data:image/png;base64,AAAA'></p></body>", "a.html")
    assert "a door" in text
    assert "base64" not in text


def archive(*parts: tuple[str, bytes, str], subject: str = "Saved") -> bytes:
    """A web archive of parts: address (or id), content, media type."""
    made = [f'From: <Saved>\nSubject: {subject}\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary="=b"\n']
    for address, content, media_type in parts:
        name = f"Content-ID: <{address[4:]}>" if address.startswith("cid:") else f"Content-Location: {address}"
        made.append(
            f"--=b\nContent-Type: {media_type}\nContent-Transfer-Encoding: base64\n{name}\n\n{b64encode(content).decode()}\n"
        )
    return "\n".join([*made, "--=b--\n"]).encode()


async def test_a_web_archive_is_the_page_that_was_saved(pool: PartReader) -> None:
    page = "<title>T</title><h1>Größe</h1><p><a href='https://example.org/x'>see</a><img alt='a gauge' src='img/g.png'></p>"
    style = ("https://example.org/a.css", b"p { color: red }", "text/css")
    picture = ("https://example.org/img/g.png", b"\x89PNG", "image/png")
    saved = archive(("https://example.org/", page.encode("latin-1"), "text/html; charset=iso-8859-1"), style, picture)
    for name in ("a.mht", "a.mhtml"):
        assert await text_of(pool, saved, name) == "# Größe\n\n[see](https://example.org/x)![a gauge]()\n\n"


async def test_a_web_archive_made_of_frames_has_them_in_their_order(pool: PartReader) -> None:
    frames = b"<frameset><frame src='text.html'><frame src='cid:list@x'><frame src='top.html'></frameset>"
    saved = archive(
        ("http://example.org/top.html", frames, "text/html"),
        ("cid:list@x", b"<p>List</p><iframe src='text.html'></iframe><iframe src='ad.html'></iframe>", "text/html"),
        ("http://example.org/text.html", b"<h2>Text</h2>", "text/html"),
        ("ad.html", b"<p>Buy</p>", "text/html"),
    )
    assert await text_of(pool, saved, "a.mht") == "## Text\n\nList\n\n"
    assert await warnings_of(pool, saved, "a.mht") == {"unread_content": 1}
    with pytest.raises(PermanentError, match="no page in it"):
        await text_of(pool, b"From: a\nSubject: b\n\nc\n", "a.mht")


async def test_200_000_nested_elements_are_refused(pool: PartReader) -> None:
    with pytest.raises(PermanentError, match="nested over 512 levels"):
        await text_of(pool, b"<div>" * 200_000 + b"x", "a.html")


async def test_the_chapters_of_a_book_come_in_the_order_of_its_spine(pool: PartReader) -> None:
    parts = await parts_of(pool, epub(["<h1>One</h1><p>a</p>", "<h1>Two</h1>"]), "a.epub")
    assert on_pages(parts) == {1: "# One\n\na\n\n", 2: "# Two\n\n"}


async def test_a_book_with_copy_protection_says_so(pool: PartReader) -> None:
    locked = '<encryption><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></encryption>'
    with pytest.raises(PermanentError, match="protected against copying"):
        await text_of(pool, epub(["<p>x</p>"], **{"META-INF__encryption.xml": locked}), "a.epub")


async def test_an_opendocument_text_keeps_headings_lists_tables_and_notes(pool: PartReader) -> None:
    styles = (
        '<style:style style:name="B" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>'
        '<text:list-style style:name="N"><text:list-level-style-number text:level="1"/></text:list-style>'
    )
    note = "<text:note><text:note-body><text:p>Why.</text:p></text:note-body></text:note>"
    body = (
        '<text:h text:outline-level="1">Head</text:h>'
        f'<text:p>Some <text:span text:style-name="B">bold</text:span><text:s text:c="2"/>words{note}</text:p>'
        '<text:list text:style-name="N"><text:list-item><text:p>one</text:p><text:list><text:list-item>'
        "<text:p>inner</text:p></text:list-item></text:list></text:list-item></text:list>"
        '<table:table><table:table-row><table:table-cell table:number-columns-spanned="2"><text:p>wide</text:p>'
        "</table:table-cell><table:covered-table-cell/></table:table-row><table:table-row><table:table-cell>"
        "<text:p>a</text:p></table:table-cell><table:table-cell><text:p>b</text:p></table:table-cell></table:table-row>"
        "</table:table>"
    )
    assert await text_of(pool, odf("text", body, styles), "a.odt") == (
        "# Head\n\nSome **bold**  words[^1]\n\n1. one\n    - inner\n\n| wide | wide |\n| --- | --- |\n| a | b |\n\n"
        "[^1]: Why.\n\n"
    )


async def test_a_flat_opendocument_file_reads_as_the_packed_one(pool: PartReader) -> None:
    picture = (
        "<draw:image><office:binary-data>iVBO\nRw0K</office:binary-data></draw:image><svg:title>a gauge</svg:title>"
    )
    table = "<table:table><table:table-row><table:table-cell><text:p>p</text:p></table:table-cell></table:table-row></table:table>"
    chart = f"<draw:object><office:document><office:body>{table}</office:body></office:document></draw:object>"
    frames = f"<draw:frame>{picture}</draw:frame><draw:frame>{chart}</draw:frame>"
    text = flat_odf("text", f"<text:h text:outline-level='1'>Head</text:h><text:p>Words.{frames}</text:p>")
    assert await text_of(pool, text, "a.fodt") == "# Head\n\nWords.![a gauge]()\n\n| p |\n| --- |\n\n"
    sheet = flat_odf("spreadsheet", table.replace("<table:table>", "<table:table table:name='T'>", 1))
    assert await text_of(pool, sheet, "a.fods") == "## T\n\n| p |\n| --- |\n\n"
    with pytest.raises(PermanentError, match="not well-formed"):
        await text_of(pool, text[:-9], "a.fodt")


async def test_comments_in_an_opendocument_text_are_read(pool: PartReader) -> None:
    who = '<dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/">Ann</dc:creator>'
    comment = f"<office:annotation>{who}<text:p>Why noon?</text:p></office:annotation>"
    body = f"<text:p>At noon{comment} they sail<office:annotation-end/>.</text:p><text:p>x<office:annotation><text:p>y</text:p></office:annotation></text:p>"
    assert await text_of(pool, odf("text", body), "a.odt") == (
        "At noon[^1] they sail.\n\nx[^2]\n\n[^1]: Comment by Ann: Why noon?\n\n[^2]: Comment: y\n\n"
    )


async def test_every_index_of_an_opendocument_text_is_read_with_its_title(pool: PartReader) -> None:
    kinds = (
        "table-of-content", "illustration-index", "table-index", "object-index", "user-index", "alphabetical-index", "bibliography",
    )  # fmt: skip
    template = "<text:index-title-template>no text</text:index-title-template>"
    body = "".join(
        f"<text:{kind}><text:{kind}-source>{template}</text:{kind}-source><text:index-body>"
        f"<text:index-title><text:p>Title</text:p></text:index-title><text:p>of {kind}</text:p></text:index-body></text:{kind}>"
        for kind in kinds
    )
    text = await text_of(pool, odf("text", body), "a.odt")
    assert text == "".join(f"Title\n\nof {kind}\n\n" for kind in kinds)


async def test_an_opendocument_presentation_has_slides(pool: PartReader) -> None:
    def frame(kind: str, text: str) -> str:
        return f'<draw:frame presentation:class="{kind}"><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>'

    notes = f"<presentation:notes>{frame('notes', 'Speak up')}</presentation:notes>"
    body = f"<draw:page>{frame('outline', 'Body')}{frame('title', 'Top')}{notes}</draw:page>"
    parts = await parts_of(pool, odf("presentation", body), "a.odp")
    assert on_pages(parts) == {1: "# Top\n\nBody\n\nNotes: Speak up\n\n"}


async def test_every_page_of_a_long_pdf_is_read_in_windows(pool: PartReader) -> None:
    parts = await parts_of(pool, pdf([f"This is page number {at}" for at in range(1, 1206)]), "a.pdf")
    assert [len(part.pages) for part in parts] == [100] * 12 + [5]
    pages = on_pages(parts)
    assert list(pages) == list(range(1, 1206))
    assert all(f"page number {number}" in text for number, text in pages.items())


async def test_too_many_pages_are_refused_before_any_is_read(pool: PartReader) -> None:
    data = pdf(["x"]).replace(b"/Count 1>>", b"/Count 9999>>")
    with pytest.raises(PermanentError, match="9,999 pages, over the limit of 7,000"):
        await text_of(pool, data, "a.pdf")


async def test_an_encrypted_pdf_says_so(pool: PartReader) -> None:
    locked = f"/Encrypt<</Filter/Standard/V 1/R 2/O<{'00' * 32}>/U<{'11' * 32}>/P -4>>/ID[<00><00>]"
    with pytest.raises(PermanentError, match=r"a\.pdf is encrypted: save it without a password"):
        await text_of(pool, pdf(["secret"], trailer=locked), "a.pdf")

"""Pictures in documents of every kind are described where they stand."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from zipfile import ZipFile

import pytest
import pytest_asyncio

from syncd.model.formats import HTML
from syncd.pipeline.parse.html import with_pictures
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.task import DocumentLimits, Markdown, Ocr, Task
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import (
    R,
    archive,
    docx,
    encoded,
    epub,
    paragraph,
    pdf_with_picture,
    pptx,
    relations,
    shape,
    written,
    xlsx_members,
)
from tests.pipeline.parse.reading import PartReader, on_pages, parts_of, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURE = encoded(written(["x"], (200, 150)))


class _Eyes:
    fingerprint = "eyes"

    async def describe(self, picture: bytes) -> str:
        assert picture.startswith(b"\xff\xd8")
        return "SEEN"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeing() -> AsyncIterator[PartReader]:
    async with PartReader(PreparerSettings(workers=1, ocr=Ocr(enabled=False)), _Eyes()) as pool:
        yield pool


async def test_in_a_page_that_carries_them(seeing: PartReader) -> None:
    inline = f"data:image/png;base64,{b64encode(PICTURE).decode()}"
    page = f'<p>before <img src="{inline}" alt="A cat"> on</p><p>after <img src="away.png" alt="Away"></p>'
    text = await text_of(seeing, page.encode(), "a.html")
    assert text == "before ![A cat]() on\n\nSEEN\n\nafter ![Away](away.png)\n\n"


async def test_in_a_chapter(seeing: PartReader) -> None:
    data = epub(
        ['<p>one <img src="../pics/a%20b.png" alt="A map"/></p><p>two</p>', "<p>three</p>"],
        **{"pics__a b.png": PICTURE},
    )
    pages = on_pages(await parts_of(seeing, data, "a.epub"))
    assert pages == {1: "one ![A map]()\n\nSEEN\n\ntwo\n\n", 2: "three\n\n"}


async def test_on_a_sheet(seeing: PartReader) -> None:
    spaces = (
        'xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing" '
        f'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="{R}"'
    )
    named = '<xdr:nvPicPr><xdr:cNvPr id="2" name="P" descr="A stamp"/></xdr:nvPicPr>'
    drawing = f'<xdr:wsDr {spaces}><xdr:pic>{named}<a:blip r:embed="p"/></xdr:pic></xdr:wsDr>'
    members = {
        **xlsx_members({"S": {"A1": "cell"}}),
        "xl/worksheets/_rels/sheet1.xml.rels": relations({"d": ("drawing", "../drawings/d.xml")}),
        "xl/drawings/d.xml": drawing,
        "xl/drawings/_rels/d.xml.rels": relations({"p": ("image", "../media/p.png")}),
        "xl/media/p.png": PICTURE,
    }
    text = await text_of(seeing, archive(members), "a.xlsx")
    assert text == "## S\n\n| cell |\n| --- |\n\n![A stamp]()\n\nSEEN\n\n"


async def test_last_on_a_page_where_the_next_one_begins(seeing: PartReader) -> None:
    slides = _slides([_SHOWN.replace("/></p:nvPicPr>", ' descr="A map"/></p:nvPicPr>'), shape("two")])
    pages = {page: text.strip() for page, text in on_pages(await parts_of(seeing, slides, "a.pptx")).items()}
    assert pages == {1: "![A map]()\n\nSEEN", 2: "two"}


async def test_without_words_of_their_own_on_slides(seeing: PartReader) -> None:
    pages = on_pages(await parts_of(seeing, _slides([_SHOWN, _SHOWN + shape("Team", "title"), _SHOWN]), "a.pptx"))
    assert {page: text.split() for page, text in pages.items()} == {
        1: ["SEEN"],
        2: ["#", "Team", "SEEN"],
        3: ["SEEN"],
    }


_SHOWN = (
    '<p:pic><p:nvPicPr><p:cNvPr id="2" name="x"/></p:nvPicPr><p:blipFill><a:blip r:embed="p"/></p:blipFill></p:pic>'
)


def _slides(slides: Sequence[str]) -> bytes:
    """Slides, each with a picture of its own under the id `p`."""
    with ZipFile(io.BytesIO(pptx(slides))) as package:
        members: dict[str, bytes | str] = {name: package.read(name) for name in package.namelist()}
    for at in range(1, len(slides) + 1):
        members[f"ppt/slides/_rels/slide{at}.xml.rels"] = relations({"p": ("image", f"../media/{at}.png")})
        members[f"ppt/media/{at}.png"] = encoded(written([], (200 + at, 150)))
    return archive(members)


async def test_without_words_of_their_own_between_paragraphs_and_last_in_a_text(seeing: PartReader) -> None:
    body = paragraph("one") + _drawn("a") + paragraph("two") + _drawn("b")
    assert await text_of(seeing, _document(body), "a.docx") == "one\n\nSEEN\n\ntwo\n\nSEEN\n\n"


async def test_without_words_of_their_own_on_the_pages_of_a_text(seeing: PartReader) -> None:
    begun = paragraph(inner="<w:r><w:lastRenderedPageBreak/><w:t>two</w:t></w:r>")
    pages = on_pages(await parts_of(seeing, _document(paragraph("one") + _drawn("a") + begun), "a.docx"))
    assert {page: text.strip() for page, text in pages.items()} == {1: "one\n\nSEEN", 2: "two"}


def _drawn(identity: str) -> str:
    return paragraph(inner=f'<w:r><w:drawing><a:blip r:embed="{identity}"/></w:drawing></w:r>')


def _document(body: str) -> bytes:
    """A text with two pictures."""
    targets = {name: ("image", f"media/{name}.png") for name in ("a", "b")}
    return docx(body, targets, **{"media__a.png": PICTURE, "media__b.png": encoded(written([], (201, 150)))})


async def test_on_a_pdf_page_with_text_but_not_its_background(seeing: PartReader) -> None:
    small, background = (100, 80), (595, 842)
    assert (await text_of(seeing, pdf_with_picture("A caption for it", small), "a.pdf")).split() == [
        *["A", "caption", "for", "it"],
        "SEEN",
    ]
    assert "SEEN" not in await text_of(seeing, pdf_with_picture("A caption for it", background), "a.pdf")


async def test_many_pictures_come_in_several_parts_since_each_takes_time(seeing: PartReader) -> None:
    pictures = [encoded(written([], (100 + at, 100))) for at in range(20)]
    page = "".join(
        f'<p>{at} <img src="data:image/png;base64,{b64encode(p).decode()}"></p>' for at, p in enumerate(pictures)
    )
    parts = await parts_of(seeing, page.encode(), "a.html")
    assert len(parts) == 3
    assert "".join(part.text for part in parts).count("SEEN") == 20


@pytest.mark.parametrize("text", ["![" * 500, "![](" * 500, "![](a " * 500, "![](data:" * 500])
async def test_what_only_looks_like_pictures_stays(text: str, tmp_path) -> None:
    task = Task(tmp_path / "a", "a.html", HTML, ocr=Ocr(enabled=False))
    out = Markdown(DocumentLimits())
    assert list(with_pictures(text, out, Pictures(task), lambda _: None)) == []
    assert out.take().part.text.strip() == text.strip()


async def test_all_moments_of_an_animation_are_looked_at_up_to_a_bound_which_is_said(seeing: PartReader) -> None:
    def animation(moments: int) -> bytes:
        frames = [written([f"step {at}"], (200, 150)) for at in range(moments)]
        return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert list(on_pages(await parts_of(seeing, animation(3), "a.gif"))) == [1, 2, 3]
    assert len(await parts_of(seeing, animation(60), "a.gif")) == 30
    assert await warnings_of(seeing, animation(60), "a.gif") == {"picture_unread": 1}
    assert await warnings_of(seeing, animation(3), "a.gif") == {}

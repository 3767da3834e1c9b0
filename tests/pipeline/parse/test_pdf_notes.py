"""Comments, form fields and attached files of PDFs."""

from __future__ import annotations

import pytest

from tests.pipeline.parse.pdfs import line, page_of
from tests.pipeline.parse.reading import PartReader, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
_TEXT = "Some text that is long enough to be a page of its own."


def _note(subtype: str, more: str) -> str:
    return f"<</Type/Annot/Subtype/{subtype}/Rect[72 715 200 735]/QuadPoints[72 735 200 735 72 715 200 715]{more}>>"


def _field(kind: str, name: str, more: str) -> str:
    return f"<</Type/Annot/Subtype/Widget/Rect[100 400 200 420]/P 3 0 R/FT/{kind}/T({name}){more}>>"


async def test_comments_are_read_with_their_authors(pool: PartReader) -> None:
    found = [
        _note("Highlight", "/T(Ann)/Contents(Is this so?)"),
        _note("Text", "/Contents(Ask Bob)"),
        _note("FreeText", "/DA(/F1 12 Tf)/Contents(Written on the page)"),
        _note("Popup", "/Contents(Is this so?)"),
        _note("Underline", "/Contents(text that is long)"),
    ]
    text = await text_of(pool, page_of(line(_TEXT), f"/Annots[{''.join(found)}]"), "a.pdf")
    assert text == f"{_TEXT}\n\nComment by Ann: Is this so?\n\nComment: Ask Bob\n\nWritten on the page\n\n"


async def test_what_is_filled_into_a_form_is_read_but_no_passwords(pool: PartReader) -> None:
    fields = [
        _field("Tx", "street", "/V(Main St 5)/TU(Street and number)"),
        _field("Tx", "empty", ""),
        _field("Tx", "secret", "/V(hunter2)/Ff 8192"),
        _field("Btn", "agree", "/V/Yes/AS/Yes/AP<</N<</Yes null/Off null>>>>"),
        _field("Btn", "refuse", "/V/Off/AS/Off/AP<</N<</Yes null/Off null>>>>"),
    ]
    numbers = " ".join(f"{6 + at} 0 R" for at in range(len(fields)))
    catalog = f"/AcroForm<</Fields[{numbers}]>>"
    more = [field.encode() for field in fields]
    text = await text_of(pool, page_of(line(_TEXT), f"/Annots[{numbers}]", catalog, more), "a.pdf")
    assert text == f"{_TEXT}\n\nStreet and number: Main St 5\n\nagree: Yes\n\n"


async def test_attached_files_are_said_to_be_unread(pool: PartReader) -> None:
    more = [
        b"<</Type/Filespec/F(data.csv)/UF(data.csv)/EF<</F 7 0 R>>>>",
        b"<</Type/EmbeddedFile/Length 3>>stream\na,b\nendstream",
    ]
    attached = _note("FileAttachment", "/FS 6 0 R")
    names = "/Names<</EmbeddedFiles<</Names[(data.csv) 6 0 R (again.csv) 6 0 R]>>>>"
    data = page_of(line(_TEXT), f"/Annots[{attached}]", names, more)
    assert await warnings_of(pool, data, "a.pdf") == {"attachment_unread": 3}
    assert await warnings_of(pool, page_of(line(_TEXT)), "b.pdf") == {}


async def test_endless_notes_are_read_within_limits(pool: PartReader) -> None:
    data = page_of(line(_TEXT), f"/Annots[{'6 0 R ' * 100_000}]", more=[_note("Text", "/Contents(Again)").encode()])
    text = await text_of(pool, data, "a.pdf")
    assert text.startswith(_TEXT)
    assert text.count("Again") <= 2_000

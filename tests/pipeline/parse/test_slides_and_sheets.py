"""Slides and spreadsheets as Markdown: a heading per slide, a table per area, notes where they belong."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from zipfile import ZipFile

import pytest

from syncd.errors import PermanentError
from tests.pipeline.parse.documents import archive, compound, odf, pptx, relations, shape, xlsx
from tests.pipeline.parse.reading import PartReader, labels, on_pages, parts_of, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_slide_has_title_bullets_and_notes_on_its_page(pool: PartReader) -> None:
    body = shape("plain") + shape("one\ntwo", bullet=True) + shape("The title", "title") + shape("7", "sldNum")
    data = pptx([shape("First", "title"), body], notes={2: "Say hello"})
    assert on_pages(await parts_of(pool, data, "a.pptx")) == {
        1: "# First\n\n",
        2: "# The title\n\nplain\n\n- one\n- two\n\nNotes: Say hello\n\n",
    }


async def test_lines_in_typewriter_letters_are_code(pool: PartReader) -> None:
    face = '<a:rPr><a:latin typeface="Courier New"/></a:rPr>'
    runs = "".join(f"<a:p><a:r>{face}<a:t>{line}</a:t></a:r></a:p>" for line in ("if x:", "    # why"))
    body = shape("before").replace("</p:txBody>", runs + "</p:txBody>")
    assert await text_of(pool, pptx([body]), "a.pptx") == "before\n\n```\nif x:\n    # why\n```\n\n"


async def test_tables_on_slides_repeat_merged_cells(pool: PartReader) -> None:
    def cell(text: str, extra: str = "") -> str:
        return f"<a:tc {extra}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"

    wide = cell("wide", 'gridSpan="2"') + cell("", 'hMerge="1"')
    rows = f"<a:tr>{wide}</a:tr><a:tr>{cell('a')}{cell('b')}</a:tr>"
    frame = (
        f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )
    assert await text_of(pool, pptx([frame]), "a.pptx") == "| wide | wide |\n| --- | --- |\n| a | b |\n\n"


async def test_each_sheet_has_its_name_as_heading_and_page_label(pool: PartReader) -> None:
    data = xlsx({"Ducks": {"A1": "Year", "B1": "Count", "A2": 2019.0, "B2": 1.5}, "Geese": {"A1": "none"}})
    parts = await parts_of(pool, data, "a.xlsx")
    assert parts[0].text == "## Ducks\n\n| Year | Count |\n| --- | --- |\n| 2019 | 1.5 |\n\n"
    assert labels(parts) == ["Ducks", "Geese"]
    assert [part.title for part in parts] == ["Ducks", "Geese"]


async def test_merged_cells_repeat_their_text(pool: PartReader) -> None:
    data = xlsx({"S": {"A1": "wide", "B1": "", "A2": "a", "B2": "b"}}, merged=["A1:B1"])
    assert "| wide | wide |\n" in await text_of(pool, data, "a.xlsx")


async def test_an_encrypted_workbook_says_so(pool: PartReader) -> None:
    with pytest.raises(PermanentError, match=r"a\.xlsx is encrypted: save it without a password"):
        await text_of(pool, compound("EncryptedPackage", "EncryptionInfo"), "a.xlsx")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_the_delimiter_of_a_csv_file_is_found_out(pool: PartReader, delimiter: str) -> None:
    rows = [["name", "note"], ["Ann", f'"one{delimiter} two"'], ["Bob", "x"]]
    data = "\n".join(delimiter.join(row) for row in rows).encode()
    note = f"one{delimiter} two".replace("|", "\\|")
    assert await text_of(pool, data, "a.csv") == f"| name | note |\n| --- | --- |\n| Ann | {note} |\n| Bob | x |\n\n"


async def test_a_csv_file_in_windows_encoding_is_read(pool: PartReader) -> None:
    assert "Müller" in await text_of(pool, "name;town\nMüller;Köln\n".encode("cp1252"), "a.csv")


async def test_a_long_csv_file_repeats_its_header_in_every_part(pool: PartReader) -> None:
    data = "number,word\n" + "".join(f"{at},w{at}\n" for at in range(12_000))
    parts = await parts_of(pool, data.encode(), "a.csv")
    assert len(parts) == 3
    assert all(part.text.startswith("| number | word |\n") for part in parts)
    assert "| 11999 | w11999 |" in parts[-1].text


async def test_charts_and_comments_follow_their_sheet(pool: PartReader) -> None:
    chart = "http://schemas.openxmlformats.org/drawingml/2006/chart"
    points = '<c:pt idx="0"><c:v>{}</c:v></c:pt><c:pt idx="1"><c:v>{}</c:v></c:pt>'
    series = (
        f"<c:ser><c:tx><c:v>Ducks</c:v></c:tx><c:cat>{points.format(2019, 2020)}</c:cat>"
        f"<c:val>{points.format(5, 7)}</c:val></c:ser>"
    )
    extra = {
        "xl/worksheets/_rels/sheet1.xml.rels": relations(
            {"d": ("drawing", "../drawings/d.xml"), "c": ("comments", "../comments1.xml")}
        ),
        "xl/drawings/_rels/d.xml.rels": relations({"x": ("chart", "../charts/c.xml")}),
        "xl/charts/c.xml": f'<c:chartSpace xmlns:c="{chart}"><c:chart>{series}</c:chart></c:chartSpace>',
        "xl/comments1.xml": (
            '<comments xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><authors><author>Ann</author>'
            '</authors><commentList><comment ref="A1" authorId="0"><text><t>Ann:</t><t>why?</t></text></comment>'
            "</commentList></comments>"
        ),
    }
    with ZipFile(io.BytesIO(xlsx({"S": {"A1": "x"}}))) as package:
        members = {name: package.read(name) for name in package.namelist()}
    assert await text_of(pool, archive({**members, **extra}), "a.xlsx") == (
        "## S\n\n| x |\n| --- |\n\n|  | Ducks |\n| --- | --- |\n| 2019 | 5 |\n| 2020 | 7 |\n\n"
        "Comment on A1 by Ann: why?\n\n"
    )


async def test_the_words_of_a_diagram_are_read_and_a_hidden_slide_is_left_out_and_said(pool: PartReader) -> None:
    names = 'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"'
    frame = f'<p:graphicFrame><a:graphic><a:graphicData><dgm:relIds {names} r:dm="d"/></a:graphicData></a:graphic></p:graphicFrame>'
    points = "".join(
        f"<dgm:pt><dgm:t><a:p><a:r><a:t>{word}</a:t></a:r></a:p></dgm:t></dgm:pt>" for word in ("Load", "Sail")
    )
    drawing = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    with ZipFile(io.BytesIO(pptx([shape("Plan", "title") + frame, shape("Old", "title")]))) as package:
        members: dict[str, bytes | str] = {name: package.read(name) for name in package.namelist()}
    hidden = members["ppt/slides/slide2.xml"]
    assert isinstance(hidden, bytes)
    members["ppt/slides/slide2.xml"] = hidden.replace(b"<p:sld ", b'<p:sld show="0" ', 1)
    members["ppt/slides/_rels/slide1.xml.rels"] = relations({"d": ("diagramData", "../diagrams/data1.xml")})
    members["ppt/diagrams/data1.xml"] = (
        f"<dgm:dataModel {names} {drawing}><dgm:ptLst>{points}</dgm:ptLst></dgm:dataModel>"
    )
    data = archive(members)
    assert await text_of(pool, data, "a.pptx") == "# Plan\n\n- Load\n- Sail\n\n"
    assert await warnings_of(pool, data, "a.pptx") == {"hidden_content": 1}


def _with_links(slides: Sequence[str], links: Mapping[str, str], notes: Mapping[int, str] | None = None) -> bytes:
    """Slides whose first has links by id; its notes have another one under the same id."""
    with ZipFile(io.BytesIO(pptx(slides, notes))) as package:
        members: dict[str, bytes | str] = {name: package.read(name) for name in package.namelist()}
    targets = {identity: ("hyperlink", address) for identity, address in links.items()}
    members["ppt/slides/_rels/slide1.xml.rels"] = relations(
        {**targets, **({"n": ("notesSlide", "../notesSlides/notesSlide1.xml")} if notes else {})}
    )
    members["ppt/notesSlides/_rels/notesSlide1.xml.rels"] = relations({"h": ("hyperlink", "https://example.org/notes")})
    return archive(members)


def _run(text: str, link: str) -> str:
    return f'<a:r><a:rPr><a:hlinkClick r:id="{link}"/></a:rPr><a:t>{text}</a:t></a:r>'


async def test_links_on_slides_are_kept(pool: PartReader) -> None:
    inner = f"<a:r><a:t>See the </a:t></a:r>{_run('full ', 'h')}{_run('policy', 'h')}{_run(' here', 'jump')}"
    text = shape("").replace("<a:p><a:r><a:t></a:t></a:r></a:p>", f"<a:p>{inner}</a:p>")
    click = '<a:hlinkClick r:id="g"/></p:cNvPr>'
    button = shape("Order", name="b").replace('name="b"/>', f'name="b">{click}')
    several = shape("one\ntwo", bullet=True, name="b").replace('name="b"/>', f'name="b">{click}')
    title = shape("Plan", "title", name="b").replace('name="b"/>', f'name="b">{click}')
    links = {"h": "https://intra.example.org/policy-77", "g": "https://example.org/a (1)"}
    assert await text_of(pool, _with_links([title + text + button + several], links), "a.pptx") == (
        "# [Plan](https://example.org/a%281%29)\n\nSee the [full policy](https://intra.example.org/policy-77) here\n\n"
        "[Order](https://example.org/a%281%29)\n\n- one\n- two\n\n<https://example.org/a(1)>\n\n"
    )


async def test_links_in_notes_and_tables_of_slides_are_kept(pool: PartReader) -> None:
    cell = f"<a:tc><a:txBody><a:p>{_run('deed', 'h')}</a:p></a:txBody></a:tc>"
    frame = f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr>{cell}</a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    data = _with_links([frame], {"h": "https://example.org/deed"}, {1: "NOTE"})
    with ZipFile(io.BytesIO(data)) as package:
        members: dict[str, bytes | str] = {name: package.read(name) for name in package.namelist()}
    notes = members["ppt/notesSlides/notesSlide1.xml"]
    assert isinstance(notes, bytes)
    members["ppt/notesSlides/notesSlide1.xml"] = notes.replace(
        b"<a:r><a:t>NOTE</a:t></a:r>", _run("more", "h").encode()
    )
    assert await text_of(pool, archive(members), "a.pptx") == (
        "| [deed](https://example.org/deed) |\n| --- |\n\nNotes: [more](https://example.org/notes)\n\n"
    )


async def test_a_linked_shape_of_an_opendocument_slide_keeps_words_and_address(pool: PartReader) -> None:
    frame = "<draw:frame><draw:text-box><text:p>Order</text:p></draw:text-box></draw:frame>"
    page = f'<draw:page><draw:a xlink:href="https://example.org/order">{frame}</draw:a></draw:page>'
    assert await text_of(pool, odf("presentation", page), "a.odp") == "[Order](https://example.org/order)\n\n"

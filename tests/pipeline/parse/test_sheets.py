"""Spreadsheets as they are shown: formats, formulas, links, and what is hidden."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from tests.pipeline.parse.compound import compound_file
from tests.pipeline.parse.documents import archive, relations, xlsx_members
from tests.pipeline.parse.reading import PartReader, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def book(cells: str, styles: str = "", behind: str = "", before: str = "", **members: str) -> bytes:
    """A workbook of one sheet, of the XML of its rows."""
    made = xlsx_members({"S": {}})
    made["xl/worksheets/sheet1.xml"] = (
        f'<worksheet {_S} xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">{before}'
        f"<sheetData>{cells}</sheetData>{behind}</worksheet>"
    )
    made["xl/_rels/workbook.xml.rels"] = relations(
        {"r1": ("worksheet", "worksheets/sheet1.xml"), "s": ("styles", "styles.xml")}
    )
    made["xl/styles.xml"] = f"<styleSheet {_S}>{styles}</styleSheet>"
    return archive({**made, **members})


def row(number: int, *cells: str, more: str = "") -> str:
    return f'<row r="{number}" {more}>{"".join(cells)}</row>'


def word(text: str) -> str:
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


_CODES = "<numFmts><numFmt numFmtId='164' formatCode='0.0%'/><numFmt numFmtId='165' formatCode='00000'/></numFmts>"
_STYLES = f"{_CODES}<cellXfs><xf numFmtId='0'/><xf numFmtId='164'/><xf numFmtId='165'/><xf numFmtId='14'/></cellXfs>"


async def test_values_look_as_on_the_sheet(pool: PartReader) -> None:
    cells = row(1, word("share"), word("code"), word("day")) + row(
        2, '<c s="1"><v>0.847</v></c>', '<c s="2"><v>1067</v></c>', '<c s="3"><v>46455</v></c>'
    )
    text = await text_of(pool, book(cells, _STYLES), "a.xlsx")
    assert text == "## S\n\n| share | code | day |\n| --- | --- | --- |\n| 84.7% | 01067 | 2027-03-09 |\n\n"


async def test_a_formula_that_was_never_computed_stands_for_its_value(pool: PartReader) -> None:
    cells = row(1, word("sum"), "<c><f>SUM(B2:B3)</f></c>") + row(2, word("done"), "<c><f>1+1</f><v>2</v></c>")
    data = book(cells)
    assert "| sum | =SUM(B2:B3) |" in await text_of(pool, data, "a.xlsx")
    assert "| done | 2 |" in await text_of(pool, data, "a.xlsx")
    assert await warnings_of(pool, data, "a.xlsx") == {"formula_without_value": 1}


async def test_links_are_kept(pool: PartReader) -> None:
    cells = row(1, word("who"), word("what")) + row(
        2, word("Kite"), word("the deed"), '<c t="str"><f>HYPERLINK("https://example.org/map","map")</f><v>map</v></c>'
    )
    cells += row(3, '<c t="str"><f>HYPERLINK("mailto:kite@example.org","write")</f><v>write</v></c>')
    behind = '<hyperlinks><hyperlink ref="B2" r:id="h"/><hyperlink ref="A2" location="S!A1"/></hyperlinks>'
    sheet_relations = relations({"h": ("hyperlink", "https://example.org/deed (2).pdf")})
    data = book(cells, behind=behind, **{"xl/worksheets/_rels/sheet1.xml.rels": sheet_relations})
    text = await text_of(pool, data, "a.xlsx")
    assert "| Kite | [the deed](https://example.org/deed%282%29.pdf) | [map](https://example.org/map) |" in text
    assert "[write](mailto:kite@example.org)" in text


async def test_what_is_hidden_is_left_out_and_said(pool: PartReader) -> None:
    columns = '<cols><col min="3" max="3" hidden="1"/></cols>'
    cells = row(1, word("a"), word("b"), word("secret")) + row(2, word("hidden"), word("row"), more='hidden="1"')
    made = book(cells + row(3, word("1"), word("2")), before=columns)
    assert await text_of(pool, made, "a.xlsx") == "## S\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n"
    assert await warnings_of(pool, made, "a.xlsx") == {"hidden_content": 2}
    filtered = book(cells, behind='<autoFilter ref="A1:B3"><filterColumn colId="0"/></autoFilter>')
    assert "| hidden | row |" in await text_of(pool, filtered, "a.xlsx")


async def test_escaped_characters_are_what_they_stand_for(pool: PartReader) -> None:
    strings = "<si><t>first_x000D_\nsecond</t></si><si><r><t>Caf_x00E9_ </t></r><r><t>_xD83D__xDE00_</t></r></si>"
    parts = {"s": ("sharedStrings", "strings.xml"), "r1": ("worksheet", "worksheets/sheet1.xml")}
    cells = row(1, '<c t="s"><v>0</v></c>', word("in_x0007_line_x000D_")) + row(
        2, '<c t="s"><v>1</v></c>', '<c t="str"><v>_x005F_x0041_ is not _x0041_</v></c>'
    )
    members = {"xl/_rels/workbook.xml.rels": relations(parts), "xl/strings.xml": f"<sst {_S}>{strings}</sst>"}
    data = book(cells, **members)
    assert await text_of(pool, data, "a.xlsx") == (
        "## S\n\n| first<br>second | in line |\n| --- | --- |\n| Café 😀 | _x0041_ is not A |\n\n"
    )


def xls(cells: Sequence[tuple[int, int, str]], merged: tuple[int, int, int, int]) -> bytes:
    """A workbook of Excel 97-2003 (MS-XLS): a sheet with cells by row and column, and one merged cell."""

    def record(kind: int, data: bytes = b"") -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    def begin(kind: int) -> bytes:
        return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))

    def globals_(sheet_at: int) -> bytes:
        return begin(5) + record(0x85, struct.pack("<IBBBB", sheet_at, 0, 0, 1, 0) + b"S") + record(0x0A)

    labels = [record(0x0204, struct.pack("<HHHHB", *at, 0, len(text), 0) + text.encode()) for *at, text in cells]
    sheet = begin(0x10) + b"".join(labels) + record(0xE5, struct.pack("<5H", 1, *merged)) + record(0x0A)
    return compound_file({"Workbook": globals_(len(globals_(0))) + sheet})


async def test_merged_cells_of_an_old_workbook_repeat_their_own_text_where_column_a_is_empty(pool: PartReader) -> None:
    header = [(2, 1, "Item"), (2, 2, "Note"), (2, 3, "Price")]
    bolts = [(3, 1, "Bolt"), (3, 2, "steel"), (3, 3, "5"), (4, 1, "Nut")]
    data = xls([*header, *bolts], merged=(3, 4, 2, 2))
    assert await text_of(pool, data, "a.xls") == (
        "## S\n\n| Item | Note | Price |\n| --- | --- | --- |\n| Bolt | steel | 5 |\n| Nut | steel |  |\n\n"
    )


_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def ods(body: str) -> bytes:
    styles = '<style:style style:name="gone"><style:table-properties table:display="false"/></style:style>'
    content = (
        f"<office:document-content {_ODF}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:spreadsheet>{body}</office:spreadsheet></office:body></office:document-content>"
    )
    return archive({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": content})


def cell(text: str, more: str = "") -> str:
    return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"


async def test_an_opendocument_sheet_holds_its_texts_itself(pool: PartReader) -> None:
    hours = cell("40:30", "office:value-type='time'")
    linked = cell("<text:a xlink:href='https://example.org/x'>1.234,50 €</text:a>")
    rows = (
        f"<table:table-row>{cell('hours')}{cell('fee')}</table:table-row>"
        "<table:table-row table:number-rows-repeated='1048000'><table:table-cell table:number-columns-repeated='16384'/>"
        "</table:table-row>"
        f"<table:table-row>{hours}{linked}</table:table-row>"
        "<table:table-row><table:table-cell table:formula='of:=SUM([.A1])'/></table:table-row>"
    )
    data = ods(f"<table:table table:name='T'>{rows}</table:table><table:table table:name='U' table:style-name='gone'/>")
    assert await text_of(pool, data, "a.ods") == (
        "## T\n\n| hours | fee |\n| --- | --- |\n\n| 40:30 | [1.234,50 €](https://example.org/x) |\n| --- | --- |\n| =SUM([.A1]) |  |\n\n"
    )
    assert await warnings_of(pool, data, "a.ods") == {"formula_without_value": 1, "hidden_content": 1}

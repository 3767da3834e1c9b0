"""Tables that go on over several pages of a PDF are one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from syncd.pipeline.parse.pdf_page_tables import PageTables
from syncd.pipeline.parse.task import DocumentLimits, Markdown
from tests.pipeline.parse.documents import pdf
from tests.pipeline.parse.pdfs import line
from tests.pipeline.parse.reading import PartReader, on_pages, parts_of

HEAD = "| Ferry | Berth |\n| --- | --- |"
FIRST = f"# Arrivals\n\n{HEAD}\n| Tor | B1 |"


def joined(*pages: str) -> str:
    """What becomes of pages."""
    tables, out = PageTables(), Markdown(DocumentLimits())
    for page in pages:
        found = tables.page(page)
        if found.rows:
            out.rows(found.rows, found.header)
        out.block(found.text)
    return out.take().part.text


@pytest.mark.parametrize(
    "second",
    [
        f"{HEAD}\n| Odd | B2 |",
        "| FERRY | Berth |\n|---|---|\n| Odd | B2 |",
        "|  |  |\n|---|---|\n| Odd | B2 |",
        "| Odd | B2 |\n|---|---|",
        "Ferry Berth\n\n| Odd | B2 |\n| --- | --- |",
    ],
    ids=["header repeated", "in capitals", "left out", "taken for a row", "as a line of text"],
)
def test_a_table_that_goes_on_is_one_with_its_header(second: str):
    assert joined(FIRST, f"{second}\n\nEnd.") == f"{FIRST}\n| Odd | B2 |\n\nEnd.\n\n"


def test_running_heads_and_page_numbers_part_no_table():
    pages = (
        f"Harbour 2027\n\n{FIRST}\n\nPage 1 of 2",
        "Harbour 2027\nFerry Berth\n\n| Odd | B2 |\n| --- | --- |\n\nPage 2 of 2",
        f"{HEAD}\n| Eva | B3 |\n\nEnd.",
    )
    assert (
        joined(*pages)
        == f"Harbour 2027\n\n# Arrivals\n\nPage 1 of 2\n\n{HEAD}\n| Tor | B1 |\n| Odd | B2 |\n| Eva | B3 |\n\nEnd.\n\n"
    )


@pytest.mark.parametrize(
    "second",
    [
        "| Name | Role |\n| --- | --- |\n| Odd | cook |",
        "| Ferry | Berth | Day |\n| --- | --- | --- |\n| Odd | B2 | 3 |",
        f"Table 2: departures\n\n{HEAD}\n| Odd | B2 |",
        f"# Departures\n\n{HEAD}\n| Odd | B2 |",
    ],
    ids=["another header", "more columns", "a caption", "a heading"],
)
def test_another_table_stays_another_one(second: str):
    assert joined(FIRST, second) == f"{FIRST}\n\n{second}\n\n"


def test_where_a_part_of_the_document_ends_the_rows_have_their_header_again():
    tables, out = PageTables(), Markdown(DocumentLimits())
    out.block(tables.page(FIRST).text)
    out.take()
    found = tables.page(f"{HEAD}\n| Odd | B2 |")
    out.rows(found.rows, found.header)
    assert out.take().part.text == "| Ferry | Berth |\n| --- | --- |\n| Odd | B2 |\n\n"


def _drawn(rows: Sequence[tuple[float, str, str]], *words: str) -> str:
    rules = " ".join(f"0.5 w 70 {y - 8} m 400 {y - 8} l S" for y, _, _ in rows)
    cells = "\n".join(line(text, x, y) for y, *row in rows for x, text in zip((72, 250), row, strict=True))
    return f") Tj ET {rules}\n{cells}\n" + "\n".join(words) + "\nBT ("


@pytest.mark.asyncio(loop_scope="module")
async def test_each_page_has_its_rows(pool: PartReader):
    above = line("Some words stand above the table, over the width of the page, and end here.", 72, 720)
    below = line("More words stand below the table, over the width of the page, and end here.", 72, 600)
    first = [
        (680 - 20 * at, *row) for at, row in enumerate([("Ferry", "Berth"), ("Tor", "north 1"), ("Odd", "south 2")])
    ]
    second = [
        (720 - 20 * at, *row) for at, row in enumerate([("Ferry", "Berth"), ("Eva", "north 3"), ("Ivo", "south 4")])
    ]
    parts = await parts_of(pool, pdf([_drawn(first, above), _drawn(second, below)]), "a.pdf")
    pages = on_pages(parts)
    assert pages[2].startswith("| Eva | north 3 |\n| Ivo | south 4 |\n\nMore words")
    assert "".join(pages.values()).count("Berth") == 1

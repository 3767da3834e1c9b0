"""Tables in PDFs that have horizontal rules only, or a rule below their header alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.pipeline.parse.pdfs import line, page_of
from tests.pipeline.parse.reading import PartReader, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
_X = (72, 180, 400)
_ABOVE = line("Some words stand above the table, over the whole width of the page, and end here.", 72, 720)
_BELOW = line("More words stand below the table, over the whole width of the page, and end here.", 72, 440)


def _rule(y: float, left: float = 70, right: float = 550, width: float = 0.5) -> str:
    return f"{width} w {left} {y} m {right} {y} l S"


def _texts(rows: Sequence[tuple[float, Sequence[str]]]) -> str:
    return "\n".join(line(text, x, y) for y, cells in rows for x, text in zip(_X, cells, strict=False) if text)


async def _read(pool: PartReader, *drawn: str) -> str:
    return await text_of(pool, page_of("\n".join((_ABOVE, *drawn, _BELOW))), "a.pdf")


def _around(table: str) -> str:
    return (
        "Some words stand above the table, over the whole width of the page, and end here.\n\n"
        f"{table}\n\nMore words stand below the table, over the whole width of the page, and end here.\n\n"
    )


async def test_a_table_with_rules_at_its_header_and_end_is_one_and_its_wrapped_rows_too(pool: PartReader) -> None:
    rows = [
        (680, ("Name", "What it is for", "Default")),
        (650, ("endpoint", "the address of a server that", "none")),
        (636, ("", "speaks the protocol", "")),
        (622, ("region", "where it is", "eu-north-1")),
        (608, ("timeout", "seconds that are waited for an", "30")),
        (594, ("", "answer", "")),
    ]
    drawn = [_rule(700, width=1), _rule(670), _rule(584, width=1), _texts(rows)]
    assert await _read(pool, *drawn) == _around(
        "| Name | What it is for | Default |\n| --- | --- | --- |\n"
        "| endpoint | the address of a server that speaks the protocol | none |\n"
        "| region | where it is | eu-north-1 |\n| timeout | seconds that are waited for an answer | 30 |"
    )


async def test_a_rule_below_each_row_parts_the_rows_whatever_wraps(pool: PartReader) -> None:
    rows = [
        (680, ("Source of", "Year", "What was done")),
        (666, ("the idea", "", "")),
        (640, ("A school in", "", "It taught how things are")),
        (626, ("the north", "2005", "made, and how they are")),
        (612, ("", "", "used again.")),
        (586, ("A shop", "2020", "It sold what was left.")),
    ]
    heights = (700, 656, 602, 576)
    cells = [(70, 170), (170, 390), (390, 550)]
    drawn = [_rule(y, left, right) for y in heights for left, right in cells]
    assert await _read(pool, *drawn, _texts(rows)) == _around(
        "| Source of the idea | Year | What was done |\n| --- | --- | --- |\n"
        "| A school in the north | 2005 | It taught how things are made, and how they are used again. |\n"
        "| A shop | 2020 | It sold what was left. |"
    )


async def test_one_rule_below_a_header_is_enough_and_is_no_underline(pool: PartReader) -> None:
    rows = [
        (670, ("Library", "Time", "Speed")),
        (650, ("Chonkie", "58 s", "1x")),
        (636, ("LangChain", "70 s", "1.2x")),
        (622, ("LlamaIndex", "50 min", "51.7x")),
    ]
    assert await _read(pool, _rule(662), _texts(rows)) == _around(
        "| Library | Time | Speed |\n| --- | --- | --- |\n| Chonkie | 58 s | 1x |\n| LangChain | 70 s | 1.2x |\n"
        "| LlamaIndex | 50 min | 51.7x |"
    )


async def test_links_in_cells_are_kept(pool: PartReader) -> None:
    rows = [(680, ("Name", "Where", "Size")), (650, ("one", "the page", "1")), (636, ("two", "the other", "2"))]
    drawn = [_ABOVE, _rule(700, width=1), _rule(670), _rule(626, width=1), _texts(rows), _BELOW]
    link = "/Annots[<</Type/Annot/Subtype/Link/Rect[178 648 260 662]/A<</S/URI/URI(https://example.org/x)>>>>]"
    text = await text_of(pool, page_of("\n".join(drawn), link), "a.pdf")
    assert "| one | [the page](https://example.org/x) | 1 |\n| two | the other | 2 |" in text


async def test_a_rule_under_words_and_lines_around_text_make_no_table(pool: PartReader) -> None:
    drawn = [
        _rule(690),
        line("Notice to all readers of this page, in a frame of two lines", 72, 676),
        _rule(668),
        line("An underlined title", 72, 640),
        _rule(636, 72, 180),
        line("followed by text that goes on over the width of the page as text does.", 72, 618),
    ]
    text = await _read(pool, *drawn)
    assert "|" not in text
    assert "<u>" not in text


async def test_a_page_of_rules_is_read_within_the_limits(pool: PartReader) -> None:
    drawn = [_rule(60 + at * 0.05, 70 + at % 7, 520) for at in range(12_000)]
    text = await _read(pool, *drawn, _texts([(600, ("a", "b", "c"))]))
    assert "Some words stand above" in text

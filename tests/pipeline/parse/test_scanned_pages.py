"""Pages that are pictures, read by Tesseract: their order, headings, lists and ruled tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageFont

from syncd.pipeline.parse.ocr_engine import tessdata
from syncd.pipeline.parse.ocr_grid import grids
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import encoded
from tests.pipeline.parse.reading import PartReader, text_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(tessdata(["eng"]) is None, reason="tesseract-ocr is not installed"),
]
_PAGE = (1655, 2340)
_LEFT = [
    "The cooperative was founded by nine",
    "families who fished herring in winter",
    "and built boats in summer on the beach",
    "north of the old customs house. In the",
    "year of the great storm it had a roof",
    "of slate and a stove for every room,",
    "and nobody went home before midnight.",
    "The boats were painted in two colours",
    "so that they could be told apart, and",
    "a bell was rung when one of them came.",
]
_RIGHT = [
    "Its archive holds letters about the",
    "storm that sank the schooner Amity,",
    "and a ledger that lists wages of every",
    "deckhand between the two great fires.",
    "Some pages are missing, and others can",
    "hardly be read, since water came in by",
    "the window. A copy was made by hand in",
    "the spring, and it is kept in a box of",
    "iron with two locks. Whoever wants to",
    "see it has to write a letter first.",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeing() -> AsyncIterator[PartReader]:
    async with PartReader(PreparerSettings(workers=1)) as pool:
        yield pool


def _page(texts: Sequence[tuple[int, int, str]], size: int = 30) -> Image.Image:
    picture = Image.new("RGB", _PAGE, "white")
    _write(picture, texts, size)
    return picture


def _write(picture: Image.Image, texts: Sequence[tuple[int, int, str]], size: int) -> None:
    draw = ImageDraw.Draw(picture)
    for x, y, text in texts:
        draw.text((x, y), text, fill="black", font=ImageFont.load_default(size))


def _ruled(picture: Image.Image, xs: Sequence[int], ys: Sequence[int]) -> None:
    draw = ImageDraw.Draw(picture)
    for y in ys:
        draw.line((xs[0], y, xs[-1], y), fill="black", width=3)
    for x in xs:
        draw.line((x, ys[0], x, ys[-1]), fill="black", width=3)


async def test_columns_of_a_scan_are_read_one_after_the_other(seeing: PartReader) -> None:
    sides = ((_LEFT, 150, 300), (_RIGHT, 800, 311))
    page = _page([(x, y + 40 * at, text) for side, x, y in sides for at, text in enumerate(side)])
    text = " ".join((await text_of(seeing, encoded(page, "PDF", resolution=200), "scan.pdf")).split())
    assert text == " ".join(_LEFT + _RIGHT)


async def test_headings_lists_and_paragraphs_of_a_scan(seeing: PartReader) -> None:
    page = _page([(150, 200, "Waste Management")], 64)
    lines = ["Almost all of them are interested in", "approaches to recycle plas-", "tics, and plastics are many."]
    items = ["choosing common types of plastic", "avoiding combinations of materials"]
    _write(page, [(150, 340 + 45 * at, text) for at, text in enumerate(lines)], 30)
    _write(page, [(230, 560 + 90 * at, text) for at, text in enumerate(items)], 30)
    for y in (574, 664):
        ImageDraw.Draw(page).ellipse((200, y, 212, y + 12), fill="black")
    assert await text_of(seeing, encoded(page), "a.png") == (
        "# Waste Management\n\nAlmost all of them are interested in approaches to recycle plastics, and plastics are many.\n\n"
        "- choosing common types of plastic\n\n- avoiding combinations of materials\n\n"
    )


async def test_a_ruled_table_in_a_scan_is_one_with_the_letters_that_stand_alone(seeing: PartReader) -> None:
    cells = [["Country", "Allowed", "Restrictions on owners"], ["Argentina", "Y", "None at all, as it seems"]]
    cells.append(["Belgium", "N", "Approval is needed"])
    xs, ys = (150, 450, 750, 1450), (300, 380, 460, 540)
    page = _page([(xs[at] + 30, ys[row] + 22, text) for row, line in enumerate(cells) for at, text in enumerate(line)])
    _write(page, [(150, 200, "Comparative summary table")], 30)
    _ruled(page, xs, ys)
    assert await text_of(seeing, encoded(page), "a.png") == (
        "Comparative summary table\n\n| Country | Allowed | Restrictions on owners |\n| --- | --- | --- |\n"
        "| Argentina | Y | None at all, as it seems |\n| Belgium | N | Approval is needed |\n\n"
    )


async def test_lines_of_a_table_that_is_not_quite_straight_are_found() -> None:
    page = _page([])
    _ruled(page, (150, 450, 750, 1450), (300, 380, 460, 540))
    (grid,) = grids(page.rotate(0.5, fillcolor="white"))
    assert (len(grid.xs), len(grid.ys)) == (4, 4)


async def test_cells_that_no_line_parts_are_one() -> None:
    page = _page([])
    draw = ImageDraw.Draw(page)
    _ruled(page, (150, 450, 750), (300, 380, 460))
    draw.rectangle((440, 310, 460, 370), fill="white")
    (grid,) = grids(page)
    assert [grid.owner(0, 1), grid.owner(1, 1)] == [(0, 0), (1, 1)]
    assert [grid.cell_at(600, 340), grid.cell_at(600, 420), grid.cell_at(100, 340)] == [(0, 0), (1, 1), None]


async def test_frames_noise_and_hatching_are_no_tables() -> None:
    page = _page([])
    ImageDraw.Draw(page).rectangle((100, 100, 1500, 2200), outline="black", width=3)
    assert list(grids(page)) == []
    assert list(grids(Image.effect_noise(_PAGE, 200).convert("RGB"))) == []
    hatched = _page([])
    _ruled(hatched, range(20, 1640, 8), range(20, 2320, 8))
    assert list(grids(hatched)) == []

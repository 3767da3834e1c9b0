"""Lines of a PDF page: columns that are drawn across, and hyphens at line ends."""

from __future__ import annotations

import pytest

from syncd.pipeline.parse.pdf_columns import PdfLine, in_columns
from syncd.pipeline.parse.pdf_hyphens import BROKEN, Hyphens
from tests.pipeline.parse.pdfs import line, lines, page_of
from tests.pipeline.parse.reading import PartReader, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
_LEFT = [
    "The cooperative was foun-",
    "ded by nine families who",
    "fished herring in winter",
    "and built boats in summer",
    "on the gravel beach north",
    "of the old customs house.",
]
_RIGHT = [
    "Its archive holds letters",
    "about the storm that sank",
    "the schooner Amity, and a",
    "ledger that lists wages of",
    "every deckhand between the",
    "two great harbour fires.",
]


def _across(left: list[str], right: list[str], leading: float = 14) -> str:
    rows = zip(left, right, strict=True)
    return "\n".join(
        line(one, 72, 700 - leading * at) + "\n" + line(other, 330, 700 - leading * at)
        for at, (one, other) in enumerate(rows)
    )


async def test_columns_drawn_line_by_line_across_are_read_one_after_the_other(pool: PartReader) -> None:
    text = " ".join((await text_of(pool, page_of(_across(_LEFT, _RIGHT)), "a.pdf")).split())
    assert text == (
        "The cooperative was founded by nine families who fished herring in winter and built boats in summer on the gravel "
        "beach north of the old customs house. Its archive holds letters about the storm that sank the schooner Amity, and a "
        "ledger that lists wages of every deckhand between the two great harbour fires."
    )


def _placed(left: list[str], right: list[str], steps: list[float]) -> tuple[list[PdfLine], str]:
    heights = [sum(steps[:at]) for at in range(len(left))]
    sides = [(left, 72.0), (right, 330.0)]
    placed = [
        PdfLine(text, x, y, 5.0 * len(text), 12) for side, x in sides for text, y in zip(side, heights, strict=True)
    ]
    return placed, "\n".join(f"{one} {other}" for one, other in zip(left, right, strict=True))


async def test_what_stands_above_and_below_columns_stays_there() -> None:
    placed, plain = _placed(_LEFT, _RIGHT, [14] * 6)
    placed = [
        PdfLine("A title as wide as the page", 72, -30, 420, 12),
        *placed,
        PdfLine("A note below it all", 72, 100, 420, 12),
    ]
    found = in_columns(placed, plain)
    assert found is not None
    assert found.split("\n") == ["A title as wide as the page", *_LEFT, *_RIGHT, "A note below it all"]


async def test_rows_of_a_table_are_no_columns() -> None:
    placed, plain = _placed(_LEFT, _RIGHT, [14, 30, 14, 30, 14, 30])
    assert in_columns(placed, plain) is None
    short = [str(at) for at in range(6)]
    assert in_columns(*_placed(_LEFT, short, [14] * 6)) is None


async def test_columns_that_are_drawn_one_after_the_other_need_no_help() -> None:
    placed, _ = _placed(_LEFT, _RIGHT, [14] * 6)
    assert in_columns(placed, "\n".join(_LEFT + _RIGHT)) is None


async def test_a_hyphen_at_a_line_end_stays_where_the_word_has_one(pool: PartReader) -> None:
    texts = ["It is well-known in real-time systems. A well-", "known rule of the UTF-", "8 text format; informa-"]
    texts += ["tion is shared here. More information is in the opt-", "in form, and an e-", "mail tells it."]
    text = await text_of(pool, page_of(lines([(None, each) for each in texts], leading=14)), "a.pdf")
    assert " ".join(text.split()) == (
        "It is well-known in real-time systems. A well-known rule of the UTF-8 text format; information is shared here. "
        "More information is in the opt-in form, and an e-mail tells it."
    )


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (f"a state{BROKEN}of-the{BROKEN}art tool, state-of-the-art", "a state-of-the-art tool, state-of-the-art"),
        (f"repro{BROKEN}cessed", "reprocessed"),
        (f"GPT{BROKEN}4 and COVID{BROKEN}19", "GPT-4 and COVID-19"),
        (f"quali{BROKEN}ties, quanti{BROKEN}ties, enti{BROKEN}ties of the long{BROKEN}term term", "qualities, quantities, entities of the longterm term"),
        (f"the lists are comma{BROKEN}separated; a comma", "the lists are comma-separated; a comma"),
        (f"left alone {BROKEN}", "left alone -"),
    ],
)  # fmt: skip
async def test_the_document_is_the_dictionary(text: str, whole: str) -> None:
    assert Hyphens([text]).joined(text) == whole


async def test_a_reading_that_joined_or_parted_broken_words_is_mended() -> None:
    plain = f"A well{BROKEN}known and well-known rule of hyphen{BROKEN}ation in hyphenation"
    hyphens = Hyphens([plain])
    assert hyphens.mended("A wellknown rule", plain) == "A well-known rule"
    assert hyphens.mended("A well- known rule of hyphen- ation", plain) == "A well-known rule of hyphenation"

"""Tagged PDFs: the structure tree says what is what, as far as it is to be believed."""

from __future__ import annotations

import pytest

from syncd.pipeline.parse.pdf_structure_table import spread
from tests.pipeline.parse.pdfs import Node, line, lines, tagged
from tests.pipeline.parse.reading import PartReader, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
_HEADING: Node = ("H1", [0])


async def _read(pool: PartReader, data: bytes) -> str:
    return await text_of(pool, data, "a.pdf")


async def test_headings_and_paragraphs_are_what_the_tree_says_in_its_order(pool: PartReader) -> None:
    drawn = lines([(1, "Drawn first, read last."), (0, "Small heading"), (2, "Below it.")])
    tree: list[Node] = [("Document", [("H2", [0]), ("P", [2]), ("P", [1])])]
    assert await _read(pool, tagged(drawn, tree)) == "## Small heading\n\nBelow it.\n\nDrawn first, read last.\n\n"


async def test_the_documents_own_tags_mean_what_its_role_map_says(pool: PartReader) -> None:
    drawn = lines([(0, "Chapter one"), (1, "Some words.")])
    tree: list[Node] = [("Chapter", [0]), ("Body", [1])]
    assert await _read(pool, tagged(drawn, tree, {"Chapter": "H1", "Body": "P"})) == "# Chapter one\n\nSome words.\n\n"


async def test_lists_keep_their_numbers_and_their_depth(pool: PartReader) -> None:
    texts = ["1.", "first", "-", "inner", "2.", "second", "wrapped"]
    inner: Node = ("L", [("LI", [("Lbl", [2]), ("LBody", [3])])])
    items: list[Node] = [
        ("LI", [("Lbl", [0]), ("LBody", [("P", [1]), inner])]),
        ("LI", [("Lbl", [4]), ("LBody", [("P", [5, 6])])]),
    ]
    data = tagged(lines(list(enumerate(texts))), [("L", items)])
    assert await _read(pool, data) == "1. first\n    - inner\n2. second wrapped\n\n"


async def test_tables_keep_cells_that_wrap_and_cells_that_span(pool: PartReader) -> None:
    drawn = lines(
        [(0, "Name"), (1, "long cell"), (2, "that wraps"), (3, "x"), (4, "below both"), (5, "Table 1: things")]
    )
    cell: Node = ("TD", [("P", [1, 2])])
    wide: Node = ("TD", [4], "/A<</O/Table/ColSpan 2>>")
    rows: list[Node] = [("TR", [("TH", [0]), ("TH", [3])]), ("TR", [cell, ("TD", [])]), ("TR", [wide])]
    text = await _read(pool, tagged(drawn, [("Table", [("Caption", [5]), ("TBody", rows)])]))
    assert text == (
        "Table 1: things\n\n| Name | x |\n| --- | --- |\n| long cell that wraps |  |\n| below both | below both |\n\n"
    )


async def test_code_keeps_its_lines_and_stays_code_within_a_sentence(pool: PartReader) -> None:
    drawn = lines([(0, "Title"), (1, "x = 1"), (2, "y = 2"), (3, "See "), (4, "x"), (5, " there.")])
    block: Node = ("NonStruct", [("Code", [("NonStruct", [1]), ("NonStruct", [2])])])
    text = await _read(pool, tagged(drawn, [_HEADING, block, ("P", [3, ("Code", [4]), 5])]))
    assert text == "# Title\n\n```\nx = 1\ny = 2\n```\n\nSee `x` there.\n\n"


async def test_links_and_the_words_for_figures_are_kept(pool: PartReader) -> None:
    drawn = lines([(0, "Title"), (1, "the page")]) + " /Figure <</MCID 2>> BDC 72 500 50 50 re f EMC"
    link = "/Annots[<</Type/Annot/Subtype/Link/Rect[70 690 200 712]/A<</S/URI/URI(https://example.org/x)>>>>]"
    tree: list[Node] = [_HEADING, ("P", [("Link", [1])]), ("Figure", [2], "/Alt(A red door)")]
    text = await _read(pool, tagged(drawn, tree, page=link))
    assert text == "# Title\n\n[the page](https://example.org/x)\n\n![A red door]()\n\n"


async def test_text_outside_the_tree_stays_where_it_is_read(pool: PartReader) -> None:
    words = "many words that the tree knows of and which make up most of this page"
    drawn = lines(
        [(None, "Before all."), (0, "Title"), (1, words), (None, "Between."), (2, words), (None, "After all.")]
    )
    text = await _read(pool, tagged(drawn, [_HEADING, ("P", [1]), ("P", [2])]))
    assert text == f"Before all.\n\n# Title\n\n{words}\n\nBetween.\n\n{words}\n\nAfter all.\n\n"


async def test_a_tree_that_covers_half_of_a_page_loses_nothing(pool: PartReader) -> None:
    drawn = lines([(0, "Known title"), (None, "one unknown line"), (1, "known line"), (None, "another unknown line")])
    text = await _read(pool, tagged(drawn, [_HEADING, ("P", [1])]))
    places = [text.index(words) for words in ("Known title", "one unknown", "known line", "another unknown")]
    assert places == sorted(places)


async def test_what_is_marked_as_no_content_is_kept_once(pool: PartReader) -> None:
    drawn = lines(
        [("Artifact", "Acme report, page 1"), (0, "Title"), (1, "Words."), ("Artifact", "Acme report, page 2")]
    )
    assert await _read(pool, tagged(drawn, [_HEADING, ("P", [1])])) == "Acme report, page 1\n\n# Title\n\nWords.\n\n"


async def test_content_that_several_elements_claim_comes_once(pool: PartReader) -> None:
    claims: list[Node] = [("P", [1]) for _ in range(500)]
    assert await _read(pool, tagged(lines([(0, "Title"), (1, "Once.")]), [_HEADING, *claims])) == "# Title\n\nOnce.\n\n"


async def test_a_tree_of_paragraphs_alone_does_not_hide_what_the_page_shows(pool: PartReader) -> None:
    big = line("A heading by its size", y=760, mark=0, size=28)
    drawn = big + lines([(at, f"Line {at} of a paragraph in the usual size.") for at in range(1, 12)], 700, 14)
    text = await _read(pool, tagged(drawn, [("P", [at]) for at in range(12)]))
    assert text.startswith("# A heading by its size\n")


@pytest.mark.parametrize(
    "tree",
    [
        [("H1", [0, "6 0 R", "7 0 R"]), ("P", [1, "7 0 R"])],
        [("H1", [0, "999 0 R", 4242, "(x)", "null"]), ("P", [1, "<</Type/MCR/MCID 77>>"])],
        [_HEADING, ("P", [1], "/P 8 0 R")],
        [_HEADING, ("P", [1]), ("Table", [("TR", [("TD", [], f"/A<</O/Table/ColSpan {10**9}/RowSpan -5>>")])])],
    ],
    ids=["cyclic", "missing", "its own parent", "absurd spans"],
)
async def test_a_broken_tree_loses_no_text(pool: PartReader, tree: list[Node]) -> None:
    text = await _read(pool, tagged(lines([(0, "Title"), (1, "Words.")]), tree))
    assert text.replace("#", "").split() == ["Title", "Words."]


async def test_a_tree_nested_far_too_deep_loses_no_text(pool: PartReader) -> None:
    tree: Node = ("P", [1])
    for _ in range(400):
        tree = ("Div", [tree])
    text = await _read(pool, tagged(lines([(0, "Title"), (1, "Words.")]), [_HEADING, tree]))
    assert "Title" in text
    assert "Words." in text


async def test_a_huge_tree_is_read_within_the_limits(pool: PartReader) -> None:
    tree: list[Node] = [("P", [1, *["7 0 R"] * 200_000])]
    text = await _read(pool, tagged(lines([(0, "Title"), (1, "Words.")]), [_HEADING, *tree]))
    assert text == "# Title\n\nWords.\n\n"


async def test_marks_inside_a_form_do_not_pass_for_those_of_the_page(pool: PartReader) -> None:
    form = line("Inside a form", y=600, mark=0).encode()
    more = b"<</Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</Font<</F1 5 0 R>>>>/Length %d>>stream\n" % len(
        form
    )
    drawn = (
        lines([(0, "Title"), (1, "Many more words than there are within the form below them, by far.")]) + " /Fm1 Do"
    )
    stream = more + form + b"\nendstream"
    data = tagged(drawn, [_HEADING, ("P", [1])], more=[stream], resources="/XObject<</Fm1 9 0 R>>")
    assert await _read(pool, data) == (
        "# Title\n\nMany more words than there are within the form below them, by far.\n\nInside a form\n\n"
    )


async def test_spans_are_cut_where_they_would_grow_a_table_beyond_reason() -> None:
    grid = spread([[("x", 100, 100)] for _ in range(200)])
    assert sum(map(len, grid)) < 12_000
    assert spread([[("a", 1, 2), ("b", 1, 1)], [("c", 1, 1)]]) == [["a", "b"], ["a", "c"]]

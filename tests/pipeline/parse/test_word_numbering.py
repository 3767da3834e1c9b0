"""Numbers, tracked changes, readings, comments and parts in other formats, as a Word document's reader sees them."""

from __future__ import annotations

import pytest

from syncd.pipeline.parse.docx_numbering import written
from tests.pipeline.parse.documents import W, docx, odf, paragraph
from tests.pipeline.parse.reading import PartReader, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def level(depth: int, kind: str, text: str, more: str = "") -> str:
    return f'<w:lvl w:ilvl="{depth}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/>{more}<w:lvlText w:val="{text}"/></w:lvl>'


_LEGAL = (
    level(0, "upperRoman", "Section %1", '<w:pStyle w:val="H1"/>')
    + level(1, "decimal", "%1.%2", "<w:isLgl/>")
    + level(2, "lowerLetter", "(%3)")
)
_NUMBERING = (
    f'<w:numbering xmlns:w="{W}"><w:abstractNum w:abstractNumId="0">{_LEGAL}</w:abstractNum>'
    f'<w:abstractNum w:abstractNumId="1">{level(0, "decimal", "%1.")}</w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>'
    "</w:numbering>"
)


async def test_headings_count_and_clauses_are_numbered_as_the_reader_sees_them(pool: PartReader) -> None:
    body = (
        paragraph("Crew", "H1", (1, 0)) + paragraph("sails", number=(1, 1)) + paragraph("Pay", "H1", (1, 0))
        + paragraph("weekly", number=(1, 1)) + paragraph("in cash", number=(1, 2)) + paragraph("by bank", number=(1, 2))
    )  # fmt: skip
    assert await text_of(pool, docx(body, numbering_xml=_NUMBERING), "a.docx") == (
        "# Section I Crew\n\n- 1.1 sails\n\n# Section II Pay\n\n- 2.1 weekly\n    - (a) in cash\n    - (b) by bank\n\n"
    )


async def test_a_list_goes_on_behind_a_paragraph_and_starts_where_it_says(pool: PartReader) -> None:
    body = (
        paragraph("one", number=(2, 0))
        + paragraph("between")
        + paragraph("two", number=(2, 0))
        + paragraph("five", number=(3, 0))
        + paragraph("six", number=(2, 0))
        + paragraph("seven", number=(3, 0))
    )
    text = await text_of(pool, docx(body, numbering_xml=_NUMBERING), "a.docx")
    assert text == "1. one\n\nbetween\n\n2. two\n5. five\n6. six\n7. seven\n\n"


async def test_a_level_that_outer_levels_do_not_begin_anew_goes_on(pool: PartReader) -> None:
    levels = level(0, "decimal", "%1.") + level(1, "decimal", "Note %2", '<w:lvlRestart w:val="0"/>')
    numbering = (
        f'<w:numbering xmlns:w="{W}"><w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
    )
    body = "".join(paragraph(text, number=(1, depth)) for text, depth in (("a", 0), ("b", 1), ("c", 0), ("d", 1)))
    text = await text_of(pool, docx(body, numbering_xml=numbering), "a.docx")
    assert text == "1. a\n    - Note 1 b\n2. c\n    - Note 2 d\n\n"


async def test_numbers_are_written_as_lists_write_them() -> None:
    assert [written(27, kind) for kind in ("decimal", "lowerLetter", "upperRoman", "decimalZero", "ordinalText")] == [
        "27", "aa", "XXVII", "27", "27",
    ]  # fmt: skip


async def test_readings_above_words_leave_the_words(pool: PartReader) -> None:
    ruby = "<w:r><w:ruby><w:rt><w:r><w:t>みなと</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>港</w:t></w:r></w:rubyBase></w:ruby></w:r>"
    assert await text_of(pool, docx(paragraph(inner=f"{ruby}<w:r><w:t>の門</w:t></w:r>")), "a.docx") == "港の門\n\n"


async def test_a_deleted_paragraph_end_joins_and_a_deleted_row_is_none(pool: PartReader) -> None:
    ended = (
        '<w:p><w:pPr><w:rPr><w:del w:id="1"/></w:rPr></w:pPr><w:r><w:t xml:space="preserve">The crew </w:t></w:r></w:p>'
    )
    gone = f"<w:tr><w:trPr><w:del w:id='2'/></w:trPr><w:tc>{paragraph()}</w:tc><w:tc>{paragraph()}</w:tc></w:tr>"
    rows = "".join(
        f"<w:tr><w:tc>{paragraph(a)}</w:tc><w:tc>{paragraph(b)}</w:tc></w:tr>{gone}" for a, b in ("ab", "cd")
    )
    body = f"{ended}{paragraph('sails at noon.')}<w:tbl>{rows}</w:tbl>"
    assert (
        await text_of(pool, docx(body), "a.docx")
        == "The crew sails at noon.\n\n| a | b |\n| --- | --- |\n| c | d |\n\n"
    )


async def test_comments_follow_what_they_are_about(pool: PartReader) -> None:
    made = f'<w:comments xmlns:w="{W}"><w:comment w:id="7" w:author="Ann"><w:p><w:r><w:t>Why noon?</w:t></w:r></w:p></w:comment></w:comments>'
    body = paragraph("We sail.", inner='<w:r><w:commentReference w:id="7"/></w:r>') + paragraph("On.")
    assert (
        await text_of(pool, docx(body, comments_xml=made), "a.docx")
        == "We sail.\n\nComment by Ann: Why noon?\n\nOn.\n\n"
    )


async def test_a_page_that_stands_in_a_document_is_read_there_and_other_parts_are_said(pool: PartReader) -> None:
    body = paragraph("before") + '<w:altChunk r:id="c"/><w:altChunk r:id="d"/>' + paragraph("after")
    data = docx(
        body,
        {"c": ("aFChunk", "part.html"), "d": ("aFChunk", "part.rtf")},
        **{"part.html": "<h2>Found</h2><p>A leak.</p>", "part.rtf": "{\\rtf1}"},
    )
    assert await text_of(pool, data, "a.docx") == "before\n\n## Found\n\nA leak.\n\nafter\n\n"
    assert await warnings_of(pool, data, "a.docx") == {"unread_content": 1}


async def test_an_opendocument_list_goes_on_where_it_says(pool: PartReader) -> None:
    styles = (
        '<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="1" style:num-suffix="."/>'
        '<text:list-level-style-number text:level="2" style:num-format="a" style:num-prefix="(" style:num-suffix=")"/></text:list-style>'
    )
    inner = "<text:list><text:list-item><text:p>deep</text:p></text:list-item></text:list>"
    body = (
        f'<text:list text:style-name="L"><text:list-item><text:p>one</text:p>{inner}</text:list-item>'
        "<text:list-item><text:p>two</text:p></text:list-item></text:list><text:p>between</text:p>"
        '<text:list text:style-name="L" text:continue-numbering="true"><text:list-item><text:p>three</text:p></text:list-item></text:list>'
        '<text:list text:style-name="L"><text:list-item><text:p>anew</text:p></text:list-item></text:list>'
    )
    text = await text_of(pool, odf("text", body, styles), "a.odt")
    assert text == "1. one\n    - (a) deep\n2. two\n\nbetween\n\n3. three\n\n1. anew\n\n"

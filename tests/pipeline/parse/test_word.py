"""Word and OpenDocument texts as Markdown: styles, numbering, tables, changes and notes."""

from __future__ import annotations

import io
from zipfile import ZipFile

import pytest

from tests.pipeline.parse.documents import archive, docx, paragraph
from tests.pipeline.parse.reading import PartReader, on_pages, parts_of, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_headings_paragraphs_quotes_and_code_keep_their_kind(pool: PartReader) -> None:
    body = (
        paragraph("Guide", "Title") + paragraph("First", "H1") + paragraph("Second", "H2") + paragraph("Words.")
        + paragraph("Said.", "Quote") + paragraph("a = 1", "Code") + paragraph("b = 2", "Code")
    )  # fmt: skip
    assert await text_of(pool, docx(body), "a.docx") == (
        "# Guide\n\n## First\n\n### Second\n\nWords.\n\n> Said.\n\n```\na = 1\nb = 2\n```\n\n"
    )


async def test_without_a_title_headings_begin_at_the_top(pool: PartReader) -> None:
    assert (await text_of(pool, docx(paragraph("First", "H1")), "a.docx")).startswith("# First")


async def test_lists_are_nested_and_numbered(pool: PartReader) -> None:
    body = (
        paragraph("one", number=(1, 0)) + paragraph("in one", number=(1, 1)) + paragraph("Then:")
        + paragraph("first", number=(2, 0)) + paragraph("second", number=(2, 0))
    )  # fmt: skip
    assert await text_of(pool, docx(body), "a.docx") == "- one\n    - in one\n\nThen:\n\n1. first\n2. second\n\n"


async def test_a_list_that_begins_deeper_stands_at_the_margin_and_drawn_boxes_are_tasks(pool: PartReader) -> None:
    body = paragraph("☐ later", number=(1, 1)) + paragraph("☒ done", number=(1, 1))
    assert await text_of(pool, docx(body), "a.docx") == "- [ ] later\n- [x] done\n\n"


async def test_text_that_looks_like_another_block_stays_a_paragraph(pool: PartReader) -> None:
    body = paragraph("1. January") + paragraph("# 5") + paragraph("- minus") + paragraph("1.5 l")
    assert await text_of(pool, docx(body), "a.docx") == "1\\. January\n\n\\# 5\n\n\\- minus\n\n1.5 l\n\n"


async def test_runs_become_bold_italic_struck_and_linked(pool: PartReader) -> None:
    inner = (
        "<w:r><w:rPr><w:b/></w:rPr><w:t>bo</w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>ld</w:t></w:r>"
        '<w:r><w:t xml:space="preserve"> </w:t></w:r><w:r><w:rPr><w:i/></w:rPr><w:t>it</w:t></w:r>'
        '<w:r><w:rPr><w:strike/></w:rPr><w:t>old</w:t></w:r><w:hyperlink r:id="h"><w:r><w:t>here</w:t></w:r></w:hyperlink>'
    )
    data = docx(paragraph(inner=inner), {"h": ("hyperlink", "https://example.org/x")})
    assert await text_of(pool, data, "a.docx") == "**bold** *it*~~old~~[here](https://example.org/x)\n\n"


async def test_deleted_and_hidden_text_is_left_out_and_inserted_text_kept(pool: PartReader) -> None:
    inner = (
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
    )
    assert await text_of(pool, docx(paragraph(inner=inner)), "a.docx") == "new\n\n"


def _table(rows: str) -> str:
    return f"<w:tbl>{rows}</w:tbl>"


def _cell(content: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{content}</w:tc>"


async def test_merged_cells_repeat_their_text_and_bars_are_escaped(pool: PartReader) -> None:
    wide, top, below = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    rows = (
        f"<w:tr>{_cell(paragraph('wide'), wide)}</w:tr>"
        f"<w:tr>{_cell(paragraph('tall'), top)}{_cell(paragraph('a|b'))}</w:tr>"
        f"<w:tr>{_cell(paragraph(), below)}{_cell(paragraph('x') + paragraph('y'))}</w:tr>"
    )
    assert await text_of(pool, docx(_table(rows)), "a.docx") == (
        "| wide | wide |\n| --- | --- |\n| tall | a\\|b |\n| tall | x<br>y |\n\n"
    )


async def test_a_table_of_one_cell_is_layout(pool: PartReader) -> None:
    body = _table(f"<w:tr>{_cell(paragraph('Boxed', 'H1') + paragraph('text'))}</w:tr>")
    assert await text_of(pool, docx(body), "a.docx") == "# Boxed\n\ntext\n\n"


async def test_text_boxes_are_read_once_although_they_are_kept_in_two_forms(pool: PartReader) -> None:
    box = f"<w:txbxContent>{paragraph('In the box')}</w:txbxContent>"
    inner = (
        f"<w:r><mc:AlternateContent><mc:Choice><w:drawing>{box}</w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    assert await text_of(pool, docx(paragraph("Beside", inner=inner)), "a.docx") == "Beside\n\nIn the box\n\n"


async def test_footnotes_follow_at_the_end(pool: PartReader) -> None:
    notes = (
        f'<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f'<w:footnote w:id="7">{paragraph("Said so.")}</w:footnote></w:footnotes>'
    )
    inner = '<w:r><w:footnoteReference w:id="7"/></w:r>'
    found = await text_of(pool, docx(paragraph("A claim", inner=inner), footnotes_xml=notes), "a.docx")
    assert found == "A claim[^1]\n\n[^1]: Said so.\n\n"


async def test_check_boxes_show_their_state(pool: PartReader) -> None:
    def box(state: str) -> str:
        return (
            f'<w:sdt><w:sdtPr><w14:checkbox><w14:checked w14:val="{state}"/></w14:checkbox></w:sdtPr>'
            "<w:sdtContent><w:r><w:t>?</w:t></w:r></w:sdtContent></w:sdt>"
        )

    body = paragraph(inner=box("1") + "<w:r><w:t>tea</w:t></w:r>") + paragraph(
        inner=box("0") + "<w:r><w:t>milk</w:t></w:r>"
    )
    assert await text_of(pool, docx(body), "a.docx") == "- [x] tea\n- [ ] milk\n\n"


async def test_equations_are_latex_in_their_line_or_alone(pool: PartReader) -> None:
    fraction = (
        "<m:oMath><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>β</m:t></m:r></m:den></m:f></m:oMath>"
    )
    assert await text_of(pool, docx(paragraph("with", inner=fraction)), "a.docx") == "with$\\frac{a}{\\beta }$\n\n"
    assert await text_of(pool, docx(paragraph(inner=fraction)), "a.docx") == "$$\\frac{a}{\\beta }$$\n\n"


async def test_pictures_leave_their_alt_text(pool: PartReader) -> None:
    inner = '<w:r><w:drawing><wp:docPr descr="A red door"/><a:blip r:embed="p"/></w:drawing></w:r>'
    data = docx(paragraph(inner=inner), {"p": ("image", "media/none.png")})
    assert await text_of(pool, data, "a.docx") == "![A red door]()\n\n"


async def test_rendered_page_breaks_become_page_numbers(pool: PartReader) -> None:
    second = paragraph(inner="<w:r><w:lastRenderedPageBreak/><w:t>two</w:t></w:r>")
    parts = await parts_of(pool, docx(paragraph("one") + second), "a.docx")
    assert on_pages(parts) == {1: "one\n\n", 2: "two\n\n"}


async def test_the_strict_variant_is_read_too(pool: PartReader) -> None:
    data = docx(paragraph("Strict", "H1"))
    with ZipFile(io.BytesIO(data)) as package:
        members = {name: package.read(name) for name in package.namelist()}
    strict = {
        name: text.replace(b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
                           b"http://purl.oclc.org/ooxml/wordprocessingml/main")
        for name, text in members.items()
    }  # fmt: skip
    assert await text_of(pool, archive(strict), "a.docx") == "# Strict\n\n"

"""Rich Text Format: structure and signs."""

from __future__ import annotations

import pytest

from syncd.errors import PermanentError
from tests.pipeline.parse.documents import encoded, written
from tests.pipeline.parse.reading import PartReader, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HEAD = (
    r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset128 MS Gothic;}}"
    r"{\colortbl;\red0\green0\blue0;}{\stylesheet{\s0 Normal;}{\s1\sbasedon0 heading 1;}{\s2\outlinelevel1 Abschnitt;}"
    r"{\s3 Title;}{\*\cs10 Default;}}{\*\generator Writer;}{\info{\title Not this}{\author Nobody}}{\header Page}"
)


def rtf(body: str) -> bytes:
    return f"{_HEAD}{body}}}".encode("latin-1")


async def test_headings_are_told_by_style_and_by_outline_level(pool: PartReader) -> None:
    body = (
        r"\pard\s3 Winch\par\pard\s1 Care\par\pard\s2 Rope\par\pard\outlinelevel2 Hemp\par\pard\s0 Text\line more\par"
    )
    assert await text_of(pool, rtf(body), "a.rtf") == "# Winch\n\n# Care\n\n## Rope\n\n### Hemp\n\nText\nmore\n\n"


async def test_text_is_in_its_fonts_code_page_and_unicode_signs_replace_their_stand_ins(pool: PartReader) -> None:
    body = r"\pard Gr\'f6\'dfe {\f1 \'e7\'e8\'ec\'e0} {\f2 \'8d\'60} \u8364? \uc2\u163 EU\uc0\u55357\u56832  \ldblquote x\rdblquote\~y\par"
    assert await text_of(pool, rtf(body), "a.rtf") == "Größe зима 港 € £😀 “x” y\n\n"


async def test_tables_lists_links_and_notes_are_kept(pool: PartReader) -> None:
    row = r"\trowd\cellx100\cellx200\pard\intbl {}\cell {}\cell\row"
    body = (
        row.format("a", "b")
        + row.format("1", r"two\par lines")
        + r"\pard {\listtext\'b7\tab}\ls1\ilvl0 one\par{\listtext\'b7\tab}\ls1\ilvl1 two\par\pard {\pntext 1.\tab}first\par"
        + r"\pard see {\field{\*\fldinst{HYPERLINK "
        + '"https://example.org/x"'
        + r"}}{\fldrslt{the {\b deed}}}}{\footnote \pard of 1902} now\par"
    )
    assert await text_of(pool, rtf(body), "a.rtf") == (
        "| a | b |\n| --- | --- |\n| 1 | two<br>lines |\n\n- one\n    - two\n1. first\n\n"
        "see [the deed](https://example.org/x)[^1] now\n\n[^1]: of 1902\n\n"
    )


async def test_what_a_picture_says_stays_and_others_are_told(pool: PartReader) -> None:
    alt = r"{\*\picprop{\sp{\sn wzDescription}{\sv The plan}}{\sp{\sn other}{\sv 7}}}"
    png = encoded(written(["Quay"])).hex()
    body = rf"\pard before {{\*\shppict{{\pict{alt}\pngblip\picw9 {png}}}}}{{\nonshppict{{\pict\wmetafile8 00ff}}}}\par"
    assert await text_of(pool, rtf(body), "a.rtf") == "before ![The plan]()\n\n"
    assert await warnings_of(pool, rtf(body), "a.rtf") == {}
    drawing = rtf(r"\pard words {\pict\wmetafile8 00ff}\par")
    assert await text_of(pool, drawing, "a.rtf") == "words\n\n"
    assert await warnings_of(pool, drawing, "a.rtf") == {"picture_unread": 1}


async def test_hidden_text_is_left_out_and_said(pool: PartReader) -> None:
    data = rtf(r"\pard seen {\v secret}{\deleted gone}\par{\*\unheard of}{\*\bkmkstart a}")
    assert await text_of(pool, data, "a.rtf") == "seen\n\n"
    assert await warnings_of(pool, data, "a.rtf") == {"hidden_content": 2}


async def test_comments_are_kept(pool: PartReader) -> None:
    body = r"\pard due{\*\atnid AK}{\*\atnauthor Anna}\chatn{\*\annotation {\*\atndate 1}\pard why?} now\par"
    assert await text_of(pool, rtf(body), "a.rtf") == "due now\n\nComment: why?\n\n"


async def test_binary_data_is_no_text_whatever_it_holds(pool: PartReader) -> None:
    data = rtf(r"\pard a{\pict\pngblip\bin8 }}}}\par}b\par")
    assert await text_of(pool, data, "a.rtf") == "ab\n\n"


@pytest.mark.parametrize(
    "body", ["{" * 5000, r"{\pict " * 5000, r"{\field{\*\fldinst" * 3000, r"{\upr" * 5000, r"{\footnote " * 5000]
)
async def test_groups_nested_without_end_are_refused(pool: PartReader, body: str) -> None:
    with pytest.raises(PermanentError, match=r"a\.rtf is nested too deeply to be read"):
        await text_of(pool, rtf(body), "a.rtf")


async def test_a_file_cut_short_is_read_as_far_as_it_goes(pool: PartReader) -> None:
    assert await text_of(pool, rtf(r"\pard whole\par\pard cut \b sho")[:-1], "a.rtf") == "whole\n\ncut sho\n\n"
    assert await text_of(pool, b"{\\rtf1 x}}}}} y\\'", "a.rtf") == "x y\n\n"
    with pytest.raises(PermanentError, match="contains no readable text"):
        await text_of(pool, b"{\\rtf1\\ansi}", "a.rtf")


async def test_unknown_code_pages_are_taken_for_western_ones(pool: PartReader) -> None:
    assert await text_of(pool, rb"{\rtf1\ansi\ansicpg99999 Gr\'f6\'dfe\par}", "a.rtf") == "Größe\n\n"

from itertools import accumulate

import pytest

from syncd.search.passages import Selection, is_in_section, passage, token_estimate
from syncd.store.texts import TextChunk

MUCH = 10_000


def chunk(text, first, last, **metadata):
    return TextChunk(text, {"start_line": first, "end_line": last, **metadata})


def in_a_row(*chunks):
    """Return chunks that tile a document."""
    starts = accumulate((len(one.text.encode()) for one in chunks), initial=0)
    return [
        TextChunk(one.text, {**one.metadata, "start_byte": start}) for one, start in zip(chunks, starts, strict=False)
    ]


CODE = in_a_row(
    chunk("import a\n\n", 1, 2),
    chunk("class B:\n    x = 1\n", 3, 4, symbol="B"),
    chunk("    def c(self):\n        pass\n", 5, 6, symbol="c", scope="B"),
)
TEXT = "".join(one.text for one in CODE)


def test_a_document_is_its_chunks():
    found = passage(CODE, Selection(), MUCH)
    assert (found.text, found.first_line, found.last_line, found.next_line) == (TEXT, 1, 6, None)


@pytest.mark.parametrize(("first", "last"), [(2, 3), (4, 5), (6, 6), (5, None)])
def test_lines_are_those_of_the_file(first, last):
    found = passage(CODE, Selection(first, last), MUCH)
    assert found.text == "".join(TEXT.splitlines(keepends=True)[first - 1 : last])
    assert (found.first_line, found.last_line) == (first, last or 6)


def test_what_does_not_fit_is_read_on_from_the_line_that_is_told():
    read, line = "", 1
    while line:
        found = passage(CODE, Selection(line), 8)
        assert found.text == TEXT.splitlines(keepends=True)[line - 1] or token_estimate(found.text) <= 8
        read, line = read + found.text, found.next_line
    assert read == TEXT


@pytest.mark.parametrize(
    "chunks",
    [
        in_a_row(
            chunk("Föxes ", 1, 1), chunk("run at night. ", 1, 1), chunk("Always.\nThey ", 1, 2), chunk("rest.\n", 2, 2)
        ),
        in_a_row(chunk("| a |\n|---|\n| 1 |\n", 4, 5), chunk("| 2 |\n| 3 |\n| 4 |\n", 5, 5), chunk("| 5 |\n", 2, 2)),
    ],
    ids=["a line in several chunks", "rows laid out otherwise than their file"],
)
def test_a_reader_gets_through_text_whose_lines_do_not_tell_where_it_goes_on(chunks):
    read, at = [], 0
    while at is not None:
        found = passage(chunks, Selection(first_byte=at), 5)
        at = found.next_byte
        read.append(found.text)
    assert len(read) > 3
    assert "".join(read) == "".join(one.text for one in chunks)


def test_sections_are_chosen_by_what_chunks_say():
    assert [is_in_section(one, "b") for one in CODE] == [False, True, True]
    sections = [chunk("# A\n", 1, 1, symbol="A"), chunk("## B\n", 2, 2, symbol="B", heading_path="A")]
    assert [is_in_section(one, "A > B") for one in sections] == [False, True]
    assert [is_in_section(one, "C") for one in sections] == [False, False]


def test_lines_that_a_document_does_not_have_are_no_passage():
    assert passage(CODE, Selection(first_line=7), MUCH) is None


def test_a_chunk_that_is_laid_out_otherwise_than_its_file_is_shown_whole():
    rows = in_a_row(chunk("| a |\n|---|\n| 1 |\n", 4, 5))
    found = passage(rows, Selection(5, 5), MUCH)
    assert (found.text, found.first_line, found.last_line) == (rows[0].text, 4, 5)

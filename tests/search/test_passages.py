import pytest

from syncd.search.passages import Selection, passage, token_estimate
from syncd.store.texts import TextChunk

MUCH = 10_000


def chunk(text, first, last, **metadata):
    return TextChunk(text, {"start_line": first, "end_line": last, **metadata})


CODE = [
    chunk("import a\n\n", 1, 2),
    chunk("class B:\n    x = 1\n", 3, 4, symbol="B"),
    chunk("    def c(self):\n        pass\n", 5, 6, symbol="c", scope="B"),
]
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


def test_pages_and_sections_are_chosen_by_what_chunks_say():
    pages = [chunk("one\n", 1, 1, page=1, last_page=2), chunk("two\n", 2, 2, page=2), chunk("three\n", 3, 3, page=3)]
    assert passage(pages, Selection(first_page=2, last_page=2), MUCH).text == "one\ntwo\n"
    assert passage(pages, Selection(first_page=3), MUCH).text == "three\n"
    assert passage(CODE, Selection(heading="b"), MUCH).text == CODE[1].text + CODE[2].text
    sections = [chunk("# A\n", 1, 1, symbol="A"), chunk("## B\n", 2, 2, symbol="B", heading_path="A")]
    assert passage(sections, Selection(heading="A > B"), MUCH).text == "## B\n"
    assert passage(sections, Selection(heading="C"), MUCH) is None
    assert passage(CODE, Selection(first_line=7), MUCH) is None


def test_a_chunk_that_is_laid_out_otherwise_than_its_file_is_shown_whole():
    rows = [chunk("| a |\n|---|\n| 1 |\n", 4, 5)]
    found = passage(rows, Selection(5, 5), MUCH)
    assert (found.text, found.first_line, found.last_line) == (rows[0].text, 4, 5)

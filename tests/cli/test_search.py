"""How the command line calls the place of a hit."""

import pytest

from syncd.cli.search import reading_on, shown_place

PAGE = "https://docs.example.com/repair.html"


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ({"key": "a.py", "start_line": 3, "end_line": 9}, "a.py:3-9"),
        ({"key": PAGE, "url": f"{PAGE}#chain", "start_line": 1, "end_line": 5}, f"{PAGE}#chain"),
        ({"key": PAGE, "start_line": 1, "end_line": 5}, PAGE),
        ({"key": "a.pdf", "page": 2, "start_line": 1, "end_line": 5}, "a.pdf page 2"),
        ({"key": "a.pdf", "page": 2, "last_page": 4, "start_line": 1, "end_line": 5}, "a.pdf pages 2-4"),
        ({"key": "a.pdf", "page": "cover", "syncd_page": 1, "start_line": 1, "end_line": 5}, "a.pdf page 1"),
        ({"key": "a.md", "page": "cover", "start_line": 1, "end_line": 5}, "a.md:1-5"),
        ({}, "id-0"),
    ],
)
def test_a_place_is_an_address_or_pages_or_lines(metadata, place):
    assert shown_place({"id": "id-0", "metadata": metadata, "first_line": None, "last_line": None}) == place


def test_a_hit_that_is_cut_is_read_on_by_the_command_that_is_shown():
    hit = {"metadata": {"key": "my notes.md"}, "collection_name": "notes", "last_line": 12}
    command = "syncd read 'my notes.md' --collection notes --database default_database --lines 12-"
    assert reading_on("default_database", hit) == command

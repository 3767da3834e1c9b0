"""Markdown is cut along its sections and blocks."""

from __future__ import annotations

import pytest

from syncd.model import Chunk, Chunking, Part
from tests.pipeline.chunking import chunks_of_document

WORDS = "some words that make a sentence of a certain length. "


def chunks_of(text: str, target: int = 300, maximum: int = 1200, path: str = "guide.md") -> list[Chunk]:
    chunking = Chunking(max_size_bytes=maximum, target_size_bytes=target)
    chunks = chunks_of_document([Part(text, "markdown")], path, chunking)
    assert "".join(chunk.text for chunk in chunks) == text
    return chunks


def section(title: str, paragraphs: int) -> str:
    return f"## {title}\n\n" + "".join(f"{WORDS * 4}\n\n" for _ in range(paragraphs))


def test_sections_that_fit_stay_whole_and_know_the_headings_above():
    sections = [section(f"Part {name}", size) for name, size in zip("abcdef", (1, 2, 3, 4, 2, 1), strict=True)]
    chunks = chunks_of("# Guide\n\nIntro.\n\n" + "".join(sections))
    for text in sections:
        assert sum(text.strip() in chunk.text for chunk in chunks) == 1
    later = chunks[-1]
    assert later.scope == ("Guide",)
    assert later.symbol.startswith("Part")
    assert later.symbol_kind == "section"
    assert later.context == "guide.md\nGuide\n"
    assert {chunk.stage for chunk in chunks} == {"markdown"}


def test_a_long_section_is_cut_between_paragraphs_and_the_rest_knows_its_heading():
    chunks = chunks_of("# Guide\n\n" + section("Long", 12))
    assert len(chunks) > 3
    assert all(chunk.text.startswith(("#", "some words")) for chunk in chunks)
    assert all(chunk.scope == ("Guide", "Long") for chunk in chunks[1:])


def test_no_heading_ends_a_chunk():
    text = "".join(f"# A {n}\n\n## B {n}\n\n### C {n}\n\n{WORDS * (n % 9 + 1)}\n\n" for n in range(40))
    for maximum in (300, 600, 1200):
        for chunk in chunks_of(text, target=250, maximum=maximum):
            assert not chunk.text.rstrip().splitlines()[-1].startswith("#")


def test_a_heading_written_with_an_underline_opens_a_section_too():
    text = "Guide\n=====\n\n" + "".join(f"Part {n}\n------\n\n{WORDS * 5}\n\n" for n in range(6))
    chunks = chunks_of(text)
    assert all(chunk.text.startswith(("Guide", "Part")) for chunk in chunks)
    assert chunks[-1].scope == ("Guide",)


def test_a_split_table_repeats_its_header_in_the_context_only():
    rows = "".join(f"| {number} | name {number} | {number * 3} |\n" for number in range(200))
    chunks = chunks_of(f"# Data\n\n| id | name | value |\n|---|---|---|\n{rows}\nEnd.\n")
    inner = [chunk for chunk in chunks if chunk.text.startswith("| ") and "| id |" not in chunk.text]
    assert len(inner) > 3
    assert all(chunk.context == "guide.md\nData\n| id | name | value |\n" for chunk in inner)
    assert chunks[0].text.count("| id |") == 1


def test_the_first_row_after_a_headers_limit_still_gets_the_header():
    chunks = chunks_of("| id | name |\n|----|------|\n" + f"| 1 | {'long cell ' * 40}|\n" * 3, target=64, maximum=410)
    assert chunks[1].text.startswith(("| 1", "long", "cell"))
    assert "| id | name |" in chunks[1].context


def test_tables_with_wide_headers_or_without_outer_bars_are_tables():
    wide = f"| {'column ' * 30}| b |\n|---|---|\n" + "| 1 | 2 |\n" * 300
    bare = "a | b\n--|--\n" + "1 | 2\n" * 400
    for text, head in ((wide, "| column"), (bare, "a | b")):
        assert all(head in chunk.context for chunk in chunks_of(text)[1:])


def test_fences_that_fit_stay_whole_and_hashes_inside_are_no_headings():
    fences = [f"```sh\n# step {n}\n" + f"run --number {n}\n" * 20 + "```\n" for n in range(8)]
    text = "# Guide\n\n" + "\n".join(f"{WORDS}\n\n{fence}" for fence in fences)
    chunks = chunks_of(text)
    for fence in fences:
        assert sum(fence in chunk.text for chunk in chunks) == 1
    assert {chunk.scope for chunk in chunks} == {(), ("Guide",)}


def test_a_fence_over_the_limit_is_cut_at_lines():
    chunks = chunks_of("```\n" + "a line of code in a fence\n" * 200 + "```\n")
    assert len(chunks) > 3
    assert all(chunk.text.endswith("\n") for chunk in chunks)


def test_list_items_stay_whole():
    items = [f"- item {n} {WORDS}\n  goes on here\n  - nested {n}\n" for n in range(60)]
    for chunk in chunks_of("".join(items)):
        assert chunk.text.startswith("- item")


@pytest.mark.parametrize(
    "front", ["---\ntitle: A\n# comment\n---\n", "---\n# comment\n...\n", "+++\ntitle = 'A'\n# comment\n+++\n"]
)
def test_front_matter_is_no_heading(front):
    chunks = chunks_of(f"{front}\n# Guide\n\n{WORDS}\n")
    assert chunks[0].symbol == "Guide"


def test_long_paragraphs_are_cut_at_sentences():
    chunks = chunks_of(WORDS * 60)
    assert len(chunks) > 5
    assert all(chunk.text.endswith("length. ") for chunk in chunks)


def test_text_without_spaces_is_cut_within_the_limit():
    for text in ("漢字かな交じり文。" * 2000, "漢" * 9000, "👩‍👩‍👧‍👦" * 2000, "A" * 50_000):
        assert max(len(chunk.text.encode()) for chunk in chunks_of(text)) <= 1200

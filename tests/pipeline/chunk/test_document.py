"""A document's parts, lines, pages and context."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from syncd.model import Chunk, Chunking, PageMark, Part
from syncd.pipeline.chunk import chunk_document
from tests.pipeline.chunking import chunks_of_document

WORDS = "some words that make a sentence of a certain length. "


def chunks_of(parts: list[Part], path: str = "a.md", **options: object) -> list[Chunk]:
    return chunks_of_document(parts, path, Chunking(**options))


def test_batches_are_yielded_while_parts_are_still_coming():
    taken: list[int] = []

    def parts() -> Iterator[Part]:
        for number in range(100):
            taken.append(number)
            yield Part(f"# Page {number}\n\n{WORDS}\n", "markdown")

    batches = chunk_document(parts(), "a.pdf", Chunking(), segment_characters=1)
    assert "Page 0" in next(batches)[0].text
    assert len(taken) == 2


words = st.text("ab é\n", min_size=1, max_size=80)


@given(st.lists(words, max_size=12), st.integers(1, 200))
def test_chunks_of_segments_tile_the_whole_text(texts: list[str], size: int):
    chunking = Chunking(target_size_bytes=60, max_size_bytes=120)
    batches = chunk_document([Part(each, "text") for each in texts], "a.txt", chunking, segment_characters=size)
    data, at = "".join(texts).encode(), 0
    for chunk in (chunk for batch in batches for chunk in batch):
        assert not data[at : chunk.span.start_byte].strip(), "only segments of white space have no chunks"
        assert data[chunk.span.start_byte : chunk.span.end_byte].decode() == chunk.text
        assert chunk.span.start_line == data[: chunk.span.start_byte].count(b"\n") + 1
        at = chunk.span.end_byte
    assert not data[at:].strip()


def test_a_segment_goes_on_with_the_page_and_headings_it_begins_under():
    parts = [
        Part("# A\n\n" + "first " * 20, "markdown", (PageMark(0, 1), PageMark(60, 2))),
        Part("second " * 20, "markdown"),
    ]
    batches = list(chunk_document(parts, "a.pdf", Chunking(target_size_bytes=60), segment_characters=10))
    assert len(batches) == 2
    assert batches[0][0].span.page == 1
    assert {(chunk.span.page, chunk.scope) for chunk in batches[1]} == {(2, ("A",))}


def test_from_a_segment_on_code_is_cut_as_text():
    parts = [Part(f"def f{number}():\n    return {number}\n", "text") for number in range(3)]
    found = list(chunk_document(parts, "a.py", Chunking(), parsed_segments=1, segment_characters=1))
    assert [batch[0].note for batch in found] == ["", "parser failed", "parser failed"]


def test_offsets_lines_and_headings_run_on_over_parts():
    parts = [Part("# Té\n\nOne.\n", "markdown"), Part("Two.\n", "markdown"), Part("## Deep\n\nThree.", "markdown")]
    first, second, third = chunks_of(parts)
    assert (first.span.start_byte, first.span.end_byte) == (0, 12)
    assert (second.span.start_byte, second.span.end_byte) == (12, 17)
    assert (second.span.start_line, second.span.end_line) == (4, 4)
    assert (third.span.start_line, third.span.end_line) == (5, 7)
    assert second.scope == ("Té",)
    assert third.scope == ("Té",)
    assert third.symbol == "Deep"


def test_blank_parts_go_with_a_neighbour():
    parts = [Part("\n \n", "text"), Part("one", "text"), Part("\n\n", "text"), Part("two", "text"), Part(" \n", "text")]
    assert [chunk.text for chunk in chunks_of(parts)] == ["\n \none", "\n\ntwo \n"]


def test_a_chunk_over_a_page_break_knows_both_pages():
    part = Part("first page\n\nsecond page\n", "markdown", (PageMark(0, 4), PageMark(12, 5, "v"), PageMark(24, 6)))
    (chunk,) = chunks_of_document([part], "a.md", Chunking())
    assert (chunk.span.page, chunk.span.last_page) == (4, 5)


def test_a_chunk_knows_its_page_even_when_only_an_earlier_part_marks_it():
    parts = [
        Part(f"# A\n{WORDS}\n# B\n{WORDS}\n", "markdown", (PageMark(0, 1, "Slide 1"), PageMark(58, 2, "Slide 2"))),
        Part("More of it.\n", "markdown"),
        Part("\nNext.\n", "markdown", (PageMark(0, 3),)),
    ]
    chunks = chunks_of(parts, "deck.pptx", target_size_bytes=60)
    assert [(chunk.span.page, chunk.span.page_label) for chunk in chunks] == [
        (1, "Slide 1"),
        (2, "Slide 2"),
        (2, "Slide 2"),
        (3, ""),
    ]
    assert chunks[1].context == "deck.pptx\nSlide 2\n"


def test_the_context_is_left_out_on_request_and_never_long():
    part = Part("".join(f"{'#' * n} {'very long heading ' * 9}{n}\n\n" for n in range(1, 7)) + WORDS * 80, "markdown")
    assert {chunk.context for chunk in chunks_of([part], breadcrumb=False)} == {""}
    path = "folder/" * 60 + "ünïcode.md"
    for chunk in chunks_of([part], path):
        assert len(chunk.context.encode()) <= 256
        assert chunk.context.startswith("folder/")
        assert chunk.context.splitlines()[0].endswith("code.md")
        assert chunk.embedded_text == chunk.context + chunk.text


def test_lines_are_cut_as_documented():
    text = "".join(f"line {number}\n" for number in range(25)) + "é" * 5000 + "\nend"
    chunks = chunks_of([Part(text, "text")], "a.py", type="lines", max_size_bytes=4096, max_lines=10)
    assert [chunk.span.end_line - chunk.span.start_line + 1 for chunk in chunks] == [10, 10, 5, 1, 1, 2]
    assert [len(chunk.text.encode()) for chunk in chunks[3:]] == [4096, 4096, 1812]
    assert "".join(chunk.text for chunk in chunks) == text
    assert {chunk.stage for chunk in chunks} == {"lines"}


def test_plain_text_prefers_paragraphs_and_says_when_it_is_whole():
    paragraphs = [WORDS * 4 + "\n\n" for _ in range(20)]
    chunks = chunks_of([Part("".join(paragraphs), "text")], "a.txt", target_size_bytes=500)
    assert len(chunks) > 5
    assert all(chunk.text.endswith("\n\n") and chunk.stage == "lines" for chunk in chunks)
    assert [chunk.stage for chunk in chunks_of([Part("short", "text")], "a.txt")] == ["whole"]


def test_a_part_over_the_parse_limit_is_taken_in_stretches():
    text = "".join(f"## Part {number}\n\n{WORDS * 8}\n\n" for number in range(12_000))
    chunks = chunks_of([Part("# All\n\n" + text, "markdown")])
    assert "".join(chunk.text for chunk in chunks) == "# All\n\n" + text
    assert {chunk.scope for chunk in chunks[1:]} == {("All",)}

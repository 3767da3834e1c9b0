"""What holds for any input: chunks tile the text, limits hold, nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.errors import ConfigError
from syncd.model import Chunk, Chunking, PageMark, Part
from syncd.pipeline.chunk import MINIMUM_SIZE_BYTES
from tests.pipeline.chunking import chunks_of_document

FRAGMENTS = (
    "def f(x):\n    return x\n\n", "class A:\n", "    def m(self):\n", "# comment\n", "@decorator\n", "{", "}", "(", "[", '"',
    "'''", "<a b='c'>", "fn main() {\n", "if (a) {\n", "} else {\n", "\n\n", "\r\n", "\t", "  ", "# Title\n", "## Part\n\n",
    "Setext\n===\n", "| a | b |\n|---|---|\n", "| 1 | 2 |\n", "```py\n", "```\n", "~~~\n", "- item\n", "  1. nested\n", "---\n",
    "> quoted\n", "One. Two! Three? ", "x" * 130 + "\n", "漢字かな。", "👩‍👩‍👧‍👦", "\u00a0", "\x00", "\ufeff", "\u2028", "\ud800",
    "a: b\n", "  - c: d\n", '{"k": [1, 2]}', "SELECT 1;\n", "end\n", "defmodule A do\n", "(defn f [x] x)\n",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from(FRAGMENTS), max_size=120).map("".join),
    st.lists(st.tuples(st.sampled_from(FRAGMENTS), st.integers(1, 200)), max_size=12).map(
        lambda runs: "".join(fragment * times for fragment, times in runs)
    ),
)
PARTS = st.lists(
    st.builds(
        Part,
        text=TEXTS,
        kind=st.sampled_from(("markdown", "text")),
        pages=st.lists(st.builds(PageMark, st.integers(0, 500), st.integers(1, 9), st.just("s")), max_size=3).map(
            lambda marks: tuple(sorted(marks, key=lambda mark: mark.start_byte))
        ),
    ),
    max_size=4,
)
PATHS = st.sampled_from(
    (
        "a.py",
        "b.rs",
        "c.js",
        "d.c",
        "e.json",
        "f.yaml",
        "g.md",
        "h.txt",
        "i",
        "j.html",
        "k.ex",
        "l.clj",
        "Dockerfile",
        "m.sql",
    )
)
CHUNKINGS = st.builds(
    Chunking,
    type=st.sampled_from(("tree_sitter", "tree_sitter", "lines")),
    max_size_bytes=st.one_of(st.integers(MINIMUM_SIZE_BYTES, 200), st.integers(200, 9000)),
    target_size_bytes=st.integers(1, 3000),
    max_lines=st.integers(1, 12),
    breadcrumb=st.booleans(),
)


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def check(parts: list[Part], chunks: list[Chunk], chunking: Chunking) -> None:
    text = "".join(part.text for part in parts)
    if not text.strip():
        assert chunks == []
        return
    assert "".join(chunk.text for chunk in chunks) == text
    byte, line = 0, 1
    for chunk in chunks:
        data = utf8(chunk.text)
        assert 0 < len(data) <= chunking.max_size_bytes
        assert (chunk.span.start_byte, chunk.span.end_byte) == (byte, byte + len(data))
        byte += len(data)
        assert chunk.span.start_line == line
        line += chunk.text.count("\n")
        assert chunk.span.end_line == line - chunk.text.endswith("\n")
        if chunking.type == "lines":
            assert line - chunk.text.endswith("\n") - chunk.span.start_line < chunking.max_lines
        assert bool(chunk.context) == chunking.breadcrumb
        assert chunk.context.endswith("\n") or not chunk.context
        assert len(utf8(chunk.context)) <= 256 + 1024


@settings(max_examples=250, deadline=None)
@given(PARTS, PATHS, CHUNKINGS)
def test_chunks_tile_any_text_within_any_limit(parts: list[Part], path: str, chunking: Chunking):
    chunks = chunks_of_document(parts, path, chunking)
    check(parts, chunks, chunking)
    assert chunks == chunks_of_document(parts, path, chunking)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), PATHS)
def test_decoded_garbage_is_chunked_too(data: bytes, path: str):
    parts = [Part(data.decode("utf-8", "replace"), "text")]
    chunking = Chunking(max_size_bytes=300, target_size_bytes=100)
    check(parts, chunks_of_document(parts, path, chunking), chunking)


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\t \r\n", "\u3000\u00a0"])
@pytest.mark.parametrize("kind", ["markdown", "text"])
def test_a_document_of_nothing_but_white_space_has_no_chunks(text: str, kind: str):
    assert chunks_of_document([Part(text, kind), Part(text, kind)], "a.py", Chunking()) == []


def test_limits_that_cannot_be_kept_are_refused():
    with pytest.raises(ConfigError, match="max_size_bytes is 3"):
        chunks_of_document([], "a", Chunking(max_size_bytes=3))
    with pytest.raises(ConfigError, match="max_lines is 0"):
        chunks_of_document([], "a", Chunking(type="lines", max_lines=0))

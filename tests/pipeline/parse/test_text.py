from __future__ import annotations

import codecs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.errors import PermanentError
from syncd.pipeline.parse.text import WHOLE_BYTES
from tests.pipeline.parse.reading import PartReader, parts_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_text_is_handed_on_byte_for_byte_without_its_byte_order_mark(pool: PartReader) -> None:
    data = "ä\r\nb\tc\n".encode()
    parts = await parts_of(pool, codecs.BOM_UTF8 + data, "a.txt")
    assert "".join(part.text for part in parts).encode() == data


async def test_an_empty_text_file_has_no_parts(pool: PartReader) -> None:
    assert await parts_of(pool, b"", "__init__.py") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"abc\xff", "byte 0xff at offset 3"), (b"ab\0c", "NUL byte at offset 2"), ("ä".encode()[:1], "offset 0")],
)
async def test_what_is_not_utf8_says_where(pool: PartReader, data: bytes, words: str) -> None:
    with pytest.raises(PermanentError, match="not valid UTF-8 text") as caught:
        await parts_of(pool, data, "a.txt")
    assert words in str(caught.value)


async def test_the_media_type_stands_in_only_where_there_is_no_suffix(pool: PartReader) -> None:
    page = b"<h1>Hello</h1><p>there</p>"
    assert (await parts_of(pool, page, "page", "text/html; charset=utf-8"))[0].text.startswith("# Hello")
    assert (await parts_of(pool, page, "page.txt", "text/html"))[0].text == page.decode()


async def test_long_text_comes_in_pieces_cut_at_line_ends(pool: PartReader) -> None:
    data = ("ä line of text\n" * (WHOLE_BYTES // 15)).encode()
    parts = await parts_of(pool, data, "a.log")
    assert len(parts) > 1
    assert all(part.text.endswith("\n") for part in parts)
    assert "".join(part.text for part in parts).encode() == data


async def test_long_text_without_line_ends_is_never_cut_inside_a_character(pool: PartReader) -> None:
    data = "😀".encode() * (WHOLE_BYTES // 4 + 10)
    parts = await parts_of(pool, b"x" + data, "a.log")
    assert "".join(part.text for part in parts).encode() == b"x" + data


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
async def test_any_text_survives(pool: PartReader, text: str) -> None:
    found = "".join(part.text for part in await parts_of(pool, text.encode(), "a.txt"))
    assert found == text.removeprefix("\ufeff")

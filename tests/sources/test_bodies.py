from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path
from tempfile import SpooledTemporaryFile
from threading import get_ident
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import PermanentError, RetryableError, Skipped, SyncdError
from syncd.sources.bodies import (
    BODY_IN_MEMORY_MAX_BYTES,
    BytesBody,
    NoBody,
    PathBody,
    SizeCheck,
    StreamBody,
    TextCheck,
    is_image,
    put_away,
)


async def pieces(*data: bytes) -> AsyncGenerator[bytes, None]:
    for piece in data:
        yield piece


def judged(data: bytes, cuts: list[int], limit: int = 1 << 20) -> str:
    check = TextCheck(limit)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        for start, end in pairwise(edges):
            check.feed(data[start:end])
        check.finish()
    except Skipped as error:
        return str(error).split(":")[0]
    return "text"


@given(text=st.text(), cuts=st.lists(st.integers(0, 1000), max_size=6))
def test_text_passes_however_it_is_cut(text: str, cuts: list[int]) -> None:
    assert judged(text.replace("\0", "").encode(), cuts) == "text"


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 1000), max_size=6))
def test_other_bytes_are_judged_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    try:
        data.decode()
        expected = "text"
    except UnicodeDecodeError:
        expected = "not UTF-8"
    verdict = judged(data, cuts)
    assert verdict == "binary" if b"\0" in data and verdict != "not UTF-8" else verdict == expected


def test_a_nul_after_the_probe_is_text_and_within_it_is_not() -> None:
    assert judged(b"a" * 8192 + b"\0", []) == "text"
    assert judged(b"a" * 8191 + b"\0", [5000]) == "binary"


def test_one_byte_too_many_is_too_large() -> None:
    assert judged(b"x" * 100, [], limit=100) == "text"
    assert judged(b"x" * 101, [50], limit=100) == "too large"


@pytest.mark.parametrize(
    "size", [0, 1, BODY_IN_MEMORY_MAX_BYTES, BODY_IN_MEMORY_MAX_BYTES + 1, 3 * BODY_IN_MEMORY_MAX_BYTES]
)
async def test_a_stream_is_spooled_whole_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    half = size // 2
    body = StreamBody(lambda: pieces(b"a" * half, b"b" * (size - half)), folder=tmp_path)
    for _ in range(2):
        async with body.open() as file:
            assert file.tell() == 0
            assert file.read() == b"a" * half + b"b" * (size - half)
            assert file.seek(half) == half
    assert list(tmp_path.iterdir()) == []


async def test_a_refused_stream_is_closed_at_once() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.append(True)

    with pytest.raises(Skipped, match="too large: at least 11,000 bytes"):
        async with StreamBody(endless, lambda: SizeCheck(10_000)).open():
            pass
    assert closed == [True]


async def test_a_spool_without_room_is_tried_again(tmp_path: Path) -> None:
    body = StreamBody(lambda: pieces(b"x" * (BODY_IN_MEMORY_MAX_BYTES + 1)), folder=tmp_path / "missing")
    with pytest.raises(RetryableError, match="cannot spool"):
        async with body.open():
            pass


async def test_bytes_and_files_are_bodies(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    for body in (BytesBody(b"abc"), PathBody(tmp_path / "f")):
        for _ in range(2):
            async with body.open() as file:
                assert file.read() == b"abc"
    with pytest.raises(PermanentError, match="upload it again"):
        async with PathBody(tmp_path / "gone").open():
            pass


def test_images_are_known_by_their_suffix() -> None:
    assert [is_image(name) for name in ("a.PNG", "b/c.svg", "png", "a.png.py")] == [True, True, False, False]


@pytest.mark.parametrize("size_bytes", [0, 1, BODY_IN_MEMORY_MAX_BYTES, BODY_IN_MEMORY_MAX_BYTES + 1])
async def test_bytes_put_away_are_read_from_their_start_each_time(size_bytes: int) -> None:
    data = bytes(range(256)) * (size_bytes // 256) + bytes(size_bytes % 256)
    body = await put_away(data)
    for _ in range(2):
        async with body.open() as file:
            assert file.read() == data


async def test_large_bytes_are_written_by_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    writers: list[int] = []

    class Recorded(SpooledTemporaryFile[bytes]):
        def write(self, s: Any) -> int:
            writers.append(get_ident())
            return super().write(s)

    monkeypatch.setattr("syncd.sources.bodies.SpooledTemporaryFile", Recorded)
    await put_away(bytes(BODY_IN_MEMORY_MAX_BYTES + 1))
    assert writers
    assert get_ident() not in writers


@pytest.mark.parametrize("kind", [Skipped, PermanentError, RetryableError])
async def test_a_body_that_cannot_be_had_says_why(kind: type[SyncdError]) -> None:
    with pytest.raises(kind, match="an image"):
        NoBody(kind("an image")).open()

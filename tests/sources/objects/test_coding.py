"""What was stored compressed is read as it was before, within its limit, and damage is said."""

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import PermanentError
from syncd.sources.objects.coding import Decoder, decoded

LIMIT_BYTES = 1 << 20
TEXT = "Grüße aus dem Eimer\n".encode() * 1000


def fed(data: bytes, coding: str, piece_bytes: int) -> bytes:
    decoder, found = Decoder(coding, "s3://b/k", LIMIT_BYTES), b""
    for start in range(0, len(data), piece_bytes):
        found += b"".join(decoder.feed(data[start : start + piece_bytes]))
    return found + b"".join(decoder.finish())


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "x-gzip", "GZIP", "aws-chunked,gzip"]), st.integers(1, 500))
def test_gzip_in_pieces_of_any_size_is_undone(data: bytes, coding: str, piece_bytes: int):
    assert fed(gzip.compress(data), coding, piece_bytes) == data


@given(st.binary(max_size=3000), st.integers(1, 500))
def test_deflate_is_undone(data: bytes, piece_bytes: int):
    assert fed(zlib.compress(data), "deflate", piece_bytes) == data


@pytest.mark.parametrize("coding", ["", "identity", "aws-chunked", "gzip"])
@pytest.mark.parametrize("data", [b"", b"#", TEXT])
def test_what_is_not_compressed_stays_as_it_is_whatever_its_header_says(data: bytes, coding: str):
    assert fed(data, coding, 7) == data


def test_several_members_and_padding_are_one_text():
    assert fed(gzip.compress(TEXT) + gzip.compress(b"end") + bytes(9), "gzip", 50) == TEXT + b"end"


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "made-up"])
def test_what_is_not_read_is_said_with_what_to_do(coding: str):
    with pytest.raises(PermanentError, match="store it as gzip or plain"):
        decoded(b"x", coding, "s3://b/k", LIMIT_BYTES)


def test_damage_is_said():
    whole = gzip.compress(TEXT)
    with pytest.raises(PermanentError, match="ends early"):
        decoded(whole[:-9], "gzip", "s3://b/k", LIMIT_BYTES)
    with pytest.raises(PermanentError, match="damaged"):
        decoded(whole[:20] + b"\xff" * 30 + whole[50:], "gzip", "s3://b/k", LIMIT_BYTES)


def test_a_bomb_stops_at_the_limit():
    bomb, seen = gzip.compress(bytes(1 << 26)), list[bytes]()
    with pytest.raises(PermanentError, match="too large once"):
        seen.extend(Decoder("gzip", "s3://b/k", LIMIT_BYTES).feed(bomb))
    assert sum(map(len, seen)) <= LIMIT_BYTES


@given(st.binary(max_size=300))
def test_any_bytes_give_bytes_or_a_reason(data: bytes):
    with suppress(PermanentError):
        decoded(b"\x1f\x8b" + data, "gzip", "s3://b/k", LIMIT_BYTES)

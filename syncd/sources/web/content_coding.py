"""Undoes the one content coding that the HTTP client does not know: `x-gzip`, gzip's name of old (RFC 9110 section 8.4.1.3)."""

from __future__ import annotations

import zlib

from syncd.sources.web.fetch_errors import FetchError, too_large_error

GZIP_MAGIC = b"\x1f\x8b"


def undone(body: bytes, coding: str, size_bytes: int, *, whole: bool = True) -> bytes:
    """Return a body without the coding that the HTTP client does not undo. Raises FetchError.

    `whole`: there is no more of it, and more than `size_bytes` are too many.
    """
    if coding.strip().lower() != "x-gzip" or not body.startswith(GZIP_MAGIC):
        return body
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        data = unpacking.decompress(body, size_bytes)
    except zlib.error as error:
        raise FetchError(f"the response is damaged ({error})") from error
    if whole and unpacking.unconsumed_tail:
        raise too_large_error(size_bytes)
    if whole and not unpacking.eof:
        raise FetchError("the response was cut off")
    return data

"""What an object's Content-Encoding says was done to its bytes, undone (RFC 9110 section 8.4)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from syncd.errors import PermanentError

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
PIECE_SIZE_BYTES = 256 * 1024
MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "deflate": b"\x78"}
"""How what was encoded in each way begins."""
NO_CODING = {"", "identity", "aws-chunked"}
"""`aws-chunked` is how an upload to S3 was signed, which keeps the word and not the framing."""


class Decoder:
    """Undoes one content coding, piece by piece; gives at most `max_size_bytes`.

    Bytes that do not begin as their coding does are given as they are: the header is set by hand, often wrongly. Raises
    PermanentError for a coding that is not known, several at once, bytes that are damaged, and too many.
    """

    def __init__(self, content_encoding: str | None, address: str, max_size_bytes: int) -> None:
        codings = [coding for word in (content_encoding or "").split(",") if (coding := word.strip().lower())]
        codings = [coding for coding in codings if coding not in NO_CODING]
        if len(codings) > 1 or not MAGIC.keys() >= set(codings):
            raise PermanentError(
                f"{address}: stored with Content-Encoding {', '.join(codings)}, which is not read; store it as gzip or plain"
            )
        self._coding = codings[0] if codings else ""
        self._address = address
        self._room_bytes = max_size_bytes
        self._begin: bytes | None = b"" if self._coding else None
        self._member = zlib.decompressobj(GZIP_OR_ZLIB)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield what the next bytes were before they were encoded."""
        if self._begin is not None:
            piece, self._begin = self._begin + piece, None
            magic = MAGIC[self._coding]
            if len(piece) < len(magic):
                self._begin = piece
                return
            if not piece.startswith(magic):
                self._coding = ""
        if not self._coding:
            yield piece
            return
        yield from self._decoded(piece)

    def finish(self) -> Iterator[bytes]:
        """Yield the rest, when all bytes were fed. Raises PermanentError where there should be more of them."""
        if self._begin:
            yield self._begin
        elif self._coding and self._begin is None and not self._member.eof:
            raise PermanentError(f"{self._address}: its {self._coding} data ends early; upload it again")

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                if not data.startswith(MAGIC[self._coding]):
                    return  # padding after the last member, which gzip ignores too
                self._member = zlib.decompressobj(GZIP_OR_ZLIB)
            try:
                piece = self._member.decompress(data, PIECE_SIZE_BYTES)
            except zlib.error as error:
                raise PermanentError(f"{self._address}: its {self._coding} data is damaged; upload it again") from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._room_bytes -= len(piece)
            if self._room_bytes < 0:
                raise PermanentError(f"{self._address}: too large once its {self._coding} data is unpacked")
            if piece:
                yield piece


def decoded(data: bytes, content_encoding: str | None, address: str, max_size_bytes: int) -> bytes:
    """Return whole bytes decoded, as a Decoder does piece by piece."""
    decoder = Decoder(content_encoding, address, max_size_bytes)
    return b"".join([*decoder.feed(data), *decoder.finish()])

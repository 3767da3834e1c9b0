"""Bodies that every source can use, and the check that a body is text.

A body in memory is `BytesBody`; a file that already lies on this machine is `PathBody`; bytes that arrive in pieces
(a network answer, a program's output) are `StreamBody`, kept in memory while small and in a temporary file after; bytes
that were fetched before anybody asked for them are put away by `put_away`; one that cannot be had is `NoBody`.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Protocol, cast

from anyio import to_thread

from syncd.errors import PermanentError, RetryableError, Skipped, SyncdError

MEMORY_MAX_BYTES = 1024 * 1024
"""A body above this is kept in a temporary file: what one open body costs in memory."""

PIECE_SIZE_BYTES = 64 * 1024

BINARY_PROBE_BYTES = 8192
"""A NUL in this many first bytes makes a file binary: the rule of `git diff`, rounded up from its 8,000."""

DEFAULT_MAX_TEXT_BYTES = 1024 * 1024
"""Larger text files are generated, or data, more often than they are written. GitHub's own contents API serves files
of up to 1 MB in full."""

IMAGE_SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".ico", ".icns", ".jpeg", ".jpg", ".jxl"}
    | {".png", ".psd", ".svg", ".tif", ".tiff", ".webp"}
)


class Check(Protocol):
    """Sees a body's bytes pass, in order, and refuses them."""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises Skipped or PermanentError."""
        ...

    def finish(self) -> None:
        """The body is complete. Raises Skipped or PermanentError."""
        ...


class SizeCheck:
    """Refuses what is larger than `max_size_bytes`, whatever it is."""

    def __init__(self, max_size_bytes: int) -> None:
        self._max_size_bytes = max_size_bytes
        self._size_bytes = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises Skipped as soon as there are too many."""
        self._size_bytes += len(piece)
        if self._size_bytes > self._max_size_bytes:
            raise Skipped(too_large(self._size_bytes, self._max_size_bytes, at_least=True))

    def finish(self) -> None:
        """Accept."""


class TextCheck(SizeCheck):
    """Refuses what is not UTF-8 text, or larger than `max_size_bytes`, with the reason people see."""

    def __init__(self, max_size_bytes: int) -> None:
        super().__init__(max_size_bytes)
        self._probe = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises Skipped at the first sign."""
        if len(self._probe) < BINARY_PROBE_BYTES:
            self._probe = (self._probe + piece)[:BINARY_PROBE_BYTES]
            if b"\0" in self._probe:
                raise Skipped(f"binary: a NUL byte in its first {BINARY_PROBE_BYTES} bytes")
        super().feed(piece)
        self._decode(piece, final=False)

    def finish(self) -> None:
        """Refuse a body that ends within a character. Raises Skipped."""
        self._decode(b"", final=True)

    def _decode(self, piece: bytes, *, final: bool) -> None:
        try:
            self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise Skipped(f"not UTF-8: {error.reason} near byte {self._size_bytes - len(piece)}") from error


def too_large(size_bytes: int, max_size_bytes: int, *, at_least: bool = False) -> str:
    """Return the reason for leaving out a file above the limit."""
    size = f"{'at least ' if at_least else ''}{size_bytes:,}"
    return f"too large: {size} bytes, the limit is {max_size_bytes:,}; raise max_file_size_bytes to index it"


def is_image(path: str) -> bool:
    """Tell by its suffix whether a file is an image (SVG drawings included)."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


@dataclass(frozen=True, slots=True)
class BytesBody:
    """Bytes that are in memory anyway."""

    data: bytes

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield them as a file; never waits, twice is safe."""
        return _in_memory(self.data)


@asynccontextmanager
async def _in_memory(data: bytes) -> AsyncGenerator[BinaryIO]:
    yield BytesIO(data)


@dataclass(frozen=True, slots=True)
class PathBody:
    """A file of our own (an upload, say), which stays as it is while it is open."""

    path: Path

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield the file itself. Twice is safe. Raises PermanentError where it is gone, RetryableError on a disk error."""
        return _on_disk(self.path)


@asynccontextmanager
async def _on_disk(path: Path) -> AsyncGenerator[BinaryIO]:
    try:
        file: BinaryIO = await to_thread.run_sync(lambda: path.open("rb"))
    except FileNotFoundError as error:
        raise PermanentError(f"{path.name} is no longer stored here; send it again") from error
    except OSError as error:
        raise RetryableError(f"cannot open {path}: {error.strerror}") from error
    with file:
        yield file


async def put_away(data: bytes) -> BytesBody | TempFileBody:
    """Return a body of bytes that are here already: in memory while small, else in a temporary file.

    Waits for the disk, in a thread. Raises RetryableError where it is full.
    """
    if len(data) <= MEMORY_MAX_BYTES:
        return BytesBody(data)
    file = spool(None)
    await _write(file, data)
    return TempFileBody(file)


@dataclass(frozen=True, slots=True)
class TempFileBody:
    """A temporary file of our own, gone with this object."""

    file: SpooledTemporaryFile[bytes]

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield the file from its start. Again is safe, twice at once is not."""
        return _rewound(self.file)


@asynccontextmanager
async def _rewound(file: SpooledTemporaryFile[bytes]) -> AsyncGenerator[BinaryIO]:
    file.seek(0)
    yield cast(BinaryIO, file)


@dataclass(frozen=True, slots=True)
class NoBody:
    """A body that cannot be had, as its source knows before a byte of it was read."""

    error: SyncdError
    """Skipped leaves its document out, PermanentError fails it."""

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Raise the error."""
        raise self.error


@dataclass(frozen=True, slots=True)
class StreamBody:
    """Bytes fetched anew at every opening, by `read`, and spooled; `check()` makes what judges them on the way."""

    read: Callable[[], AsyncGenerator[bytes, None]]
    """Raises RetryableError, PermanentError or Skipped; closed early when the check refuses the bytes."""
    check: Callable[[], Check] | None = None
    folder: Path | None = None
    """Where temporary files go; None means the system's temporary folder."""

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Fetch everything, then yield it. Twice is safe and fetches twice. Raises what `read` and the check raise."""
        return _spooled(self)


@asynccontextmanager
async def _spooled(body: StreamBody) -> AsyncGenerator[BinaryIO]:
    check = body.check() if body.check else None
    with spool(body.folder) as file:
        async with aclosing(body.read()) as pieces:
            async for piece in pieces:
                if check:
                    check.feed(piece)
                await _write(file, piece)
        if check:
            check.finish()
        file.seek(0)
        yield cast(BinaryIO, file)


def spool(folder: Path | None) -> SpooledTemporaryFile[bytes]:
    """Return an empty temporary file, in memory until it holds more than MEMORY_MAX_BYTES, without a name ever."""
    return SpooledTemporaryFile(MEMORY_MAX_BYTES, dir=str(folder) if folder else None)


async def _write(file: SpooledTemporaryFile[bytes], piece: bytes) -> None:
    try:
        if file.tell() + len(piece) <= MEMORY_MAX_BYTES:
            file.write(piece)
        else:
            await to_thread.run_sync(file.write, piece)
    except OSError as error:
        raise RetryableError(f"cannot spool a document: {error.strerror}; free some disk space") from error

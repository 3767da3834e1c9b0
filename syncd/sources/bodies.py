"""Bodies that every source can use, and the check that a body is text.

A body in memory is `BytesBody`; a file that already lies on this machine is `PathBody`; bytes that arrive in pieces
(a network answer, a program's output) are `StreamBody`, kept in memory while small and in a temporary file after; bytes
that are already here are wrapped by `put_away`; a body that is known to be unavailable is `NoBody`.
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

BODY_IN_MEMORY_MAX_BYTES = 1024 * 1024
"""Larger bodies are kept in a temporary file, so this bounds the memory of one open body."""

BODY_PIECE_SIZE_BYTES = 64 * 1024

BINARY_PROBE_BYTES = 8192
"""A NUL in this many first bytes makes a file binary: the rule of `git diff`, rounded up from its 8,000."""

DEFAULT_MAX_TEXT_BYTES = 1024 * 1024
"""Larger text files are more often generated, or data, than written by people. GitHub's own contents API serves files
of up to 1 MB in full."""

IMAGE_SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".ico", ".icns", ".jpeg", ".jpg", ".jxl"}
    | {".png", ".psd", ".svg", ".tif", ".tiff", ".webp"}
)


class Check(Protocol):
    """Is fed a body's bytes in order, and raises Skipped or PermanentError to reject them."""

    def feed(self, piece: bytes) -> None:
        """Check the next bytes. Raises Skipped or PermanentError."""
        ...

    def finish(self) -> None:
        """Check the end of the body. Raises Skipped or PermanentError."""
        ...


class SizeCheck:
    """Rejects bodies larger than `max_size_bytes`, whatever they contain."""

    def __init__(self, max_size_bytes: int) -> None:
        self._max_size_bytes = max_size_bytes
        self._size_bytes = 0

    def feed(self, piece: bytes) -> None:
        """Check the next bytes. Raises Skipped as soon as there are too many."""
        self._size_bytes += len(piece)
        if self._size_bytes > self._max_size_bytes:
            raise Skipped(too_large(self._size_bytes, self._max_size_bytes, at_least=True))

    def finish(self) -> None:
        """Accept the body: its size was checked as it arrived."""


class TextCheck(SizeCheck):
    """Rejects bodies that are not UTF-8 text or are larger than `max_size_bytes`."""

    def __init__(self, max_size_bytes: int) -> None:
        super().__init__(max_size_bytes)
        self._probe = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, piece: bytes) -> None:
        """Check the next bytes. Raises Skipped as soon as they cannot be text of a permitted size."""
        if len(self._probe) < BINARY_PROBE_BYTES:
            self._probe = (self._probe + piece)[:BINARY_PROBE_BYTES]
            if b"\0" in self._probe:
                raise Skipped(f"binary: a NUL byte in its first {BINARY_PROBE_BYTES} bytes")
        super().feed(piece)
        self._decode(piece, final=False)

    def finish(self) -> None:
        """Reject a body that ends inside a character. Raises Skipped."""
        self._decode(b"", final=True)

    def _decode(self, piece: bytes, *, final: bool) -> None:
        try:
            self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise Skipped(f"not UTF-8: {error.reason} near byte {self._size_bytes - len(piece)}") from error


def too_large(size_bytes: int, max_size_bytes: int, *, at_least: bool = False) -> str:
    """Return the reason for skipping a file above the limit."""
    size = f"{'at least ' if at_least else ''}{size_bytes:,}"
    return f"too large: {size} bytes, the limit is {max_size_bytes:,}; raise max_file_size_bytes to index it"


def is_image(path: str) -> bool:
    """Return whether a file is an image, SVG included, going by its suffix."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


@dataclass(frozen=True, slots=True)
class BytesBody:
    """Bytes that are already in memory."""

    data: bytes

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield them as a file; never waits, twice is safe."""
        return _in_memory(self.data)


@asynccontextmanager
async def _in_memory(data: bytes) -> AsyncGenerator[BinaryIO]:
    yield BytesIO(data)


@dataclass(frozen=True, slots=True)
class PathBody:
    """A file of our own, such as an upload, that does not change while it is open."""

    path: Path

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield the file itself. Twice is safe. Raises PermanentError if it is gone, RetryableError on a disk error."""
        return _on_disk(self.path)


@asynccontextmanager
async def _on_disk(path: Path) -> AsyncGenerator[BinaryIO]:
    try:
        file: BinaryIO = await to_thread.run_sync(lambda: path.open("rb"))
    except FileNotFoundError as error:
        raise PermanentError(f"{path.name} is no longer stored; upload it again") from error
    except OSError as error:
        raise RetryableError(f"cannot open {path}: {error.strerror}") from error
    with file:
        yield file


async def put_away(data: bytes) -> BytesBody | TempFileBody:
    """Return a body for bytes that are already here: in memory if small, else in a temporary file.

    Waits for the disk, in a thread. Raises RetryableError if it is full.
    """
    if len(data) <= BODY_IN_MEMORY_MAX_BYTES:
        return BytesBody(data)
    file = spool(None)
    await _write(file, data)
    return TempFileBody(file)


@dataclass(frozen=True, slots=True)
class TempFileBody:
    """A temporary file of our own, deleted with this object."""

    file: BinaryIO

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield the file from its start. May be opened again, but not twice at the same time."""
        return _rewound(self.file)


@asynccontextmanager
async def _rewound(file: BinaryIO) -> AsyncGenerator[BinaryIO]:
    file.seek(0)
    yield file


@dataclass(frozen=True, slots=True)
class NoBody:
    """A body that the source already knows to be unavailable."""

    error: SyncdError
    """Raised on opening: Skipped skips the document, PermanentError fails it."""

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Raise the error."""
        raise self.error


@dataclass(frozen=True, slots=True)
class StreamBody:
    """Bytes fetched by `read` at every opening and spooled, while a new `check()` inspects them."""

    read: Callable[[], AsyncGenerator[bytes, None]]
    """Raises RetryableError, PermanentError or Skipped; closed early if the check rejects the bytes."""
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
        yield file


def spool(folder: Path | None) -> BinaryIO:
    """Return an empty, unnamed temporary file that stays in memory up to MEMORY_MAX_BYTES."""
    # It has all the methods of a BinaryIO, and no type says so.
    return cast("BinaryIO", SpooledTemporaryFile(BODY_IN_MEMORY_MAX_BYTES, dir=str(folder) if folder else None))


async def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        if file.tell() + len(piece) <= BODY_IN_MEMORY_MAX_BYTES:
            file.write(piece)
        else:
            await to_thread.run_sync(file.write, piece)
    except OSError as error:
        raise RetryableError(f"cannot spool a document: {error.strerror}; free some disk space") from error

"""Fetches a file once: resumable, bounded, with progress, checked by sha256, put in place whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
import anyio

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.headers import storable

ProgressCallback = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes there will be, where anybody says."""

DOWNLOAD_MAX_SIZE_BYTES = 64 << 30
"""Of a file whose size nobody pinned."""
_READ_BYTES = 1 << 20
_SILENCE_LIMIT_S = 60
_CONNECT_LIMIT_S = 15


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that anybody may fetch. `sha256` None: nobody vouches for its bytes but that they begin with `magic`."""

    url: str
    sha256: str | None = None
    size_bytes: int | None = None
    magic: bytes = b""


async def fetch(file: RemoteFile, path: Path, progress: ProgressCallback | None = None) -> None:
    """Fetch `file` to `path`. What an interrupted call left in `path`.part is continued; twice is safe.

    Waits for the network as long as it gives anything. Raises RetryableError, which says how to place the file by hand,
    when the server cannot be reached or stops half-way, and PermanentError when it refuses, or its bytes are too many or
    not the pinned ones (they are deleted).
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        await _fetch(file, part, progress)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        pinned = f" (sha256 {file.sha256})" if file.sha256 else ""
        raise RetryableError(
            f"cannot download {file.url}: {storable(str(error)) or type(error).__name__}; fetch that file{pinned} on another "
            f"machine and place it at {path}"
        ) from error
    await anyio.to_thread.run_sync(_check, part, file)
    part.replace(path)


def digest_of(path: Path) -> str:
    """Return a file's sha256. Reads all of it, in this thread."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


async def _fetch(file: RemoteFile, part: Path, progress: ProgressCallback | None) -> None:
    here = part.stat().st_size if part.exists() else 0
    limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_LIMIT_S, sock_read=_SILENCE_LIMIT_S)
    # Compressed transfers would make byte ranges meaningless.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={here}-"} if here else {})}
    async with (
        aiohttp.ClientSession(timeout=limits, trust_env=True) as session,
        session.get(file.url, headers=headers) as response,
    ):
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here already; the check decides
        _accept(response.status, file.url)
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            here = 0
        announced = None if response.content_length is None else here + response.content_length
        async with await anyio.open_file(part, "ab" if here else "wb") as output:
            async for block in response.content.iter_chunked(_READ_BYTES):
                here += len(block)
                _bound(here, part, file)
                await output.write(block)
                if progress:
                    progress(here, file.size_bytes or announced)


def _bound(size_bytes: int, part: Path, file: RemoteFile) -> None:
    limit = file.size_bytes or DOWNLOAD_MAX_SIZE_BYTES
    if size_bytes > limit:
        part.unlink()
        raise PermanentError(f"{file.url} gives more than {limit} bytes, which is no such file; deleted")


def _accept(status: int, url: str) -> None:
    passing = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)
    if status in passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise aiohttp.ClientError(f"the server answers {status}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise PermanentError(f"{url} answers {status}; correct the address, or place the file by hand")


def _check(part: Path, file: RemoteFile) -> None:
    found = digest_of(part)
    with part.open("rb") as content:
        begins = content.read(len(file.magic))
        os.fsync(content.fileno())
    if begins != file.magic or found != (file.sha256 or found):
        part.unlink()
        expected = file.sha256 or f"a file that begins with {file.magic.decode('ascii')}"
        raise PermanentError(f"{file.url} gave a file with sha256 {found}, expected {expected}; deleted")

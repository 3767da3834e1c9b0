"""Fetches a model's file once: resumable, with progress, checked by sha256, put in place whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import aiohttp
import anyio

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.embed.catalog import MINILM, ModelFile

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes there will be, where the server says."""

_READ_BYTES = 1 << 20
_SILENCE_LIMIT_S = 60
_CONNECT_LIMIT_S = 15


async def download(file: ModelFile, path: Path, model: str, progress: Progress | None = None) -> None:
    """Fetch `file.url` to `path`. What an interrupted call left in `path`.part is continued.

    Raises RetryableError when the server cannot be reached or stops half-way, PermanentError when it refuses or the
    bytes are not the pinned ones (they are deleted).
    """
    assert file.url is not None
    part = path.with_name(path.name + ".part")
    try:
        await _fetch(file, file.url, part, progress)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise RetryableError(by_hand(file, path, model, str(error) or type(error).__name__)) from error
    await anyio.to_thread.run_sync(_check, part, file)
    part.replace(path)


def by_hand(file: ModelFile, path: Path, model: str, why: str) -> str:
    """Return the one line that says what to do where no hub can be reached."""
    pinned = f" (sha256 {file.sha256})" if file.sha256 else ""
    return (
        f"cannot download {model} from {file.url}: {why}. Fetch that file{pinned} on another machine and place it at "
        f"{path}; {MINILM} works without a download"
    )


async def _fetch(file: ModelFile, url: str, part: Path, progress: Progress | None) -> None:
    here = part.stat().st_size if part.exists() else 0
    limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_LIMIT_S, sock_read=_SILENCE_LIMIT_S)
    # Compressed transfers would make byte ranges meaningless.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={here}-"} if here else {})}
    async with (
        aiohttp.ClientSession(timeout=limits, trust_env=True) as session,
        session.get(url, headers=headers) as response,
    ):
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here already; the check decides
        if response.status >= HTTPStatus.BAD_REQUEST:
            _refused(response.status, url)
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            here = 0
        whole = here + response.content_length if response.content_length is not None else file.size_bytes
        async with await anyio.open_file(part, "ab" if here else "wb") as output:
            async for block in response.content.iter_chunked(_READ_BYTES):
                await output.write(block)
                here += len(block)
                if progress:
                    progress(here, whole)


def _refused(status: int, url: str) -> None:
    if (
        status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        raise aiohttp.ClientError(f"the server answers {status}")
    raise PermanentError(f"{url} answers {status}: correct the model's url")


def _check(part: Path, file: ModelFile) -> None:
    with part.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
        content.seek(0)
        magic = content.read(4)
        os.fsync(content.fileno())
    if magic != b"GGUF" or (file.sha256 is not None and found != file.sha256):
        part.unlink()
        raise PermanentError(f"{file.url} gave a file with sha256 {found}, expected {file.sha256 or 'a GGUF'}; deleted")

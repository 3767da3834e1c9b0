"""The bodies of crawled documents: small ones in memory, larger ones in a temporary file, or none."""

from __future__ import annotations

import io
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import IO, BinaryIO, cast

from syncd.errors import SyncdError

MEMORY_BYTES = 1 << 20


class HeldBody:
    """Bytes that were fetched already. Opening twice at once is safe below 1 MiB only."""

    def __init__(self, data: bytes) -> None:
        self._data = data if len(data) <= MEMORY_BYTES else None
        self._file: IO[bytes] | None = None
        if self._data is None:
            self._file = tempfile.TemporaryFile(prefix="syncd-web-")  # noqa: SIM115 - lives as long as this object
            self._file.write(data)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[BinaryIO]:
        """Yield the bytes from the start."""
        if self._file is not None:
            self._file.seek(0)
            yield cast("BinaryIO", self._file)
        else:
            yield io.BytesIO(self._data or b"")


class NoBody:
    """Bytes that cannot be had; opening says why."""

    def __init__(self, error: SyncdError) -> None:
        self._error = error

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[BinaryIO]:
        """Raise the error."""
        raise self._error
        yield  # makes this a generator

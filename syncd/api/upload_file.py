"""Writes uploads to disk: limited while they stream, durable before they are acknowledged."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import anyio
from anyio import to_thread

from syncd.api.errors import RefusedError
from syncd.runtime.durable import sync_names

IDLE_TIMEOUT_S = 60.0
"""An upload is abandoned if its sender is silent for this long."""
GRACE_S = 30.0
LEAST_BYTES_PER_S = 16 << 10
"""An upload is abandoned once it is slower than this on the whole, after its grace: a slow line sends 128 kbit/s."""
TOKENS_AT_ONCE = 4
WRITE_SIZE_BYTES = 1 << 20
"""Bytes buffered in memory before a thread writes them."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that survives power loss. `name` is its generated name in the upload folder."""

    name: str
    size_bytes: int
    sha256: str


class TooLongError(Exception):
    """More bytes arrived than were declared."""


class Receiver:
    """One file being received; it is removed from disk unless `keep` was called."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._path = folder / uuid.uuid4().hex
        self._limit_bytes = limit_bytes
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._digest = sha256()
        self._waiting = bytearray()
        self._size_bytes = 0
        self._kept = False

    async def write(self, chunk: bytes | bytearray) -> None:
        """Append bytes; waits for the disk when the buffer is full. Raises TooLongError at the first byte beyond the limit."""
        self._size_bytes += len(chunk)
        if self._size_bytes > self._limit_bytes:
            raise TooLongError
        self._waiting += chunk
        if len(self._waiting) >= WRITE_SIZE_BYTES:
            await to_thread.run_sync(self._flush)

    async def finish(self) -> StoredFile:
        """Make the bytes and the file's name durable; waits for the disk."""
        await to_thread.run_sync(self._sync)
        return StoredFile(self._path.name, self._size_bytes, self._digest.hexdigest())

    def keep(self) -> None:
        """Keep the file when closed, because an invocation owns it now."""
        self._kept = True

    def close(self) -> None:
        """Close the file, and remove it unless `keep` was called. Call once."""
        os.close(self._file)
        if not self._kept:
            self._path.unlink(missing_ok=True)

    def _flush(self) -> None:
        view = memoryview(bytes(self._waiting))
        self._waiting.clear()
        self._digest.update(view)
        while view:
            view = view[os.write(self._file, view) :]

    def _sync(self) -> None:
        self._flush()
        os.fsync(self._file)
        sync_names(self._path.parent)


@contextmanager
def receiving(folder: Path, limit_bytes: int) -> Generator[Receiver]:
    """Receive one file into `folder`; on leaving, even by an error, a file that is not kept is removed."""
    receiver = Receiver(folder, limit_bytes)
    try:
        yield receiver
    finally:
        receiver.close()


class Arrival:
    """How fast a form arrives, from now on: whoever sends it has GRACE_S, and as long as what arrived takes at LEAST_BYTES_PER_S."""

    def __init__(self) -> None:
        self._latest_at = anyio.current_time() + GRACE_S

    def note(self, size_bytes: int) -> None:
        """Count bytes that arrived."""
        self._latest_at += size_bytes / LEAST_BYTES_PER_S

    @property
    def patience_s(self) -> float:
        """How long to wait for the next bytes."""
        return min(IDLE_TIMEOUT_S, max(0.0, self._latest_at - anyio.current_time()))


class Slots:
    """Limits the number of simultaneous requests of a kind: of each token, and of all together to TOKENS_AT_ONCE times as many."""

    def __init__(self, capacity: int, kind: str = "uploads") -> None:
        self._capacity = capacity
        self._kind = kind
        self._held: Counter[str] = Counter()

    @contextmanager
    def one(self, token_id: str) -> Generator[None]:
        """Hold a slot. Raises RefusedError (429) when none is free for the token; never waits."""
        if self._held[token_id] >= self._capacity or self._held.total() >= self._capacity * TOKENS_AT_ONCE:
            raise RefusedError(
                429, f"too many {self._kind} at once; try again when one has finished", {"Retry-After": "5"}
            )
        self._held[token_id] += 1
        try:
            yield
        finally:
            self._held[token_id] -= 1
            self._held += Counter()

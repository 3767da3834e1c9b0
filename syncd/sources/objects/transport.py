"""How patiently object stores are asked, and the errors that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syncd.errors import OvertakenError, RetryableError
from syncd.model.limits import MAX_DOCUMENT_SIZE_BYTES


class ThrottledError(RetryableError):
    """The service is throttling."""


class StaleCredentialsError(RetryableError):
    """The credentials have expired; they are read again."""


class ChangedError(OvertakenError):
    """The object has changed since it was checked; check it again."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Limits of requests to an object store: every wait is bounded, and a body is held in memory only piece by piece."""

    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 30.0
    """Read timeout of a connection: before the response, and between two pieces of a body."""
    download_timeout_s: float = 1800.0
    """From opening a body to its last byte, attempts included; 200 MB at 1 Mbit/s."""
    call_timeout_s: float = 120.0
    """For everything but bodies, attempts included."""
    attempts: int = 6
    """Attempts per call, or per body without progress in between."""
    backoff_base_s: float = 0.2
    backoff_cap_s: float = 20.0
    downloads: int = 16
    """Bodies in flight at once, over all sources of one endpoint."""
    connections: int = 32
    range_size_bytes: int = 64 << 20
    """Larger bodies are fetched in ranges of this size."""
    max_object_size_bytes: int = MAX_DOCUMENT_SIZE_BYTES
    """The documented limit on one file, as uploads count it."""
    spool_dir: Path | None = None
    """Where bodies above 1 MiB are spooled; None is the system's temporary folder."""

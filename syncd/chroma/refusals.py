"""Chroma's errors in our words: what to do about an HTTP answer that is not a success."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from syncd.chroma.shape import part
from syncd.errors import (
    ConflictError,
    NotFoundError,
    PermanentError,
    RetryableError,
    SyncdError,
    TargetRefusedError,
    TooLargeError,
)
from syncd.quoting import answered
from syncd.runtime.headers import retry_after_s

# The words of Chroma 1.5.9 for index files that are torn, or gone while the rows are there.
_CORRUPT = re.compile(r"hnsw (segment|index)|apply logs|pickle|error finding id|error getting embedding", re.IGNORECASE)
_DATABASE_DAMAGED = re.compile(r"disk image is malformed|file is not a database", re.IGNORECASE)
# Of a filter's pattern that its SQLite cannot take (SQLITE_CONSTRAINT_FUNCTION, or a LIKE of over 50,000 bytes).
_TOO_COMPLEX = re.compile(r"\(code: 1043\)|pattern too complex")


class CorruptError(PermanentError):
    """The server cannot read the collection's index files."""


class LostError(RetryableError):
    """The connection broke while the server worked on the request: it died, or its machine did."""


class DatabaseDamagedError(RetryableError):
    """The server's own database is damaged; nothing of it works until somebody replaces it."""


def no_chroma(place: str) -> str:
    """Return why nothing can be asked of what answers there, such as a proxy with a page of its own."""
    return f"what answers at {place} is no Chroma: check chroma.host and chroma.port"


def error_of(status: int, text: str, headers: Mapping[str, str]) -> SyncdError:
    """Return the error that says what to do about an HTTP answer that is not a success."""
    message = _message(text) or f"HTTP {status}"
    if status in (401, 403):
        return RetryableError(f"Chroma refuses our credentials: check its api_key or headers ({message})")
    if status == 404 or (status == 400 and message.endswith("does not exist")):
        return NotFoundError(message)
    if status == 409 or "already exists" in message:
        return ConflictError(message)
    if _DATABASE_DAMAGED.search(message):
        advice = "replace it by a backup or an empty one; collections are filled from the store"
        return DatabaseDamagedError(f"the Chroma server's own database is damaged ({message}): {advice}")
    if status >= 500 and _CORRUPT.search(message):
        return CorruptError(message)
    if status in (408, 429) or (status >= 500 and not _TOO_COMPLEX.search(message)):
        return RetryableError(f"Chroma answers: {message}", retry_after_s(headers.get("retry-after")))
    if status == 413:
        advice = "raise the limit of the proxy (nginx: client_max_body_size), or make chunks smaller"
        return TooLargeError(f"Chroma, or a proxy before it, refuses a request as too large ({message}): {advice}")
    return TargetRefusedError(f"Chroma refuses: {message}")


def _message(text: str) -> str:
    try:
        body: object = json.loads(text)
    except ValueError:
        body = text
    if fields := part(body):
        body = fields.get("message") or fields.get("error") or text
    return answered(str(body))

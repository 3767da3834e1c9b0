"""Qdrant's errors in our words: what to do about a call that failed."""

from __future__ import annotations

import json

from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from syncd.errors import (
    ConflictError,
    NotFoundError,
    PermanentError,
    RetryableError,
    SyncdError,
    TargetRefusedError,
    TooLargeError,
)
from syncd.json_types import json_object
from syncd.quoting import answered
from syncd.runtime.headers import retry_after_s

FAILURES = (
    QdrantException,
    ResponseHandlingException,
    UnexpectedResponse,
    ValueError,
    AssertionError,
    RecursionError,
)
"""What the client raises, the last two of answers without a result, and of those nested too deeply; others are bugs."""


def refusal_of(error: Exception, url: str) -> SyncdError:
    """Return the error that says what to do about a failure of the client.

    The statuses are those of src/actix/helpers.rs (Qdrant 1.19).
    """
    match error:
        case ResourceExhaustedResponse():
            wait_s = retry_after_s(str(error.retry_after_s))
            return RetryableError(f"Qdrant is asked too often: {answered(str(error.message))}", wait_s)
        case QdrantException():
            # Of a Retry-After that is no whole number the client only says what it is.
            return RetryableError("Qdrant is asked too often", retry_after_s(str(error).partition(": ")[2]))
        case (
            ResponseHandlingException(source=ValidationError())
            | json.JSONDecodeError()
            | UnicodeDecodeError()
            | AssertionError()
            | RecursionError()
        ):
            return RetryableError(f"what answers at {url} is no Qdrant: check qdrant.url")
        case ResponseHandlingException(source=source):
            return RetryableError(f"Qdrant at {url} cannot be reached: {source or type(source).__name__}")
        case UnexpectedResponse():
            return _of_answer(error)
        case _:
            return PermanentError(str(error))


def _of_answer(error: UnexpectedResponse) -> SyncdError:
    status, message = error.status_code or 500, _message(error)
    if status in (401, 403):
        return RetryableError(f"Qdrant refuses us: check qdrant.api_key, which has to be allowed to manage ({message})")
    if status == 404:
        return NotFoundError(message)
    if status == 409:
        return ConflictError(message)
    if status in (408, 429) or status >= 500:
        return RetryableError(f"Qdrant answers: {message}", retry_after_s(error.headers.get("retry-after")))
    if status == 413:
        advice = "raise the limit of the proxy (nginx: client_max_body_size) or Qdrant's service.max_request_size_mb"
        return TooLargeError(f"Qdrant, or a proxy before it, refuses a request as too large ({message}): {advice}")
    return TargetRefusedError(f"Qdrant refuses: {message}")


def _message(error: UnexpectedResponse) -> str:
    text = error.content.decode("utf-8", "replace")
    try:
        said = json_object(json_object(json.loads(text)).get("status")).get("error")
    except ValueError:
        said = None
    return answered(str(said or text or error.reason_phrase))

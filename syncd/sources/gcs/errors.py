"""Translates refusals of Google Cloud Storage into errors of ours.

Source: Google Cloud Storage, "HTTP status and error codes for JSON".
"""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from syncd.errors import MisconfiguredError, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.runtime.headers import storable
from syncd.sources.objects.http import RefusedAnswer
from syncd.sources.objects.transport import ChangedError, ThrottledError

_THROTTLING = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_PAYING = frozenset({"accountDisabled", "userProjectMissing", "userProjectAccountProblem"})


class GcsReason(BaseModel):
    """One reason of a refusal."""

    reason: str = ""


class GcsProblem(BaseModel):
    """What a refusal says of itself."""

    message: str = ""
    errors: tuple[GcsReason, ...] = ()


class GcsRefusal(BaseModel):
    """The body of an answer that is an error."""

    error: GcsProblem = GcsProblem()


def gcs_error(refusal: RefusedAnswer, what: str) -> SyncdError:
    """Return the error of ours; `what` names what was requested, such as 'gs://b/key'."""
    reason, message = said(refusal)
    status, wait_s = refusal.status, refusal.retry_after_s
    if status in (429, 503) or reason in _THROTTLING:
        return ThrottledError(f"{what}: throttled by the service ({reason or status})", wait_s)
    if status == 412:
        return ChangedError(f"{what} was changed while it was being read")
    if status == 408 or status >= 500:
        return RetryableError(f"{what}: the service failed ({reason or status})", wait_s)
    if status == 401:
        return MisconfiguredError(
            f"{what}: Google does not accept the credentials, or wants some ({message or status}); check the key"
        )
    if reason in _PAYING:
        return MisconfiguredError(f"{what}: {reason}: {message}; buckets whose requester pays are not read")
    if status == 403:
        return MisconfiguredError(
            f"{what}: access denied ({message or status}); the account needs storage.objects.list and storage.objects.get "
            "on the bucket (role Storage Object Viewer)"
        )
    if status == 404:
        return NotFoundError(f"{what} does not exist; check the bucket's name")
    return PermanentError(f"{what}: {reason or status}: {message}")


def said(refusal: RefusedAnswer) -> tuple[str, str]:
    """Return the reason and the message of a refusal, each '' where it has none."""
    try:
        error = GcsRefusal.model_validate_json(refusal.body).error
    except ValidationError:
        return "", ""
    reason = error.errors[0].reason if error.errors else ""
    return storable(reason)[:100], storable(" ".join(error.message.split()))[:300]

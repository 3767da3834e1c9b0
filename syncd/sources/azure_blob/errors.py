"""Translates refusals of Azure Blob Storage into errors of ours.

Source: Azure Storage REST API, "Common REST API error codes" and "Blob service error codes".
"""

from __future__ import annotations

import re

from syncd.errors import MisconfiguredError, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.runtime.headers import storable
from syncd.sources.objects.http import RefusedAnswer
from syncd.sources.objects.transport import ChangedError, ThrottledError

_CODE = re.compile(rb"<Code>([A-Za-z]{1,100})</Code>")
_MISSING = frozenset({"ContainerNotFound", "BlobNotFound", "ResourceNotFound"})
_PASSING = frozenset({"ContainerBeingDeleted", "OperationTimedOut", "InternalError"})
_CLOSED = frozenset({"NoAuthenticationInformation", "PublicAccessNotPermitted"})
_ARCHIVED_BLOB = frozenset({"BlobArchived", "BlobBeingRehydrated"})


def azure_error(refusal: RefusedAnswer, what: str) -> SyncdError:
    """Return the error of ours; `what` names what was requested. Azure's own words are left out: they quote what was signed."""
    code, status, wait_s = code_of(refusal), refusal.status, refusal.retry_after_s
    said = code or str(status)
    if status in (429, 503):
        return ThrottledError(f"{what}: throttled by the service ({said})", wait_s)
    if status in (412, 416):
        return ChangedError(f"{what} was changed while it was being read")
    if status == 408 or status >= 500 or code in _PASSING:
        return RetryableError(f"{what}: the service failed ({said})", wait_s)
    if code in _ARCHIVED_BLOB:
        return PermanentError(f"{what} is archived; rehydrate it first")
    if status == 404 or code in _MISSING:
        return NotFoundError(
            f"{what} does not exist ({said}), or may not be read without a credential; check account_name and container_name"
        )
    if code in _CLOSED or status == 401:
        return MisconfiguredError(f"{what} may not be read anonymously ({said}); give the source a credential")
    if code in ("AuthenticationFailed", "InvalidAuthenticationInfo"):
        return MisconfiguredError(
            f"{what}: Azure does not accept the credential ({said}); check the key, the end of the SAS token's validity and this "
            "machine's clock"
        )
    if status == 403:
        return MisconfiguredError(
            f"{what}: access denied ({said}); the credential may be wrong or have ended, a SAS token needs read and list (sp=rl) on the container, and the account's "
            "firewall must let this machine in"
        )
    return PermanentError(f"{what}: refused by Azure ({said})")


def code_of(refusal: RefusedAnswer) -> str:
    """Return the error code of a refusal; '' if it has none."""
    found = _CODE.search(refusal.body)
    return storable(refusal.headers.get("x-ms-error-code", found[1].decode() if found else ""))[:100]

"""Translates errors of AWS and the network into errors of ours."""

from __future__ import annotations

import aiohttp
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's, which is not an OSError
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    ResponseStreamingError,
)

from syncd.errors import (
    MisconfiguredError,
    NotFoundError,
    PermanentError,
    RetryableError,
    SyncdError,
)
from syncd.runtime.headers import retry_after_s, storable
from syncd.sources.objects.transport import ChangedError, StaleCredentialsError, ThrottledError
from syncd.sources.s3.answers import ErrorAnswer

NETWORK_ERRORS = (HTTPClientError, ConnectionError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
TRANSPORT_ERRORS = (*NETWORK_ERRORS, aiohttp.ClientError, TimeoutError, OSError)
"""The connection failed, before the response or in the middle of a body."""
AWS_ERRORS = (ClientError, BotoCoreError, *TRANSPORT_ERRORS)

_STALE_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "RequestTimeTooSkewed"}
)
_WRONG_CREDENTIALS = frozenset(
    {
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidToken",
    }
)
_WRONG_REGION = frozenset({"AuthorizationHeaderMalformed", "InvalidSignatureException", "PermanentRedirect"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403"})
_GONE_THINGS = frozenset(
    {"NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"}
)
_ARCHIVED = "InvalidObjectState"
_THROTTLED = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestLimitExceeded"}
    | {"TooManyRequestsException", "BandwidthLimitExceeded", "OverLimit", "429"}
)
_TRANSIENT = frozenset({"RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "IncompleteBody"})


def translated(error: Exception, what: str) -> SyncdError:
    """Return `error` as an error of ours; `what` names what was requested, such as 's3://b/key'."""
    match error:
        case ClientError():
            return _from_answer(error, what)
        case NoCredentialsError() | PartialCredentialsError() | ProfileNotFound():
            return MisconfiguredError(
                f"no AWS credentials for {what}: give the source a key, or the daemon a profile or role"
            )
        case _ if isinstance(error, TRANSPORT_ERRORS):
            return RetryableError(f"{what}: the connection failed ({_brief(error)})")
        case _:
            return PermanentError(f"{what}: {_brief(error)}")


def error_code(error: ClientError) -> str:
    """Return the error code of a response, such as 'NoSuchKey'; '' if it has none."""
    return str(_said(error).get("Error", {}).get("Code", ""))


def status_code(error: ClientError) -> int:
    """Return the HTTP status of a response; 0 if unknown."""
    return int(_said(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing_key(error: ClientError) -> bool:
    """Return whether an error says that the bucket has no such object."""
    code = error_code(error)
    return code in ("NoSuchKey", "NoSuchVersion") or (status_code(error) == 404 and code not in _GONE_THINGS)


def _from_answer(error: ClientError, what: str) -> SyncdError:
    code, status = error_code(error), status_code(error)
    if code == "PreconditionFailed" or status == 412:
        return ChangedError(f"{what} was changed while it was being read")
    if code in _THROTTLED or (status in (429, 503) and code not in _TRANSIENT):
        return ThrottledError(f"{what}: throttled by the service ({code or status})", _retry_after_s(error))
    if code in _STALE_CREDENTIALS:
        return StaleCredentialsError(
            f"{what}: the AWS credentials have expired or the clock is wrong ({code}); renew them"
        )
    if code in _TRANSIENT or status >= 500:
        return RetryableError(f"{what}: the service failed ({code or status})", _retry_after_s(error))
    if code in _GONE_THINGS or status == 404:
        return NotFoundError(f"{what} does not exist ({code}); check the name, the region and the account")
    if code == _ARCHIVED:
        return PermanentError(f"{what} is archived; restore it first")
    if code in _WRONG_CREDENTIALS or status == 401:
        return MisconfiguredError(f"{what}: AWS does not recognise these credentials ({code or status}); check the key")
    if code in _WRONG_REGION:
        return MisconfiguredError(f"{what}: {code}: {_message(error)}; check the region")
    if code in _DENIED or status == 403:
        return MisconfiguredError(f"{what}: access denied; {_lacking(what)} (see: syncd s3 setup)")
    return PermanentError(f"{what}: {code or status}: {_message(error)}")


def _lacking(what: str) -> str:
    if what.startswith("s3://"):
        return "the key needs s3:GetObject and s3:ListBucket, without the latter a missing object looks forbidden"
    if what.startswith(("http://", "https://")):
        return "the key needs sqs:ReceiveMessage, DeleteMessage, ChangeMessageVisibility and GetQueueAttributes"
    return "the key lacks the permission"


def _said(error: ClientError) -> ErrorAnswer:
    return error.response  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - botocore is untyped


def _message(error: ClientError) -> str:
    return str(_said(error).get("Error", {}).get("Message", ""))[:300]


def _retry_after_s(error: ClientError) -> float | None:
    headers = _said(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return retry_after_s(headers.get("retry-after"))


def _brief(error: Exception) -> str:
    return storable(" ".join(str(error).split())[:300]) or type(error).__name__

"""Every error response in one format: `{"error": …, "message": …}`."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from syncd.errors import BugError, ConflictError, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.redaction import redacted
from syncd.runtime.containment import contained
from syncd.schema import Model

log = structlog.get_logger()

AWAY_STATUS = web.RequestKey("away_status", int)
"""The status of a request's response while what it needs is away: 503 where the route's documentation has it, else 500."""

ERROR_CODES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
"""The value of `error` for each status."""


class ErrorResponse(Model):
    """The body of every response with a status of 400 or above."""

    error: str
    message: str


class RefusedError(SyncdError):
    """The request is rejected with `status`; the message says what to do next."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def bad_request(message: str) -> RefusedError:
    """Return a RefusedError with status 400, for an invalid request."""
    return RefusedError(400, message)


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error response; the message is redacted and reduced to one line of valid UTF-8."""
    line = " ".join(redacted(message).split()).encode("utf-8", "replace").decode()
    body = ErrorResponse(error=ERROR_CODES.get(status, "error"), message=line)
    return web.json_response(text=body.model_dump_json(), status=status, headers=headers)


@web.middleware
async def shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals, aiohttp's errors and the daemon's own errors into the published format.

    While Chroma or a model is unavailable the response is 503 with Retry-After, and 500 on routes of the published document,
    which has 503 only for /health. A bug is a 500 too; its traceback goes to the log, and callers learn no details.
    """
    try:
        with contained("request", method=request.method, path=request.path):
            try:
                return await handler(request)
            except web.HTTPException as error:
                foreign = error
        return _shaped(request, foreign)
    except RefusedError as error:
        return error_response(error.status, str(error), error.headers)
    except BugError as error:
        log.error("api.failed", method=request.method, path=request.path, report=error.report)
        if request.writer.output_size > 0:
            raise
        return error_response(500, f"internal error in syncd: please report it, with {error.report} from its log")
    except NotFoundError as error:
        return error_response(404, str(error))
    except ConflictError as error:
        return error_response(409, str(error))
    except PermanentError as error:
        return error_response(400, str(error))
    except RetryableError as error:
        delay_s = 5 if error.retry_after_s is None else max(1, round(error.retry_after_s))
        return error_response(request.get(AWAY_STATUS, 500), str(error), {"Retry-After": str(delay_s)})


def _shaped(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    if isinstance(error, web.HTTPNotFound):
        return error_response(404, f"{request.path} does not exist; see /openapi.json for all paths")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return error_response(405, f"{request.path} accepts only {allowed}", {"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return error_response(400, "the request body is too large; send a smaller one")
    return error_response(error.status, error.text or error.reason)

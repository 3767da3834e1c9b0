"""Every refusal in one shape: `{"error": …, "message": …}`."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from syncd.errors import BugError, ConflictError, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.runtime.containment import contained
from syncd.schema import Model

log = structlog.get_logger()

CODES: Mapping[int, str] = {
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
"""The `error` word of each status."""


class ErrorResponse(Model):
    """The body of every answer from 400 on."""

    error: str
    message: str


class RefusedError(SyncdError):
    """The request is answered with this status; the message says what to do next."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def bad_request(message: str) -> RefusedError:
    """Return the refusal of a request that is wrong in itself."""
    return RefusedError(400, message)


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error answer; the message becomes one line of valid UTF-8."""
    line = " ".join(message.split()).encode("utf-8", "replace").decode()
    body = ErrorResponse(error=CODES.get(status, "error"), message=line)
    return web.json_response(text=body.model_dump_json(), status=status, headers=headers)


@web.middleware
async def shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals, foreign HTTP errors and the daemon's own errors into the published shape.

    While Chroma or a model is away the answer is 500 with Retry-After: the published document has no 503 but on /health.
    A bug is 500 too, its traceback in the log; what went wrong is not told to strangers.
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
        return error_response(
            500, f"something went wrong inside syncd: please report it, with {error.report} of its log"
        )
    except NotFoundError as error:
        return error_response(404, str(error))
    except ConflictError as error:
        return error_response(409, str(error))
    except PermanentError as error:
        return error_response(400, str(error))
    except RetryableError as error:
        delay_s = 5 if error.retry_after_s is None else max(1, round(error.retry_after_s))
        return error_response(500, str(error), {"Retry-After": str(delay_s)})


def _shaped(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    if isinstance(error, web.HTTPNotFound):
        return error_response(404, f"there is no {request.path}; see /openapi.json for what there is")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return error_response(405, f"{request.path} answers {allowed} only", {"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return error_response(400, "the request body is too large; send a smaller one")
    return error_response(error.status, error.text or error.reason)

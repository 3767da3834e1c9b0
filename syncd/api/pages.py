"""What the daemon's address shows: the dashboard to browsers, a word of welcome to others; and the API's description for people."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import ETag, web

from syncd import __version__
from syncd.api.errors import RefusedError
from syncd.api.route import Access, Route, json_answer
from syncd.dashboard import PageFile, page_files
from syncd.quoting import shown
from syncd.schema import Model

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""The dashboard's files alone, from this daemon alone: nothing that a document says can become a script, a style or a request."""
ANSWER_POLICY: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Welcome(Model):
    """What a program is told that opens the daemon's address."""

    name: str
    version: str
    description: str
    openapi: str
    """Where the API is described."""
    health: str
    token: str
    """How to get the token that all other requests need."""


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Have browsers show answers as what they are said to be, run nothing in them, and tell other hosts nothing of them."""
    del request
    for name, value in ANSWER_POLICY.items():
        response.headers.setdefault(name, value)


async def welcome(request: web.Request) -> web.Response:
    """Show the dashboard to clients that accept HTML; say to others what this is, and where the API is described."""
    if _prefers_html(request.headers.get("accept", "")):
        answer = _served(request, page_files()["index.html"])
    else:
        told = Welcome(
            name="syncd",
            version=__version__,
            description="keeps Chroma collections in sync with their sources; a browser shows the dashboard here",
            openapi="/openapi.json",
            health="/health",
            token="the header x-chroma-token needs one: `syncd token create NAME` makes it",  # noqa: S106 - says how to get one
        )
        answer = json_answer(told.model_dump())
    answer.headers["Vary"] = "Accept"
    return answer


async def docs(request: web.Request) -> web.Response:
    """Show the OpenAPI document to people."""
    return _served(request, page_files()["docs.html"])


async def page_file(request: web.Request) -> web.Response:
    """Return one of the dashboard's files."""
    name = request.match_info["file"]
    if name not in page_files():
        raise RefusedError(404, f"the dashboard has no file {shown(name)}; open / in a browser")
    return _served(request, page_files()[name])


def _served(request: web.Request, file: PageFile) -> web.Response:
    """Return a file, or that the browser has it still: another version of syncd has other files under the same names."""
    answer = web.Response(body=file.body, content_type=file.media_type, charset="utf-8")
    if any(tag.value == file.tag for tag in request.if_none_match or ()):
        answer = web.Response(status=304)
    answer.etag = ETag(file.tag)
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Content-Security-Policy"] = PAGE_POLICY
    return answer


def _prefers_html(accept: str) -> bool:
    """Return whether HTML is accepted by its name, and JSON is not named before it."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((kind == "text/html" for kind in named if kind in ("text/html", "application/json")), False)


ROUTES = (
    Route(
        "GET",
        "/",
        welcome,
        "welcome",
        "System",
        "Show the dashboard, or say what this is",
        {200: Welcome},
        errors=(400, 403),
        access=Access.OPEN,
        own=True,
    ),
    Route(
        "GET",
        "/docs",
        docs,
        "docs",
        "System",
        "Show the OpenAPI document to people",
        {200: None},
        errors=(400, 403),
        access=Access.OPEN,
        own=True,
    ),
    Route(
        "GET",
        "/dashboard/{file}",
        page_file,
        "get_dashboard_file",
        "System",
        "Get one of the dashboard's files",
        {200: None},
        errors=(400, 403, 404),
        access=Access.OPEN,
        own=True,
    ),
)

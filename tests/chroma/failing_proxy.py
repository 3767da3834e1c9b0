"""A proxy before a real server that answers otherwise for a while, as overloaded and misconfigured ones do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from aiohttp import web

from tests.serving import serve

Fails = Callable[[str, str, bytes], int | None]
"""Method, path and body of a request → the status to answer instead of passing it on, or None."""


class FailingProxy:
    """`fails` and `message`, which it answers then, may be changed at any time; `failed` and `passed` count requests."""

    def __init__(self, behind) -> None:
        self._behind = f"http://{behind.host}:{behind.port}"
        self.host, self.port = "127.0.0.1", 0
        self.fails: Fails = lambda _method, _path, _body: None
        self.message = "not now"
        self.failed = self.passed = 0

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self.fails(request.method, request.path, body)
        if status is not None:
            self.failed += 1
            return web.json_response({"error": "Bad", "message": self.message}, status=status)
        self.passed += 1
        headers = {"content-type": "application/json"}
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            found = await client.request(request.method, self._behind + request.path_qs, content=body, headers=headers)
        return web.Response(body=found.content, status=found.status_code, content_type="application/json")

    @contextmanager
    def running(self) -> Iterator["FailingProxy"]:
        with serve(self.answer) as url:
            self.port = int(url.rpartition(":")[2])
            yield self


def once(fails: Fails) -> Fails:
    """Fail the first request that `fails` picks, and none after it."""
    over = False

    def picked(method: str, path: str, body: bytes) -> int | None:
        nonlocal over
        status = None if over else fails(method, path, body)
        over = over or status is not None
        return status

    return picked

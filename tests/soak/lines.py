"""Lines between the daemon and what it depends on, each of which may be in trouble for a while."""

import asyncio
import base64
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import numpy as np
from aiohttp import web

from tests.aws_servers import HOP_HEADERS
from tests.serving import serve

DIMENSIONS = 16
POLL_S = 0.05
PASSING = ("reset", "503", "hang", "flaky")
FLAKY_SHARE = 0.7


@dataclass
class Line:
    """Passes requests on to an address or a handler, except in `trouble`: "reset" (no answer), "hang" (none until it is over),
    "flaky" (most get none), or a status.
    """

    name: str
    behind: str | Callable[[web.Request], Awaitable[web.StreamResponse]]
    troubles: tuple[str, ...] = PASSING
    trouble: str = ""
    refusal: Callable[[web.Request], web.Response] | None = None
    """What "403" says."""
    url: str = ""

    @contextmanager
    def open(self) -> Iterator["Line"]:
        with serve(self.answer) as self.url:
            yield self

    async def answer(self, request: web.Request) -> web.StreamResponse:
        trouble = self.trouble
        while self.trouble == "hang":  # noqa: ASYNC110 - another thread says when it is over
            await asyncio.sleep(POLL_S)
        if trouble == "flaky":
            trouble = "reset" if random.random() < FLAKY_SHARE else ""
        if trouble in ("reset", "hang"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if trouble == "403" and self.refusal is not None:
            return self.refusal(request)
        if trouble:
            return web.Response(status=int(trouble))
        return await (self._passed_on(request) if isinstance(self.behind, str) else self.behind(request))

    async def _passed_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, f"{self.behind}{request.raw_path}", headers=headers, data=await request.read()
            ) as answer,
        ):
            body = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_HEADERS}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("content-length", "0")
            return web.Response(status=answer.status, headers=kept, body=body)


async def embed(request: web.Request) -> web.Response:
    """Answer as an embedding server does, with vectors that depend on the texts alone."""
    rows = [
        {"index": number, "embedding": base64.b64encode(vector(text).tobytes()).decode()}
        for number, text in enumerate((await request.json())["input"])
    ]
    return web.json_response({"data": rows, "usage": {"total_tokens": len(rows)}})


def vector(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    row = np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
    return row / np.linalg.norm(row)

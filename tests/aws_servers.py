"""Two independent imitations of AWS over HTTP, and a proxy that makes either of them fail."""

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiohttp import web
from yarl import URL

from syncd.chroma.server import free_port
from syncd.sources.s3.endpoint import AwsKey, Endpoint

REGION = "us-east-1"
KEY = AwsKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SESSION = AioSession()
COMMANDS = {
    "ministack": ([sys.executable, "-m", "ministack"], lambda port: {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": port}),
    "moto": ([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p"], lambda _: {}),
}


@dataclass(frozen=True)
class Aws:
    """One running server."""

    kind: str
    url: str

    def endpoint(self, url: str | None = None) -> Endpoint:
        return Endpoint(REGION, KEY, url=url or self.url, path_style=True)

    @asynccontextmanager
    async def client(self, service: str) -> AsyncIterator[Any]:
        config = AioConfig(s3={"addressing_style": "path"}, max_pool_connections=50)
        async with SESSION.create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=KEY.access_key_id,
            aws_secret_access_key=KEY.secret_access_key,
            config=config,
        ) as client:
            yield client


def served(kind: str, folder: Any) -> Iterator[Aws]:
    command, variables = COMMANDS[kind]
    port = str(free_port())
    command = [*command, port] if kind == "moto" else command
    with open(folder / f"{kind}.log", "wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | variables(port), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/", process)
        yield Aws(kind, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended at its start"
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    yield from served("ministack", tmp_path_factory.mktemp("ministack"))


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    yield from served("moto", tmp_path_factory.mktemp("moto"))


@pytest.fixture(params=["ministack", "moto"])
def aws(request: pytest.FixtureRequest) -> Aws:
    return request.getfixturevalue(request.param)


Fault = Callable[[web.Request], str | None]
"""Names what goes wrong with a request, or None: see `FaultyProxy`."""


def first_gets(count: int, fault: str) -> Fault:
    """Let the first `count` GETs go wrong."""
    left = count

    def decide(request: web.Request) -> str | None:
        nonlocal left
        if request.method != "GET" or left == 0:
            return None
        left -= 1
        return fault

    return decide


HOP_HEADERS = frozenset({"transfer-encoding", "connection", "keep-alive", "content-length"})


@dataclass
class FaultyProxy:
    """Passes requests on to a server, except when `fault` says otherwise: a status and code ("503 SlowDown"), "reset" (no
    answer), "cut" (half a body), "slow" (a pause within the body), "stall" (silence until the proxy ends), "rangeless"
    (Range and If-Match are not heeded)."""

    upstream: str
    fault: Fault = lambda _: None
    url: str = ""
    requests: int = 0
    faults: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyProxy"]:
        async with aiohttp.ClientSession(auto_decompress=False) as self.session:
            self.ended = asyncio.Event()
            app = web.Application(client_max_size=1 << 30)
            app.router.add_route("*", "/{tail:.*}", self.handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            port = free_port()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{port}"
            try:
                yield self
            finally:
                self.ended.set()
                await runner.cleanup()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        fault = self.fault(request)
        self.faults += fault is not None
        if fault and fault[0].isdigit():
            status, code = fault.split()
            body = (
                f"<Error><Code>{code}</Code><Message>as asked for</Message></Error>" if request.method != "HEAD" else ""
            )
            return web.Response(status=int(status), text=body, content_type="application/xml")
        if fault == "reset":
            request.transport.abort()
            return web.Response()
        if fault == "stall":
            await self.ended.wait()
        try:
            return await self.passed_on(request, fault)
        except aiohttp.ClientError:
            # The server closed an idle connection as it was used again: to the client, one more bad line.
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def passed_on(self, request: web.Request, fault: str | None) -> web.StreamResponse:
        dropped = {"range", "if-match"} if fault == "rangeless" else set[str]()
        headers = {n: v for n, v in request.headers.items() if n.lower() not in dropped | {"transfer-encoding"}}
        url = URL(self.upstream + request.raw_path, encoded=True)
        async with self.session.request(
            request.method, url, headers=headers, data=await request.read() or None, allow_redirects=False
        ) as answer:
            body = await answer.read()
            kept = [(n, v) for n, v in answer.headers.items() if n.lower() not in HOP_HEADERS]
            response = web.StreamResponse(status=answer.status, headers=kept)
            response.headers["Content-Length"] = answer.headers.get("content-length", str(len(body)))
            with suppress(ConnectionError):
                await self.answer(request, response, body, fault)
            return response

    async def answer(self, request: web.Request, response: web.StreamResponse, body: bytes, fault: str | None) -> None:
        await response.prepare(request)
        if request.method == "HEAD":
            return
        half = len(body) // 2
        await response.write(body[:half])
        if fault == "cut" and body:
            request.transport.abort()
            return
        if fault == "slow":
            await asyncio.sleep(0.02)
        await response.write(body[half:])
        await response.write_eof()

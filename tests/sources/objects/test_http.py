"""What all requests share: patience with a service that is busy, and silence about signatures."""

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest
from aiohttp import web
from yarl import URL

from syncd.errors import PermanentError, RetryableError
from syncd.sources.azure_blob.credentials import SasToken
from syncd.sources.azure_blob.errors import azure_error
from syncd.sources.objects.http import Asking, HttpClient, HttpConnection
from syncd.sources.objects.transport import ThrottledError
from tests.serving import serve
from tests.sources.objects.clouds import FAST

SECRET = "sig=SECRETSIGNATURE"


@pytest.fixture
async def connection() -> AsyncIterator[HttpConnection]:
    client = HttpClient(FAST)
    yield HttpConnection(client, SasToken(SECRET), azure_error)
    await client.close()


async def test_a_busy_service_is_left_alone_for_as_long_as_it_says(connection: HttpConnection):
    asked = 0

    async def busy(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=503, headers={"Retry-After": "100"})

    with serve(busy) as url:
        with pytest.raises(ThrottledError) as refused:
            await connection.call(Asking(URL(url)), "x", bytes)
        assert (asked, refused.value.retry_after_s) == (1, 100)
        with anyio.move_on_after(0.2) as waiting:
            async with connection.answer(Asking(URL(url)), "x"):
                raise AssertionError
        assert (asked, waiting.cancelled_caught) == (1, True)


async def test_a_redirect_is_not_followed(connection: HttpConnection):
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://169.254.169.254/latest/meta-data/"})

    with serve(elsewhere) as url, pytest.raises(PermanentError, match="307"):
        await connection.call(Asking(URL(url)), "x", bytes)


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b""])
async def test_a_signature_is_in_no_message(connection: HttpConnection, answer: bytes):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            with suppress(OSError):
                while True:
                    talking, _ = listener.accept()
                    with talking:
                        talking.recv(10_000)
                        talking.sendall(answer)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(RetryableError) as failed:
            await connection.call(Asking(URL(f"http://127.0.0.1:{listener.getsockname()[1]}/c")), "azure://a/c/", bytes)
    assert str(failed.value).startswith("azure://a/c/: the connection failed (")
    assert "SECRET" not in str(failed.value)

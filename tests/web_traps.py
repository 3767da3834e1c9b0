"""A web server that misbehaves on request: every byte of an answer is the test's to choose, every request is on record."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    path: str
    headers: Mapping[str, str]
    method: str = "GET"


@dataclass
class Answer:
    """`raw` is sent as it is; a body that is an async iterator is sent piece by piece until the client goes away."""

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    before: Callable[[], Awaitable[None]] | None = None


Handler = Answer | Callable[[Request], Answer]


class TrapServer:
    """`pages` maps a path (or path and query) to an answer; a path ending in `*` answers for all that begin so."""

    def __init__(self) -> None:
        self.pages: dict[str, Handler] = {}
        self.log: list[Request] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """Every path asked for, in order, without robots.txt and sitemap.xml."""
        return [one.path for one in self.log if one.path not in ("/robots.txt", "/sitemap.xml")]

    def add(self, path: str, body: str = "", *links: str, title: str = "", head: str = "", **headers: str) -> None:
        """Serve a small page."""
        self.pages[path] = Answer(html(title or f"Page {path}", body, *links, head=head), headers=named(headers))

    def answer(self, request: Request) -> Answer:
        for path in (request.path, request.path.partition("?")[0]):
            if path in self.pages:
                return made(self.pages[path], request)
        for path, handler in self.pages.items():
            if path.endswith("*") and request.path.startswith(path[:-1]):
                return made(handler, request)
        return Answer(b"no such page", 404, {"Content-Type": "text/plain"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.log.append(request)
                if not await send(writer, self.answer(request)) or request.headers.get("connection") == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def html(title: str, body: str, *links: str, head: str = "") -> bytes:
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    text = body or f"This is the text of {title}, long enough to be the content of a page of its own. " * 3
    return (
        f"<!doctype html><html lang=en><head><title>{title}</title>{head}</head>"
        f"<body><main><h1>{title}</h1><p>{text}</p>{anchors}</main></body></html>"
    ).encode()


def named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def redirect(location: str, status: int = 302) -> Answer:
    return Answer(b"", status, {"Location": location})


def made(handler: Handler, request: Request) -> Answer:
    return handler if isinstance(handler, Answer) else handler(request)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    line = (await reader.readline()).decode("latin-1").split()
    if len(line) < 2:
        return None
    headers: dict[str, str] = {}
    while (text := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line[1], headers, line[0])


async def send(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send one answer; return whether the connection can go on."""
    if answer.before is not None:
        await answer.before()
    if answer.raw is not None:
        writer.write(answer.raw)
        await writer.drain()
        return False
    headers = {"Content-Type": "text/html; charset=utf-8", **answer.headers}
    endless = not isinstance(answer.body, bytes)
    if not endless and "Content-Length" not in headers:
        headers["Content-Length"] = str(len(answer.body))
    if endless:
        headers["Connection"] = "close"
    lines = [
        f"HTTP/1.1 {answer.status} Status",
        *(f"{name}: {value}" for name, value in headers.items() if value),
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode("latin-1"))
    if not endless:
        if answer.status != 304:
            writer.write(answer.body)
        await writer.drain()
        return True
    async for piece in answer.body:
        writer.write(piece)
        await writer.drain()
    return False


@asynccontextmanager
async def trap_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[TrapServer]:
    traps = TrapServer()
    server = await asyncio.start_server(traps.serve, "127.0.0.1", 0, ssl=tls)
    traps.port = server.sockets[0].getsockname()[1]
    try:
        yield traps
    finally:
        server.close()

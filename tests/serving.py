"""An aiohttp handler on a free loopback port, in a thread of its own: it answers other threads and processes."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextmanager
def serve(handler: Handler, max_body_bytes: int = 1 << 30) -> Iterator[str]:
    """Yield the address, without a slash at its end."""
    addresses: list[str] = []
    started, stop = threading.Event(), threading.Event()

    async def main() -> None:
        application = web.Application(client_max_size=max_body_bytes)
        application.router.add_route("*", "/{path:.*}", handler)
        # No handler that hangs is waited for; of 0 aiohttp would make for ever.
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        addresses.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        started.set()
        await asyncio.to_thread(stop.wait)
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield addresses[0]
    finally:
        stop.set()
        thread.join(30)

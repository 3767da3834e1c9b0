"""The half of a child that answers many requests at once, asynchronously: its parent's `Worker` is told how many, `at_once`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from syncd.json_types import JsonObject
from syncd.runtime.child import Channel, failed
from syncd.runtime.frames import Frame, receive

AsyncHandler = Callable[[Frame], Awaitable[Frame]]


async def serve_at_once(channel: Channel, handle: AsyncHandler, hello: JsonObject | None = None) -> None:
    """Say hello, then answer each request in a task of its own, as soon as it can be, until the parent closes the pipe.

    What `handle` raises reaches the caller as with `Channel.serve`. What is being answered when the pipe is closed is dropped.
    """
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), channel.requests)
    channel.reply(0, Frame(hello or {}))
    tasks: set[asyncio.Task[None]] = set()
    while (request := await receive(requests)) is not None:
        task = asyncio.create_task(_answer(channel, handle, request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _answer(channel: Channel, handle: AsyncHandler, request: Frame) -> None:
    try:
        reply = await handle(request)
    except Exception as error:  # the caller hears of it, and the other requests go on
        reply = failed(error)
    channel.reply(request.header["id"], reply)

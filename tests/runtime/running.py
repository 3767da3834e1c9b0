"""Runs an actor for the length of a block."""

from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def running(actor):
    """Yield once `actor` has started; stop it at the end."""
    async with anyio.create_task_group() as group:
        await group.start(actor.run)
        yield actor
        group.cancel_scope.cancel()

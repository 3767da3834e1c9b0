"""How long a server may take: as long as it shows that it lives, within a limit."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from syncd.errors import RetryableError, SyncdError

LONGEST_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one command that talks to a server."""

    stall_timeout_s: float = 300.0
    """Without a sign of life."""
    total_timeout_s: float = 21_600.0
    """Whatever arrives."""

    async def wait(self, work: Callable[[], Awaitable[None]], signs: Callable[[], int], command: str) -> None:
        """Do `work`, and break it off when `signs` has returned the same number for too long, or at the limit.

        Raises RetryableError then, and what `work` raises.
        """
        over, problem = "", None
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                nonlocal over
                over = await self._over(signs, command)
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            try:
                await work()
            except SyncdError as error:
                problem = error
            tasks.cancel_scope.cancel()
        if over:
            raise RetryableError(over)
        if problem:
            raise problem

    async def _over(self, signs: Callable[[], int], command: str) -> str:
        """Wait for the end of patience and return the reason."""
        begun = last = time.monotonic()
        seen = -1
        while (now := time.monotonic()) - begun < self.total_timeout_s:
            if (sign := signs()) != seen:
                seen, last = sign, now
            elif now - last >= self.stall_timeout_s:
                return (
                    f"git {command}: the server was silent for {self.stall_timeout_s:g} s and is asked again later; "
                    "git.stall_timeout_s allows more"
                )
            await anyio.sleep(min(LONGEST_LOOK_S, self.stall_timeout_s / 10))
        return f"git {command} took longer than {self.total_timeout_s:g} s; git.fetch_timeout_s allows more"

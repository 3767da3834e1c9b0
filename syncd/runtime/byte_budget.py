"""A budget of bytes that tasks hold while they work, so that memory stays bounded whatever the sizes."""

from __future__ import annotations

from dataclasses import dataclass

import anyio


class ByteBudget:
    """Bounds the bytes of text that are in memory at once; one document larger than all of it goes alone."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._free_bytes = size_bytes
        self._changed = anyio.Condition()

    def taken(self, size_bytes: int) -> Share:
        """Return a context manager that waits for `size_bytes` and gives them back."""
        return Share(self, min(size_bytes, self._size_bytes))

    async def take(self, size_bytes: int) -> None:
        """Wait until `size_bytes` are free and take them."""
        async with self._changed:
            while self._free_bytes < size_bytes:
                await self._changed.wait()
            self._free_bytes -= size_bytes

    async def give_back(self, size_bytes: int) -> None:
        """Make `size_bytes` free again."""
        with anyio.CancelScope(shield=True):
            async with self._changed:
                self._free_bytes += size_bytes
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes taken from the budget; a context manager that waits for them and gives them back."""

    budget: ByteBudget
    size_bytes: int

    async def __aenter__(self) -> None:
        await self.budget.take(self.size_bytes)

    async def __aexit__(self, *_: object) -> None:
        await self.budget.give_back(self.size_bytes)

"""Locks by key, for work that must be serialised per key."""

from __future__ import annotations

from dataclasses import dataclass

import anyio


class KeyLocks:
    """One lock per key, there only while somebody holds or wants it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[anyio.Lock, int]] = {}

    def hold(self, key: str) -> HeldKey:
        """Return a context manager that waits for `key` and frees it."""
        return HeldKey(self, key)

    async def acquire(self, key: str) -> None:
        """Wait until `key` is free and take it."""
        lock, users = self._locks.get(key, (anyio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave(key)
            raise

    def release(self, key: str) -> None:
        """Release `key`; the next waiter gets it. Call once per `acquire`."""
        self._locks[key][0].release()
        self._leave(key)

    def _leave(self, key: str) -> None:
        lock, users = self._locks[key]
        if users == 1:
            del self._locks[key]
        else:
            self._locks[key] = (lock, users - 1)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key held for the length of a `with`."""

    locks: KeyLocks
    key: str

    async def __aenter__(self) -> None:
        await self.locks.acquire(self.key)

    async def __aexit__(self, *_: object) -> None:
        self.locks.release(self.key)

"""Finds the document that crashes the daemon, by durable marks of the documents being prepared ("in hand").

Usually only one of the up to 64 documents in hand at a crash is to blame. It is found like this:

- Every crash counts against each document version that was in hand. A version that does not crash the daemon is cleared.
- With two crashes against it a document is a suspect, and suspects are prepared alone: nothing else is in hand meanwhile.
- A document is set aside after three crashes if it was the only one in hand at the last. So other documents are never
  blamed: prepared alone, they do not crash the daemon and are cleared.

An unrelated crash (a power failure, a kill) while a suspect is prepared alone is still blamed on it; `syncd retry` or a
new version gives any document another chance. In hand means being parsed or chunked, not fetched, embedded or written, so
nothing is suspected while the daemon waits for a model or for the vector store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Self, TypeVar

import anyio

from syncd.errors import RetryableError
from syncd.store.marks import DEATHS_MAX, Mark, Marks

T = TypeVar("T")

SET_ASIDE = (
    f"the daemon died {DEATHS_MAX} times while preparing this document, the last time with no other: it is skipped until it "
    "changes; please report it, then retry with `syncd retry INVOCATION`"
)


class InHand:
    """Marks documents as in hand. An async context manager around serving: if the daemon did not stop cleanly, entering
    counts a crash against what was in hand; leaving removes all marks. Both are safe to repeat.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._suspicious: frozenset[tuple[str, bytes]] = frozenset()
        self._held: Counter[Mark] = Counter()
        self._unwritten: set[Mark] = set()
        self._writing = anyio.Lock()
        self._changed = anyio.Condition()
        self._suspects = 0
        """Suspects being prepared, or waiting for other documents to finish."""

    async def __aenter__(self) -> Self:
        self._suspicious = await self._marks.reckon()
        return self

    async def __aexit__(self, *_: object) -> None:
        # Marks that cannot be removed count as one more crash, which alone sets nothing aside.
        with anyio.CancelScope(shield=True), suppress(RetryableError):
            await self._marks.release()

    async def is_set_aside(self, mark: Mark) -> bool:
        """Return whether this document has been set aside for crashing the daemon. Raises RetryableError."""
        return mark[:2] in self._suspicious and (await self._marks.record(mark)).condemned

    async def survived(self, mark: Mark) -> None:
        """Clear a document, because it has an outcome and the daemon did not crash. Twice is safe. Raises RetryableError."""
        if mark[:2] in self._suspicious:
            # Its mark may still be there, to be taken off with those of others; what is marked keeps its record.
            await self._write(mark)
            await self._marks.clear(mark)

    async def steps(self, mark: Mark, work: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """Yield what `work` yields; the document is in hand while `work` runs, and not while the consumer is busy.

        A suspect's items are all collected first, while nothing else is in hand. Waits while suspects are prepared, but not
        between steps, since `work` may hold a parser that they need. Raises RetryableError if the mark cannot be made
        durable, and what `work` raises.
        """
        is_suspect = mark[:2] in self._suspicious and (await self._marks.record(mark)).deaths >= DEATHS_MAX - 1
        if is_suspect:
            async with self._holding(mark, alone=True):
                gathered = [item async for item in work]
            for item in gathered:
                yield item
            return
        # One step ahead, so that a document of one step is marked once.
        async with self._holding(mark):
            item, following = await anext(work, None), await anext(work, None)
        while item is not None:
            yield item
            item = following
            if item is not None:
                async with self._holding(mark, again=True):
                    following = await anext(work, None)

    @asynccontextmanager
    async def _holding(self, mark: Mark, *, alone: bool = False, again: bool = False) -> AsyncGenerator[None]:
        self._suspects += alone
        try:
            async with self._changed:
                while self._held if alone else self._suspects and not again:
                    await self._changed.wait()
                self._hold(mark, 1)
            try:
                await self._write(mark)
                yield
            finally:
                self._hold(mark, -1)
                if not self._held:
                    # Otherwise the next one to be marked, or the last one to leave, writes this too.
                    with anyio.CancelScope(shield=True), suppress(RetryableError):
                        await self._write(mark)
        finally:
            self._suspects -= alone
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._changed.notify_all()

    def _hold(self, mark: Mark, change: int) -> None:
        self._held[mark] += change
        if not self._held[mark]:
            del self._held[mark]
        self._unwritten.add(mark)

    async def _write(self, mark: Mark) -> None:
        """Make a mark durable, in one transaction with everything that is to be written; returns where another's did it."""
        async with self._writing:
            if mark not in self._unwritten:
                return
            marks, self._unwritten = self._unwritten, set()
            try:
                with anyio.CancelScope(shield=True):
                    await self._marks.write({mark: mark in self._held for mark in marks})
            except RetryableError:
                self._unwritten |= marks
                raise

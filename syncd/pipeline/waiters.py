"""Who waits for prepared documents to be written. In memory only: after a crash their runs come again and wait anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from syncd.model import DocumentState
from syncd.pipeline.result import Result
from syncd.runtime.mailbox import Reply
from syncd.store.changes import PreparedDocument, Staged

Owner = tuple[int, str, str]
"""Collection, source and key."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """One run that waits for one prepared version of a document, or for a later one in its place."""

    run_number: int
    prepared_id: int
    result: Result
    """What it is told, but for what only the end shows."""
    reply: Reply[Result]


class Waiters:
    """By document. A version that is overtaken by a later one is done when that is: ids of prepared versions ascend."""

    def __init__(self) -> None:
        self._waiting: dict[Owner, list[Waiter]] = {}

    def add(self, document: PreparedDocument, run_number: int, result: Result) -> Reply[Result]:
        """Return the reply that comes when the document is written. Never waits."""
        waiter = Waiter(run_number, document.id, result, Reply())
        self._waiting.setdefault(document.owner, []).append(waiter)
        return waiter.reply

    def written(self, document: PreparedDocument, staged: Staged) -> None:
        """Tell who waits for this version or an earlier one. Whoever asked first brought it; for others nothing changed."""
        is_first = True
        for waiter in self._take(document.owner, lambda waiter: waiter.prepared_id <= document.id):
            if is_first and waiter.prepared_id == document.id:
                is_first = False
                waiter.reply.settle(indexed(waiter.result, document, staged))
            else:
                waiter.reply.settle(replace(waiter.result, state=DocumentState.UNCHANGED))

    def refused(self, document: PreparedDocument, reason: str, *, is_put_off: bool = False) -> None:
        """Tell who waits for this version or an earlier one that it cannot be indexed, or not now."""
        for waiter in self._take(document.owner, lambda waiter: waiter.prepared_id <= document.id):
            failed = replace(waiter.result, state=DocumentState.FAILED, reason=reason, is_put_off=is_put_off)
            waiter.reply.settle(failed)

    def failed(self, document: PreparedDocument, error: Exception) -> None:
        """Tell who waits for this version or an earlier one that it did not get there for now."""
        for waiter in self._take(document.owner, lambda waiter: waiter.prepared_id <= document.id):
            waiter.reply.fail(error)

    def overtaken(self, owner: Owner) -> None:
        """Tell all who wait for a document that its source says something else of it by now, and that this is done."""
        for waiter in self._take(owner, lambda _: True):
            waiter.reply.settle(replace(waiter.result, state=DocumentState.UNCHANGED))

    def vanished(self, owner: Owner, error: Exception) -> None:
        """Tell all who wait for a document that nothing will come of it: it has to be brought again."""
        for waiter in self._take(owner, lambda _: True):
            waiter.reply.fail(error)

    def drop(self, run_number: int) -> list[int]:
        """Let a run's waiters go unanswered; return the prepared versions that nobody else waits for."""
        dropped: list[int] = []
        for owner in list(self._waiting):
            gone = {waiter.prepared_id for waiter in self._take(owner, lambda waiter: waiter.run_number == run_number)}
            dropped += gone - {waiter.prepared_id for waiter in self._waiting.get(owner, ())}
        return dropped

    def fail_all(self, error: Exception) -> None:
        """Send everybody away, because the stage stops."""
        for owner in list(self._waiting):
            for waiter in self._take(owner, lambda _: True):
                waiter.reply.fail(error)

    def owners(self) -> Iterator[Owner]:
        """Return the documents that somebody waits for."""
        return iter(list(self._waiting))

    def _take(self, owner: Owner, wanted: Callable[[Waiter], bool]) -> list[Waiter]:
        waiting = self._waiting.pop(owner, [])
        if rest := [waiter for waiter in waiting if not wanted(waiter)]:
            self._waiting[owner] = rest
        return [waiter for waiter in waiting if wanted(waiter)]


def indexed(result: Result, document: PreparedDocument, staged: Staged) -> Result:
    """Return the result of a document that is written now."""
    return replace(
        result,
        state=DocumentState.INDEXED,
        chunks=document.chunks,
        written=staged.written,
        deleted=staged.deleted,
        embedded=document.embedded,
        reused=max(0, document.chunks - document.embedded),
        tokens=document.tokens,
        warnings=document.warnings,
    )

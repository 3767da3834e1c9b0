"""A syncer in miniature: runs a source against a model of the index and obeys the same rules."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from syncd.errors import PermanentError, Skipped
from syncd.model import Checkpoint, Document, Invocation, Origin, Run, Source, State, Target, Total


@dataclass
class Index:
    """What one collection holds of one source."""

    contents: dict[str, bytes | str] = field(default_factory=dict)
    """Bytes where indexed; the reason where skipped or failed."""
    versions: dict[str, str] = field(default_factory=dict)
    cursor: str | None = None
    opened: list[str] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    expected: int = 0
    """How many documents the last run that said so was to yield."""

    async def version(self, key: str) -> str | None:
        return self.versions.get(key)

    async def keys(self) -> AsyncIterator[str]:
        for key in sorted(self.versions):
            yield key

    async def sync(
        self,
        source: Source,
        request: Mapping[str, Any] | None = None,
        keys: frozenset[str] | None = None,
        die_after: int | None = None,
    ) -> list[str]:
        """Run once and return the keys whose documents were opened or deleted; die before document `die_after`."""
        run = Run(invocation(request), self.cursor, self, keys)
        self.documents, self.opened, seen = [], [], set[str]()
        steps = source.changes(run)
        try:
            async for step in steps:
                if isinstance(step, Total):
                    self.expected = step.documents
                    continue
                if isinstance(step, Checkpoint):
                    if step.absent_are_gone:
                        self.drop(set(self.versions) - seen)
                    self.cursor = step.cursor
                    continue
                if die_after is not None and len(self.documents) >= die_after:
                    break
                seen.add(step.key)
                await self.apply(step, forced=keys is not None)
        finally:
            await steps.aclose()  # type: ignore[attr-defined]  # every source here is an async generator
        return self.opened

    async def apply(self, document: Document, *, forced: bool = False) -> None:
        self.documents.append(document)
        if document.body is None:
            self.drop({document.key} & set(self.versions))
        elif forced or self.versions.get(document.key) != document.version:
            self.opened.append(document.key)
            self.versions[document.key] = document.version
            self.contents[document.key] = await content(document)

    def drop(self, keys: set[str]) -> None:
        for key in sorted(keys):
            self.opened.append(key)
            del self.versions[key], self.contents[key]


async def content(document: Document) -> bytes | str:
    assert document.body is not None
    try:
        async with document.body.open() as file:
            return file.read()
    except Skipped as error:
        return f"skipped: {error}"
    except PermanentError as error:
        return f"failed: {error}"


def invocation(request: Mapping[str, Any] | None = None) -> Invocation:
    now = datetime.now(UTC)
    return Invocation("i", "s", Target("d", "c"), Origin.API, request or {}, State.PROCESSING, now)

"""A worker that prepares: the daemon's own preparer, whose jailed processes read documents on this node. The actor looks into none.

A request is of one document, by its number, which is used once:

    {"document": 7, "begin": {...}} + its bytes     → the first batches of its chunks
    {"document": 7}                                 → the next ones
    {"document": 7, "drop": true}                   → {}; it is not wanted any more, also where it begins only now: small requests
                                                      overtake those with many bytes

and an answer has batches behind each other, their "sizes" in bytes, and with the last ones the document's "warnings"; or a "failure", its
kind and why, and then none of the batches counts.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from typing_extensions import override

from syncd.errors import PermanentError, PutOffError, Skipped
from syncd.json_types import JsonObject
from syncd.model import Chunk, Chunking, Warnings
from syncd.model.warnings import warning_values
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.request import batch_frame
from syncd.pipeline.ray.actor import RayActor
from syncd.pipeline.ray.order import PreparingOrder
from syncd.pipeline.ray.preparing_versions import preparing_versions

FAILURE_KINDS: Mapping[str, type[PermanentError]] = {
    "skipped": Skipped,
    "put off": PutOffError,
    "permanent": PermanentError,
}
"""The kinds of failures, the special ones first."""
_ANSWER_BYTES = 1 << 20
_BATCHES_AHEAD = 4
_DROPPED_KEPT = 1024
"""Many times the requests that are under way, of which one may have been overtaken."""
_FOLDER = "syncd-worker-"


class PreparingActor(RayActor):
    """Prepares documents: one that is parsed and one text at a time, each in a process of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._documents: dict[int, _Document] = {}
        self._dropped: deque[int] = deque(maxlen=_DROPPED_KEPT)
        """Those that were not at work when they were dropped."""

    @override
    def begin(self, work: PreparingOrder) -> tuple[JsonObject, bytes]:
        """Be ready to prepare, and return the versions of what decides the outcome."""
        _use_own_folder()
        self._preparer = self.enter(DocumentPreparer(replace(work.settings, workers=1), module=work.module))
        return {"versions": dict(preparing_versions(work.settings))}, b""

    @override
    def answer(self, request: Mapping[str, Any], payload: bytes) -> tuple[JsonObject, bytes]:
        """Begin a document, go on with one, or drop it; see above. Raises RetryableError when no process starts here."""
        return self.awaited(self._answered(request, payload))

    async def _answered(self, request: Mapping[str, Any], payload: bytes) -> tuple[JsonObject, bytes]:
        number: int = request["document"]
        if "drop" in request:
            await self._drop(number)
            return {}, b""
        if "begin" in request:
            if number in self._dropped:
                return {}, b""
            self._documents[number] = _Document(self._preparer, request["begin"], payload)
        document = self._documents[number]
        try:
            return await document.more()
        except PermanentError as error:
            kind = next(kind for kind, of in FAILURE_KINDS.items() if isinstance(error, of))
            return {"sizes": [], "failure": [kind, str(error)]}, b""
        finally:
            if document.is_over:
                self._documents.pop(number, None)

    async def _drop(self, number: int) -> None:
        if (document := self._documents.pop(number, None)) is None:
            self._dropped.append(number)
        else:
            await document.end()


class _Document:
    """A document at work, a few batches ahead of who asks for them."""

    def __init__(self, preparer: DocumentPreparer, begin: Mapping[str, Any], data: bytes) -> None:
        self.is_over = False
        self._warnings = Warnings()
        self._put, self._batches = anyio.create_memory_object_stream[bytes](_BATCHES_AHEAD)
        work = preparer.treating(begin["secrets"]).prepare(
            io.BytesIO(data),
            begin["name"],
            begin["media_type"],
            begin["path"],
            Chunking(**begin["chunking"]),
            self._warnings,
            urgent=begin["urgent"],
        )
        self._task = asyncio.create_task(self._prepare(work))

    async def more(self) -> tuple[JsonObject, bytes]:
        """Wait for some megabyte of batches, or the last ones. Raises what preparing does."""
        found: list[bytes] = []
        try:
            while sum(map(len, found)) < _ANSWER_BYTES:
                found.append(await self._batches.receive())
        except anyio.EndOfStream:
            self.is_over = True
            await self._task
        last: JsonObject = {"warnings": list(warning_values(self._warnings.all()))} if self.is_over else {}
        return {"sizes": list(map(len, found)), **last}, b"".join(found)

    async def end(self) -> None:
        """Give it up: the process at work is ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _prepare(self, work: AsyncGenerator[Sequence[Chunk]]) -> None:
        with self._put:
            async with aclosing(work) as batches:
                async for batch in batches:
                    await self._put.send(batch_frame(batch).payload)


def _use_own_folder() -> None:
    """Have temporary files in a folder of this process, and remove those of workers before, who leave theirs when they are killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        process = left.name.removeprefix(_FOLDER).partition("-")[0]
        with suppress(FileNotFoundError):  # another worker that starts removes it, too
            if left.lstat().st_uid == os.geteuid() and not Path("/proc", process).exists():
                shutil.rmtree(left, ignore_errors=True)
    tempfile.tempdir = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-")

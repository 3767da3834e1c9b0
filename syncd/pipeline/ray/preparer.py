"""Documents prepared on a Ray cluster, behind the same `Preparer` protocol as here.

A document travels to a worker as it was fetched, and comes back as chunks. It is prepared here while no worker is there, and after it
was lost three times on the way, of which it may be to blame; so are those whose pictures the vision model describes, which is here,
and short texts.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import anyio

from syncd.errors import RetryableError
from syncd.json_types import JsonObject
from syncd.model import Chunk, Chunking, SecretsPolicy, Warnings
from syncd.model.formats import format_of
from syncd.model.warnings import warnings_of
from syncd.pipeline.prepare.preparer import CHUNK_BATCH, DocumentPreparer
from syncd.pipeline.ray.preparing import RayPreparers
from syncd.pipeline.ray.preparing_actor import FAILURE_KINDS
from syncd.pipeline.ray.workers import WORKERS_TRIED, RayWorker
from syncd.runtime.frames import Frame

_INLINE_BYTES = 1 << 20
"""Larger documents reach the driver as files: the daemon does not hold them in memory."""
_DROP_S = 5.0
LEAST_TEXT_BYTES = 16 << 10
"""Shorter texts stay: 4.8 kB of code cost 2.4 ms of a core when chunked here, and 2.6 ms here to be chunked elsewhere."""


@dataclass(frozen=True, slots=True)
class RayPreparer:
    """Implements `syncd.model.Preparer`. `local` prepares what does not travel; with `only_text` all but text."""

    local: DocumentPreparer
    workers: RayPreparers
    secrets: SecretsPolicy
    only_text: bool
    least_text_bytes: int = LEAST_TEXT_BYTES

    def fingerprint(self, name: str, media_type: str | None = None) -> str:
        """Return what, besides its bytes, decides the document's text: the same wherever it is prepared."""
        return self.local.fingerprint(name, media_type)

    async def prepare(
        self,
        file: BinaryIO,
        name: str,
        media_type: str | None,
        path: str,
        chunking: Chunking,
        warnings: Warnings | None = None,
        *,
        urgent: bool = False,
    ) -> AsyncGenerator[Sequence[Chunk]]:
        """See `syncd.model.Preparer`. `file` must be seekable and stays the caller's."""
        found, is_text = warnings or Warnings(), format_of(name, media_type).is_text
        begin: JsonObject = {"name": name, "media_type": media_type, "path": path, "chunking": asdict(chunking)}
        begin |= {"secrets": self.secrets, "urgent": urgent}
        done = 0
        for _ in range(WORKERS_TRIED if self._travels(file, is_text) else 0):
            if not self.workers.elsewhere:
                break
            try:
                async with (
                    self.workers.borrowed(is_text=is_text, urgent=urgent) as worker,
                    aclosing(self._by(worker, file, begin, found)) as batches,
                    aclosing(_after(done, batches)) as further,
                ):
                    async for batch in further:
                        done += 1
                        yield batch
                return
            except RetryableError:
                continue
        work = self.local.prepare(file, name, media_type, path, chunking, found, urgent=urgent)
        async with aclosing(work) as batches, aclosing(_after(done, batches)) as further:
            async for batch in further:
                yield batch

    def _travels(self, file: BinaryIO, is_text: bool) -> bool:
        size_bytes = file.seek(0, 2)
        is_worth_it = size_bytes >= self.least_text_bytes if is_text else not self.only_text
        return is_worth_it and size_bytes <= self.workers.settings.limits.size_bytes

    async def _by(
        self, worker: RayWorker, file: BinaryIO, begin: JsonObject, warnings: Warnings
    ) -> AsyncGenerator[Sequence[Chunk]]:
        """Yield what a worker makes of a document. Raises RetryableError when it is lost meanwhile, and as `prepare` does."""
        document: JsonObject = {"document": next(self.workers.numbers)}
        is_over = False
        try:
            answer = await _begun(worker, {**document, "begin": begin}, file)
            while True:
                if failure := answer.header.get("failure"):
                    is_over, (kind, reason) = True, failure
                    raise FAILURE_KINDS[kind](reason)
                for payload in _split(answer):
                    yield CHUNK_BATCH.validate_json(payload)
                if "warnings" in answer.header:
                    is_over = True
                    warnings.extend(warnings_of(answer.header["warnings"]))
                    return
                answer = await worker.ask(document)
        finally:
            if not is_over:
                with anyio.move_on_after(_DROP_S, shield=True), suppress(RetryableError):
                    await worker.ask({**document, "drop": True})


async def _begun(worker: RayWorker, request: JsonObject, file: BinaryIO) -> Frame:
    if file.seek(0, 2) <= _INLINE_BYTES:
        file.seek(0)
        return await worker.ask(request, file.read())
    async with _spooled(file) as path:
        return await worker.ask(request, file=str(path))


@asynccontextmanager
async def _spooled(file: BinaryIO) -> AsyncGenerator[Path]:
    """Yield a copy of a document that another process can read."""
    with tempfile.NamedTemporaryFile(prefix="document-") as copy:
        path = Path(copy.name)
        await anyio.to_thread.run_sync(_write, file, path)
        yield path


def _write(file: BinaryIO, path: Path) -> None:
    file.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(file, out)


def _split(answer: Frame) -> Iterator[bytes]:
    at = 0
    for size_bytes in answer.header["sizes"]:
        yield answer.payload[at : at + size_bytes]
        at += size_bytes


async def _after(done: int, batches: AsyncGenerator[Sequence[Chunk]]) -> AsyncGenerator[Sequence[Chunk]]:
    """Yield all batches but the first ones, which were had before: the same document is always cut into the same."""
    number = 0
    async for batch in batches:
        number += 1
        if number > done:
            yield batch

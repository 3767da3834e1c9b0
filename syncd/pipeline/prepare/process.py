"""A preparing process as the daemon sees it: a worker with a scratch folder, the only place it may touch."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

import anyio
from typing_extensions import override

from syncd.json_types import JsonObject
from syncd.pipeline.parse.task import OUT_OF_MEMORY, DocumentLimits, Ocr
from syncd.runtime.frames import Frame
from syncd.runtime.process import describe_exit, environment
from syncd.runtime.quota import overfull
from syncd.runtime.worker import Worker

PREPARE_WORKER_MODULE = "syncd.pipeline.prepare.worker"
_COPY_BYTES = 1 << 20
_OVERFULL = "it filled its folder"


@dataclass(frozen=True, slots=True)
class PreparerSettings:
    """How documents are prepared. `step_limit_s` bounds the wait for the next piece of a document to be read, or for the
    next batch of its chunks, processor and wall time alike.
    """

    workers: int = 2
    """Processes for documents that have to be parsed; one more takes text."""
    documents_per_worker: int = 100
    memory_bytes: int = 2 << 30
    step_limit_s: float = 120.0
    scratch_bytes: int = 2 << 30
    """What a process may write into its folder, the document included."""
    recycle_over_bytes: int = 700 << 20
    """A process that ever held more than this is replaced before its next document."""
    limits: DocumentLimits = field(default_factory=DocumentLimits)
    ocr: Ocr = field(default_factory=Ocr)
    converter: str = "builtin"
    """'builtin', or 'docling' where that extra is installed; its models want `memory_bytes` of 8 GiB and more."""
    models: Path | None = None
    """Folder of docling's models, readable to its processes."""


class PreparerProcess(Worker):
    """One jailed process; its folder lives from entering to leaving. `module` is what it runs."""

    def __init__(self, name: str, settings: PreparerSettings, module: str = PREPARE_WORKER_MODULE) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="syncd-prepare-"))
        self._scratch_bytes = settings.scratch_bytes
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        super().__init__(
            name,
            module,
            (str(self.scratch), str(settings.memory_bytes), *([str(settings.models)] if settings.models else [])),
            env=environment(**threads, MALLOC_ARENA_MAX="2", TMPDIR=str(self.scratch), HOME=str(self.scratch)),
        )

    @override
    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()
        except BaseException:
            shutil.rmtree(self.scratch, ignore_errors=True)
            raise
        return self

    @override
    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await anyio.to_thread.run_sync(shutil.rmtree, self.scratch, True)

    @override
    async def stream(self, header: JsonObject, payload: bytes = b"", *, timeout_s: float) -> AsyncGenerator[Frame]:
        """See `Worker.stream`. A process that fills its folder meanwhile is killed."""
        watch = asyncio.create_task(self._watch())
        try:
            async with aclosing(super().stream(header, payload, timeout_s=timeout_s)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        await overfull(self.scratch, self._scratch_bytes)
        self.condemn(_OVERFULL)

    async def take(self, file: BinaryIO) -> Path:
        """Copy a document, from its beginning, to where the process can read it."""
        path = self.scratch / "document"
        await anyio.to_thread.run_sync(_copy, file, path)
        return path


def crash_words(name: str, how: str, settings: PreparerSettings) -> str:
    """Return what to tell a document's owner about the end of the process that read it; `how` is its error."""
    if f" died: {describe_exit(OUT_OF_MEMORY)}" in how:
        memory = settings.memory_bytes / (1 << 30)
        return f"{name} needs more than {memory:g} GiB of memory to read: split it or save it smaller"
    if "SIGXCPU" in how:
        return f"{name} timed out: reading took longer than {settings.step_limit_s:g} s of processor time"
    if _OVERFULL in how:
        return f"{name} was not read to its end: its parser wrote more than {settings.scratch_bytes >> 20} MiB of files"
    cause = how.partition(" died: ")[2].partition(" (last output")[0]
    return f"{name} could not be read: it is damaged or too large in memory (the parser ended with {cause})"


def _copy(file: BinaryIO, path: Path) -> None:
    file.seek(0)
    # The process that read the last document owns the folder: what it left in place, a link perhaps, is not written through.
    path.unlink(missing_ok=True)
    with path.open("xb") as out:
        shutil.copyfileobj(file, out, _COPY_BYTES)

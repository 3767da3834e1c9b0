"""A preparing process as the daemon sees it: a worker with a scratch folder, the only place it may touch."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

import anyio
import structlog
from typing_extensions import override

from syncd.pipeline.parse.task import OUT_OF_MEMORY, DocumentLimits, Ocr
from syncd.runtime.process import describe_exit, environment
from syncd.runtime.worker import Worker

log = structlog.get_logger()

PREPARE_WORKER_MODULE = "syncd.pipeline.prepare.worker"
_COPY_BYTES = 1 << 20


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
        if self.confinement and self.name.endswith("-1"):
            log.warning("parser.jail_incomplete", missing=self.confinement)
        return self

    @override
    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await anyio.to_thread.run_sync(shutil.rmtree, self.scratch, True)

    @property
    def confinement(self) -> str:
        """What the jail lacks on this machine, '' when nothing."""
        return str(self.hello["missing"])

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
    cause = how.partition(" died: ")[2].partition(" (last output")[0]
    return f"{name} could not be read: it is damaged or too large in memory (the parser ended with {cause})"


def _copy(file: BinaryIO, path: Path) -> None:
    file.seek(0)
    # The process that read the last document owns the folder: what it left in place, a link perhaps, is not written through.
    path.unlink(missing_ok=True)
    with path.open("xb") as out:
        shutil.copyfileobj(file, out, _COPY_BYTES)

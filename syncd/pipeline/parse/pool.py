"""Pooled parser processes behind the `Parser` protocol: what a document does to one of them stays there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Self

import anyio
import structlog

from syncd.errors import PermanentError
from syncd.html import DOCUMENT_VERSION
from syncd.model import Part
from syncd.pipeline.parse.formats import MARKDOWN_SUFFIX, SUFFIXES, Format, suffix_of
from syncd.pipeline.parse.office import MADE_OF, convert_legacy
from syncd.pipeline.parse.task import OUT_OF_MEMORY, DocumentLimits, Ocr, Piece, Task, from_frame
from syncd.pipeline.parse.text import read_text
from syncd.pipeline.parse.vision import Describer, insert
from syncd.runtime.process import ChildDiedError, describe_exit, environment
from syncd.runtime.worker import CallTimeoutError, RemoteError, Worker

log = structlog.get_logger()

_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ParserSettings:
    """How the pool works. `step_limit_s` bounds the wait for the next piece of a document, processor and wall time alike."""

    workers: int = 2
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


class _Process:
    """One worker with its scratch folder and the count of what it has read."""

    def __init__(self, number: int, settings: ParserSettings) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="syncd-parse-"))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        self.worker = Worker(
            f"parser-{number}",
            "syncd.pipeline.parse.worker",
            (str(self.scratch), str(settings.memory_bytes), *([str(settings.models)] if settings.models else [])),
            env=environment(**threads, MALLOC_ARENA_MAX="2", TMPDIR=str(self.scratch), HOME=str(self.scratch)),
        )
        self._settings = settings
        self.served = 0
        self.spent = False

    def finished(self, peak_memory_bytes: int = 0) -> None:
        """Count the document as done with: the process is as good as before unless it has grown or served its time."""
        grown = peak_memory_bytes > self._settings.recycle_over_bytes
        self.spent = grown or self.served >= self._settings.documents_per_worker

    async def start(self) -> None:
        try:
            await self.worker.__aenter__()
        except BaseException:
            shutil.rmtree(self.scratch, ignore_errors=True)
            raise

    async def end(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.worker.__aexit__()
            await anyio.to_thread.run_sync(shutil.rmtree, self.scratch, True)


class ParserPool:
    """Implements `syncd.model.Parser`; use it as an async context manager around everything that parses.

    Processes start when first needed; leaving ends them all.
    """

    def __init__(
        self,
        settings: ParserSettings | None = None,
        describer: Describer | None = None,
    ) -> None:
        self._settings = settings or ParserSettings()
        self._describer = describer
        self._slots = anyio.Semaphore(self._settings.workers)
        self._idle: list[_Process] = []
        self._started = 0
        self.confinement: str | None = None
        """What the jail lacks on this machine, '' when nothing; None until the first process has started."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            await self._idle.pop().end()

    def fingerprint(self, name: str, media_type: str | None = None) -> str:
        """Return what, beside its bytes, decides what becomes of a document: '' for text and for the default settings.

        What is made of HTML, pages and books, has a version of its own, so that a change of it leaves other formats alone.
        """
        suffix = suffix_of(name, media_type)
        if suffix not in SUFFIXES:
            return ""
        engine = f"html {DOCUMENT_VERSION}" if SUFFIXES[suffix] in (Format.HTML, Format.EPUB) else ""
        settings, default = self._settings, ParserSettings()
        choices = (settings.converter, settings.ocr, self._describer and self._describer.fingerprint)
        return engine + ("" if choices == (default.converter, default.ocr, None) else repr(choices))

    async def parse(self, file: BinaryIO, name: str, media_type: str | None = None) -> AsyncGenerator[Part, None]:
        """Yield the parts of one document, in order; waits for a free process, then for each part.

        `file` must be seekable and stays the caller's. Text under an unknown suffix is decoded here. Raises
        PermanentError in words for the document's owner, also after parts were yielded: then none of them counts. Twice
        is safe. Use `contextlib.aclosing` when leaving early, which ends the process at work.
        """
        size_bytes = file.seek(0, 2)
        if size_bytes > self._settings.limits.size_bytes:
            limit = self._settings.limits.size_bytes >> 20
            raise PermanentError(f"{name} is {size_bytes >> 20} MiB, over the limit of {limit} MiB: split it")
        suffix = suffix_of(name, media_type)
        if suffix not in SUFFIXES:
            parts = read_text(file, name, "markdown" if suffix == MARKDOWN_SUFFIX else "text")
        else:
            parts = self._parse_document(file, name, SUFFIXES[suffix])
        async with aclosing(parts) as open_parts:
            async for part in open_parts:
                yield part

    async def _parse_document(self, file: BinaryIO, name: str, promised: Format) -> AsyncGenerator[Part, None]:
        async with self._slots:
            yielded = 0
            for attempt in (1, 2):
                process = await self._take(fresh=attempt == 2)
                try:
                    async with aclosing(self._read(process, file, name, promised)) as pieces:
                        number = 0
                        async for piece in pieces:
                            number += 1
                            if number > yielded:
                                part = await self._describe(piece, name)
                                yielded = number
                                yield part
                    return
                except CallTimeoutError as error:
                    raise PermanentError(
                        f"{name} took longer than {self._settings.step_limit_s:g} s to read: it was given up"
                    ) from error
                except ChildDiedError as error:
                    log.warning("parser.died", process=process.worker.name, document=name, error=str(error))
                    if process.served == 1:
                        raise PermanentError(self._crash_words(name, str(error))) from error
                finally:
                    await self._give_back(process)

    async def _read(
        self, process: _Process, file: BinaryIO, name: str, promised: Format
    ) -> AsyncGenerator[Piece, None]:
        """Yield what the process makes of the document. It counts as unfit until the last frame has come."""
        process.served += 1
        process.spent = True
        path = process.scratch / "document"
        await anyio.to_thread.run_sync(_copy, file, path)
        own = self._settings
        pictures = self._describer is not None
        task = Task(path, name, promised, own.limits, own.ocr, own.converter, pictures, own.models)
        try:
            async with aclosing(self._pieces(process, task)) as pieces:
                async for piece in pieces:
                    yield piece
        except RemoteError as error:
            raise PermanentError(f"{name} could not be read: {error}") from error
        except (ChildDiedError, CallTimeoutError):
            raise
        except PermanentError:
            process.finished()
            raise

    async def _pieces(self, process: _Process, task: Task) -> AsyncGenerator[Piece, None]:
        """Yield what the process makes of the file; what it says is an old Office file is converted and handed over anew."""
        limit_s = self._settings.step_limit_s
        for _ in range(2):
            header, legacy = {**task.header(), "step_cpu_s": limit_s}, ""
            async with aclosing(process.worker.stream(header, timeout_s=limit_s)) as frames:
                async for frame in frames:
                    if frame.header.get("end"):
                        process.finished(frame.header["memory_bytes"])
                        legacy = frame.header.get("legacy", "")
                    else:
                        yield from_frame(frame)
            if legacy not in MADE_OF:
                return
            made = await convert_legacy(task.path, legacy, task.name, process.scratch, limit_s)
            task = replace(task, path=made, format=SUFFIXES[MADE_OF[legacy]])
        raise PermanentError(f"{task.name} could not be read: LibreOffice made another old file of it")

    async def _describe(self, piece: Piece, name: str) -> Part:
        if self._describer is None or not piece.pictures:
            return piece.part
        words: list[tuple[int, str]] = []
        for picture in piece.pictures:
            try:
                words.append((picture.at_byte, await self._describer.describe(picture.data)))
            except PermanentError as error:
                log.warning("picture.undescribed", document=name, reason=str(error))
        return insert(piece.part, words)

    def _crash_words(self, name: str, how: str) -> str:
        if f" died: {describe_exit(OUT_OF_MEMORY)}" in how:
            memory = self._settings.memory_bytes / (1 << 30)
            return f"{name} needs more than {memory:g} GiB of memory to read: split it or save it smaller"
        if "SIGXCPU" in how:
            return f"{name} took longer than {self._settings.step_limit_s:g} s of processor time: it was given up"
        cause = how.partition(" died: ")[2].partition(" (last output")[0]
        return f"{name} could not be read: it is damaged or too large in memory (the parser ended with {cause})"

    async def _take(self, *, fresh: bool) -> _Process:
        if self._idle and not fresh:
            return self._idle.pop()
        self._started += 1
        process = _Process(self._started, self._settings)
        await process.start()
        missing = str(process.worker.hello["missing"])
        if self.confinement is None and missing:
            log.warning("parser.jail_incomplete", missing=missing)
        self.confinement = missing
        return process

    async def _give_back(self, process: _Process) -> None:
        if process.spent:
            await process.end()
        else:
            self._idle.append(process)


def _copy(file: BinaryIO, path: Path) -> None:
    file.seek(0)
    # The process that read the last document owns the folder: what it left in place, a link perhaps, is not written through.
    path.unlink(missing_ok=True)
    with path.open("xb") as out:
        shutil.copyfileobj(file, out, _COPY_BYTES)

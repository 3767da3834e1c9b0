"""Documents to chunks, in pools of jailed processes: what a document does to one of them stays there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Self

import structlog
from pydantic import TypeAdapter

from syncd.errors import PermanentError, PutOffError, Skipped
from syncd.model import Chunk, Chunking, SecretsPolicy, Warnings
from syncd.model.formats import format_of
from syncd.model.warnings import warnings_of
from syncd.pipeline.parse.ocr_engine import effective
from syncd.pipeline.parse.office import convert_legacy
from syncd.pipeline.parse.task import Task
from syncd.pipeline.parse.vision import Describer
from syncd.pipeline.prepare.process import PREPARE_WORKER_MODULE, PreparerProcess, PreparerSettings, crash_words
from syncd.pipeline.prepare.request import PrepareRequest, pictures_of
from syncd.runtime.frames import Frame
from syncd.runtime.process import ChildDiedError, ChildKilledError
from syncd.runtime.worker import CallTimeoutError, RemoteError
from syncd.runtime.worker_pool import Lease, WorkerPool

log = structlog.get_logger()

CHUNK_BATCH: TypeAdapter[list[Chunk]] = TypeAdapter(list[Chunk])

Processes = WorkerPool[PreparerProcess]


KILLS = 3
"""A document whose processes are killed from outside so often is put off: it may be what uses up the machine's memory."""


def text_processes(settings: PreparerSettings, module: str = PREPARE_WORKER_MODULE) -> Processes:
    """Return the one process that takes text, so that text never waits for scans. It has no age: nothing native to leak."""
    return WorkerPool(lambda number: PreparerProcess(f"text-{number}", settings, module))


@dataclass(slots=True)
class _Progress:
    """The progress of a document, so that another process does not repeat it."""

    batches: int = 0
    words: list[str] = field(default_factory=list[str])
    """Of the pictures described so far: that may cost money."""
    kills: int = 0

    def killed(self, name: str, error: ChildKilledError) -> None:
        """Count a process that was killed from outside. Raises PutOffError when there were too many."""
        self.kills += 1
        log.warning("parser.died", document=name, error=str(error))
        if self.kills == KILLS:
            raise PutOffError(f"{name} was not read, as its process was killed {KILLS} times ({error})") from error


class DocumentPreparer:
    """Implements `syncd.model.Preparer`; use it as an async context manager around everything that prepares.

    Processes start when first needed; leaving ends them all, also those of `text`, which several preparers may share.
    """

    def __init__(
        self,
        settings: PreparerSettings | None = None,
        describer: Describer | None = None,
        text: Processes | None = None,
        module: str = PREPARE_WORKER_MODULE,
    ) -> None:
        own = self._settings = settings or PreparerSettings()
        self._describer = describer
        self._secrets: SecretsPolicy = "mask"
        self._text = text or text_processes(own, module)
        self._documents: Processes = WorkerPool(
            lambda number: PreparerProcess(f"parser-{number}", own, module), own.workers, own.documents_per_worker
        )

    def treating(self, secrets: SecretsPolicy) -> DocumentPreparer:
        """Return a preparer that treats secrets so, in the same processes."""
        other = copy(self)
        other._secrets = secrets
        return other

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._documents.__aexit__()
        await self._text.__aexit__()

    def fingerprint(self, name: str, media_type: str | None = None) -> str:
        """Return what, beside its bytes, decides what becomes of a document: '' for text and for the default settings.

        A format has a version of its own, so that a change of its reader leaves documents of other formats alone.
        """
        found = format_of(name, media_type)
        secrets = "" if self._secrets == "mask" else self._secrets
        if found.is_text:
            return secrets
        settings, default = self._settings, PreparerSettings()
        choices = (settings.converter, effective(settings.ocr), self._describer and self._describer.fingerprint)
        return found.version + ("" if choices == (default.converter, default.ocr, None) else repr(choices)) + secrets

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
        """See `syncd.model.Preparer`. `file` must be seekable and stays the caller's. Leaving early ends the process at work."""
        own, size_bytes = self._settings, file.seek(0, 2)
        if size_bytes > own.limits.size_bytes:
            limit = own.limits.size_bytes >> 20
            raise PermanentError(f"{name} is {size_bytes >> 20} MiB, over the limit of {limit} MiB: split it")
        task = Task(
            Path(), name, format_of(name, media_type), own.limits, own.ocr, own.converter, self._describer is not None
        )
        task = replace(task, models=own.models, warnings=warnings or Warnings())
        request = PrepareRequest(task, path, chunking, own.step_limit_s, secrets=self._secrets)
        prepared = self._prepare_text if task.format.is_text else self._prepare_document
        async with aclosing(prepared(file, request, urgent)) as batches:
            async for batch in batches:
                yield batch

    async def _prepare_text(
        self, file: BinaryIO, request: PrepareRequest, urgent: bool
    ) -> AsyncGenerator[Sequence[Chunk]]:
        """Yield batches; code that kills or hangs its process is cut as text where it did (a few grammars crash on garbage)."""
        progress, failures, is_late = _Progress(), list[str](), False
        while len(failures) < 2:
            try:
                async with (
                    self._text.lease(fresh=is_late or bool(failures), urgent=urgent) as lease,
                    aclosing(self._batches(lease, file, request, progress)) as batches,
                ):
                    async for batch in batches:
                        yield batch
                return
            except RemoteError as error:
                failures.append(str(error))
                break
            except ChildKilledError as error:
                progress.killed(request.task.name, error)
            except (ChildDiedError, CallTimeoutError) as error:
                if isinstance(error, CallTimeoutError) and not is_late:
                    # Once it may be the machine that stood still, or gave the process no time: such text would stay cut as plain text.
                    is_late = True
                    log.warning("parser.died", document=request.task.name, error=str(error))
                    continue
                failures.append(str(error))
                request = replace(request, parsed_segments=progress.batches)
                request.task.warn("chunked_as_text", "the parser of its language failed: it is cut as plain text")
        raise PermanentError(f"it could not be chunked ({failures[-1]}); please report the file")

    async def _prepare_document(
        self, file: BinaryIO, request: PrepareRequest, urgent: bool
    ) -> AsyncGenerator[Sequence[Chunk]]:
        """Yield batches; a document whose process dies gets one more chance in a fresh one, unless it had one."""
        progress, name, is_fresh = _Progress(), request.task.name, False
        while True:
            async with self._documents.lease(fresh=is_fresh, urgent=urgent) as lease:
                try:
                    async with aclosing(self._batches(lease, file, request, progress)) as batches:
                        async for batch in batches:
                            yield batch
                    return
                except CallTimeoutError as error:
                    raise PermanentError(
                        f"{name} timed out: a step of reading took longer than {request.step_limit_s:g} s"
                    ) from error
                except RemoteError as error:
                    lease.retire()
                    raise PermanentError(f"{name} could not be read: {error}") from error
                except ChildKilledError as error:
                    progress.killed(name, error)
                except ChildDiedError as error:
                    is_fresh = True
                    log.warning("parser.died", document=name, error=str(error))
                    if lease.uses == 1:
                        raise PermanentError(crash_words(name, str(error), self._settings)) from error

    async def _batches(
        self, lease: Lease[PreparerProcess], file: BinaryIO, request: PrepareRequest, progress: _Progress
    ) -> AsyncGenerator[Sequence[Chunk]]:
        """Yield the batches that are not done yet; an old Office file is first converted, and then handed over again."""
        task = replace(request.task, path=await lease.worker.take(file))
        for _ in range(2):
            async with aclosing(self._replies(lease, replace(request, task=task), progress)) as frames:
                last = Frame()
                async for last in frames:
                    if "chunks" in last.header:
                        yield self._batch(last)
            legacy = last.header["legacy"]
            if not legacy:
                task.warnings.extend(found := warnings_of(last.header["warnings"]))
                if request.secrets == "skip" and any(warning.code == "secret_found" for warning in found):
                    raise Skipped('it holds keys or tokens, which its source skips (secrets = "skip")')
                return
            task.warn("converted", "LibreOffice converted it from an old format; details may differ")
            scratch, limit_s = lease.worker.scratch, request.step_limit_s
            made = await convert_legacy(task.path, legacy, task.name, scratch, limit_s)
            task = replace(task, path=made, format=format_of(made.name, None))
        raise PermanentError(f"{task.name} could not be read: LibreOffice converted it to another old format")

    async def _replies(
        self, lease: Lease[PreparerProcess], request: PrepareRequest, progress: _Progress
    ) -> AsyncGenerator[Frame]:
        """Yield the frames of batches that are not done yet, and the last one; describe pictures on the way."""
        batches = 0
        described = 0
        async with aclosing(lease.stream(request.header(), timeout_s=request.step_limit_s)) as frames:
            async for frame in frames:
                if "pictures" in frame.header:
                    described += len(pictures := pictures_of(frame))
                    for picture in (
                        pictures[len(progress.words) - described :] if described > len(progress.words) else ()
                    ):
                        progress.words.append(await self._describe(picture, request.task))
                    await lease.worker.answer({"words": progress.words[described - len(pictures) : described]})
                elif "chunks" in frame.header:
                    batches += 1
                    if batches > progress.batches:
                        progress.batches = batches
                        yield frame
                elif "memory_bytes" in frame.header:
                    if frame.header["memory_bytes"] > self._settings.recycle_over_bytes:
                        lease.retire()
                    yield frame

    def _batch(self, frame: Frame) -> Sequence[Chunk]:
        return CHUNK_BATCH.validate_json(frame.payload)

    async def _describe(self, picture: bytes, task: Task) -> str:
        assert self._describer is not None
        try:
            return await self._describer.describe(picture)
        except PermanentError as error:
            log.warning("picture.undescribed", document=task.name, reason=str(error))
            task.warn("picture_unread", f"the vision model could not describe a picture: {error}")
            return ""

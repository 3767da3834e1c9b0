"""Splits documents in processes of its own, so that the event loop never waits for a parser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import PermanentError, RetryableError
from syncd.model import Chunking, OpenHeadings, Part, Split
from syncd.pipeline.chunk.worker import CHUNKS, PARTS
from syncd.runtime.mailbox import Mailbox, settling
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError, RemoteError, Worker

TIME_LIMIT_S = 60.0
"""Far above what any text needs (hostile ones take two seconds); a process that takes longer hangs."""


@dataclass(frozen=True, slots=True)
class _Request:
    parts: Sequence[Part]
    path: str
    chunking: Chunking
    open_headings: OpenHeadings
    parse: bool = True


class ChunkerPool:
    """An actor: `processes` chunkers. `split` may be called by any number of tasks."""

    name = "chunkers"

    def __init__(
        self, processes: int = 1, module: str = "syncd.pipeline.chunk.worker", time_limit_s: float = TIME_LIMIT_S
    ) -> None:
        self._processes = processes
        self._module = module
        self._time_limit_s = time_limit_s
        self._mailbox: Mailbox[_Request, Split] = Mailbox(self.name, processes)

    async def split(
        self, parts: Sequence[Part], path: str, chunking: Chunking, open_headings: OpenHeadings = ()
    ) -> Split:
        """Return the chunks of a document, or of a segment of it that begins under `open_headings`.

        Waits for a free process.

        A text that kills or hangs its process is tried again without parsing (a few grammars crash or hang on garbage), and
        refused with PermanentError when that fails too.
        """
        failure = ""
        for parse in (True, False):
            try:
                return await self._mailbox.ask(_Request(parts, path, chunking, open_headings, parse))
            except RemoteError as error:
                failure = str(error)
                break
            except (ChildDiedError, CallTimeoutError) as error:
                failure = str(error)
        raise PermanentError(f"it could not be split into chunks ({failure}); please report the file")

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the processes running until cancelled."""
        async with anyio.create_task_group() as group:
            for number in range(self._processes):
                group.start_soon(self._keep_one, f"chunker-{number + 1}")
            task_status.started()

    async def _keep_one(self, name: str) -> None:
        while True:
            async with Worker(name, self._module) as worker:
                await self._serve(worker)

    async def _serve(self, worker: Worker) -> None:
        """Serve with one process until it breaks."""
        while True:
            (envelope,) = await self._mailbox.take_many(1)
            with settling([envelope]):
                try:
                    envelope.reply.settle(await self._split(worker, envelope.message))
                except (ChildDiedError, CallTimeoutError) as error:
                    envelope.reply.fail(error)
                    return
                except (PermanentError, RetryableError) as error:
                    envelope.reply.fail(error)

    async def _split(self, worker: Worker, request: _Request) -> Split:
        header = {
            "path": request.path,
            "chunking": asdict(request.chunking),
            "parse": request.parse,
            "headings": list(request.open_headings),
        }
        payload = PARTS.dump_json(list(request.parts))
        reply = await worker.call(header, payload, timeout_s=self._time_limit_s)
        open_headings = tuple((level, text) for level, text in reply.header["headings"])
        return Split(CHUNKS.validate_json(reply.payload), open_headings)

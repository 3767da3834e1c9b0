"""SPLADE as the daemon sees it: an encoder in front of the model's own process, which is replaced when it dies or hangs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import PermanentError, PutOffError
from syncd.model import Role, SparseEncoder, SparseVector
from syncd.pipeline.sparse.splade_files import SPLADE
from syncd.pipeline.sparse.splade_model import tokenizer_in
from syncd.runtime.mailbox import Envelope, Mailbox, settling
from syncd.runtime.process import ChildDiedError, environment
from syncd.runtime.worker import CallTimeoutError, RemoteError, Worker
from syncd.runtime.worker_pool import WorkerPool
from syncd.store.sparse_codec import PAIR, unpacked

log = structlog.get_logger()

SPLADE_WORKER_MODULE = "syncd.pipeline.sparse.splade_worker"
SPLADE_START_LIMIT_S = 300.0
CALL_LIMIT_S = 60.0
CHARACTER_LIMIT_S = 0.05
"""A slow core under load computes some tens of tokens a second."""
BATCH_CHARACTERS = 8_000
"""Texts handed to the process at once: a query waits for no more than that, some four seconds of one core."""
WAITING_TEXTS = 256
TRIES = 2

SparseWork = Envelope[str, SparseVector]


async def check_loads(folder: Path, threads: int = 0, worker: str = SPLADE_WORKER_MODULE) -> None:
    """Load the model once and encode a text with it. Raises PermanentError if it is not a model, RetryableError if its process is killed."""
    async with Worker(
        f"{SPLADE} (check)", worker, [str(folder), str(threads)], start_limit_s=SPLADE_START_LIMIT_S
    ) as process:
        await process.call({"texts": ["a lamp"]}, timeout_s=CALL_LIMIT_S)


class Splade:
    """An actor and a `SparseEncoder`: run it under a supervisor, and encode from any task. `digest` is the model's sha256."""

    model = SPLADE
    uses_idf = False
    predecessors: Sequence[SparseEncoder] = ()

    def __init__(self, folder: Path, digest: str, threads: int = 0, worker: str = SPLADE_WORKER_MODULE) -> None:
        self.name = f"sparse {SPLADE}"
        self.fingerprint = f"{SPLADE}#{digest[:16]}"
        self._tokenizer = tokenizer_in(folder)
        arguments = [str(folder), str(threads)]
        env = environment(OMP_WAIT_POLICY="passive", TOKENIZERS_PARALLELISM="false")
        self.processes = WorkerPool(
            lambda _: Worker(self.name, worker, arguments, env=env, start_limit_s=SPLADE_START_LIMIT_S)
        )
        """The one process with the model in it."""
        self._mailbox: Mailbox[str, SparseVector] = Mailbox(self.name, WAITING_TEXTS)

    async def encode(self, texts: Sequence[str], role: Role) -> Sequence[SparseVector]:
        """Return one vector per text; queries are encoded like documents, and overtake them.

        Waits for room and its turn. Raises PermanentError for a text that kills the process, RetryableError while it cannot
        be started.
        """
        replies = [await self._mailbox.put(text, urgent=role == "query") for text in texts]
        return [await reply for reply in replies]

    def spans(self, text: str, query: SparseVector) -> Sequence[tuple[int, int]]:
        """Return the words of `text` with a piece that the query gives weight."""
        wanted, found = frozenset(query.indices.tolist()), dict[int, tuple[int, int]]()
        encoding = self._tokenizer.encode(text)
        hits: set[int] = set()
        for window in (encoding, *encoding.overflowing):
            for token, word, (start, end) in zip(window.ids, window.word_ids, window.offsets, strict=True):
                if word is not None:
                    found[word] = (min(start, found.get(word, (start, end))[0]), end)
                    hits |= {word} if token in wanted else set()
        return sorted(found[word] for word in hits)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started when the model is loaded; raises PermanentError when its files are no model."""
        async with self.processes:
            async with self.processes.lease():
                task_status.started()
            while True:
                works = await self._mailbox.take_many(BATCH_CHARACTERS, weight=len)
                with settling(works):
                    results = await self._vectors([work.message for work in works])
                    for work, result in zip(works, results, strict=True):
                        settle_work(work, result)

    async def _vectors(self, texts: Sequence[str]) -> list[SparseVector | PermanentError]:
        """Encode a batch; when that kills the process, each text alone, so that only the one that does it fails."""
        try:
            return [*await self._call(texts)]
        except (ChildDiedError, CallTimeoutError, RemoteError) as error:
            if len(texts) > 1:
                log.warning("sparse.isolating", model=SPLADE, texts=len(texts), error=str(error))
        return [await self._alone(text) for text in texts]

    async def _alone(self, text: str) -> SparseVector | PermanentError:
        failure = PermanentError("")
        for _ in range(TRIES):
            try:
                return (await self._call([text]))[0]
            except (ChildDiedError, CallTimeoutError, RemoteError) as error:
                kind = PermanentError if isinstance(error, RemoteError) else PutOffError
                failure = kind(f"{SPLADE} cannot encode this text: {error}")
        return failure

    async def _call(self, texts: Sequence[str]) -> list[SparseVector]:
        limit_s = CALL_LIMIT_S + CHARACTER_LIMIT_S * sum(map(len, texts))
        async with self.processes.lease() as lease:
            reply = await lease.call({"texts": list(texts)}, timeout_s=limit_s)
        ends = np.cumsum(reply.header["lengths"]) * PAIR.itemsize
        return [unpacked(reply.payload[start:end]) for start, end in itertools.pairwise([0, *ends.tolist()])]


def settle_work(work: SparseWork, result: SparseVector | PermanentError) -> None:
    """Answer whoever waits for a text's vector."""
    if isinstance(result, PermanentError):
        work.reply.fail(result)
    else:
        work.reply.settle(result)

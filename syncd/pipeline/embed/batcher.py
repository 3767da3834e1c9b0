"""One queue in front of one model's process: texts of all callers become full batches, queries overtake documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

import numpy as np
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from numpy.typing import NDArray

from syncd.errors import PermanentError
from syncd.pipeline.embed.front import EmbeddedText, EmbeddingWork
from syncd.pipeline.embed.process import EngineDownError, ModelProcess, isolating
from syncd.pipeline.embed.windows import TokenIds, batches_by_length, merge
from syncd.runtime.mailbox import Mailbox, settling

_LOOK_AHEAD_BATCHES = 4
_BYTES_PER_TOKEN = 4


class Batcher:
    """An actor that embeds the texts put into `mailbox`; urgent ones wait for the batch being computed, not longer.

    A text that cannot be embedded fails its own reply with PermanentError. While the process cannot be started, the
    replies taken so far fail with EngineDownError, which is retryable, and the next text is a new attempt; a `spare`
    one, beside which others serve the mailbox, ends with that error instead. `after` is told how many seconds documents
    took, between which and the next ones it may compute with the process itself.
    """

    def __init__(
        self,
        name: str,
        process: ModelProcess,
        mailbox: Mailbox[str, EmbeddedText],
        spare: bool = False,
        after: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self._spare = spare
        self._after = after
        self._process = process
        self._mailbox = mailbox

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started when the model is loaded; raises EngineDownError when it cannot be."""
        async with self._process as process:
            task_status.started()
            budget = process.batch_tokens * _LOOK_AHEAD_BATCHES * _BYTES_PER_TOKEN
            while True:
                work = await self._mailbox.take_many(budget, weight=len)
                try:
                    begin = monotonic()
                    await self._embed(work)
                    if self._after and not work[0].urgent:
                        await self._after(monotonic() - begin)
                except EngineDownError:
                    if self._spare:
                        raise

    async def _embed(self, work: Sequence[EmbeddingWork]) -> None:
        with settling(work):
            texts = await self._tokenised(work)
            windows = [(text, number) for text in texts for number in range(len(text.windows))]
            lengths = [len(text.windows[number]) for text, number in windows]
            for batch in batches_by_length(lengths, self._process.batch_tokens, len(windows)):
                if not work[0].urgent:
                    await self.queries()
                await self._compute([windows[index] for index in batch])

    async def _tokenised(self, work: Sequence[EmbeddingWork]) -> list[_Text]:
        texts: list[_Text] = []
        found = await isolating([each.message for each in work], self._process.tokens, self._process.prove)
        for each, windows in zip(work, found, strict=True):
            if isinstance(windows, PermanentError):
                each.reply.fail(windows)
            else:
                texts.append(_Text(each, windows))
        return texts

    async def queries(self) -> None:
        """Embed what may not wait, if anything is there."""
        while self._mailbox.stats().urgent_waiting:
            await self._embed(await self._mailbox.take_many(self._process.batch_tokens * _BYTES_PER_TOKEN, weight=len))

    async def _compute(self, batch: Sequence[tuple[_Text, int]]) -> None:
        windows = [text.windows[number] for text, number in batch]
        rows = await isolating(windows, self._process.vectors, self._process.prove)
        for (text, number), row in zip(batch, rows, strict=True):
            text.add(number, row)


class _Text:
    """A text on its way: settles its reply when the last of its windows has its vector."""

    def __init__(self, work: EmbeddingWork, windows: list[TokenIds]) -> None:
        self.windows = windows
        self._work = work
        self._rows: dict[int, NDArray[np.float32]] = {}

    def add(self, number: int, row: NDArray[np.float32] | PermanentError) -> None:
        """Store the vector of window `number`, or the error for it."""
        if isinstance(row, PermanentError):
            self._work.reply.fail(row)
        elif not np.isfinite(row).all():
            self._work.reply.fail(
                PermanentError("the model computed a vector for this text that is zero or not finite")
            )
        else:
            self._rows[number] = row
        if len(self._rows) == len(self.windows):
            lengths = [len(window) for window in self.windows]
            rows = np.stack([self._rows[number] for number in range(len(lengths))])
            self._work.reply.settle(EmbeddedText(merge(rows, lengths), sum(lengths)))

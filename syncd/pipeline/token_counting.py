"""Counts what one model's wanted vectors will cost, as soon as their documents are prepared: what is left is known, not guessed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import structlog

from syncd.errors import PermanentError, RetryableError
from syncd.model import CountsTokens, Embedder, EmbeddingTask
from syncd.runtime.retry import Backoff
from syncd.runtime.wakeup import Wakeup
from syncd.store.prepared import Prepared, WantedText

log = structlog.get_logger()

ByTask = Callable[[Sequence[WantedText]], Awaitable[Mapping[EmbeddingTask | None, Sequence[WantedText]]]]
"""Groups texts by the task that their collections are embedded for; without those of collections that are gone."""

AT_ONCE = 32
"""Texts per request: a fiftieth of a second in the model's process, for which a query may have to wait three times."""


class TokenCounting:
    """Counts for one model for as long as `run` runs. After a crash the rest is counted, and nothing else."""

    def __init__(
        self,
        prepared: Prepared,
        embedder: Callable[[], Awaitable[Embedder]],
        fingerprint: str,
        by_task: ByTask,
    ) -> None:
        self._prepared = prepared
        self._embedder = embedder
        self._fingerprint = fingerprint
        self._by_task = by_task
        self._wakeup = Wakeup()
        self._backoff = Backoff(cap_s=15.0)

    def wake(self) -> None:
        """Look for texts to count now. Never waits, twice is safe."""
        self._wakeup.ring()

    async def run(self) -> None:
        """Count what comes, for ever; not at all where nothing but the server that computes it has the model's tokenizer."""
        failures = 0
        while True:
            try:
                embedder = await self._embedder()
                if not isinstance(embedder, CountsTokens):
                    return
                if embedder.fingerprint != self._fingerprint or not await self._count_some(embedder):
                    await self._wakeup.wait()
                failures = 0
            except (RetryableError, PermanentError) as error:
                failures += 1
                log.info("embedding.not_counted", reason=str(error))
                await anyio.sleep(self._backoff.delay_s(failures))

    async def _count_some(self, embedder: CountsTokens) -> bool:
        """Count the oldest texts that are not; return whether there were any."""
        texts = await self._prepared.uncounted(self._fingerprint, AT_ONCE)
        by_task = await self._by_task(texts)
        for task, some in by_task.items():
            counts = await token_costs(embedder, [text.text for text in some], task)
            await self._prepared.counted(dict(zip((text.key for text in some), counts, strict=True)))
        return bool(by_task)


async def token_costs(embedder: CountsTokens, texts: Sequence[str], task: EmbeddingTask | None) -> Sequence[int]:
    """Return what each text will cost; nothing for one that cannot be embedded. Raises RetryableError."""
    try:
        return await embedder.count_tokens(texts, task)
    except PermanentError:
        if len(texts) == 1:
            return [0]
        middle = len(texts) // 2
        return [*await token_costs(embedder, texts[:middle], task), *await token_costs(embedder, texts[middle:], task)]

"""One model's queue of wanted vectors, which lies in the store: urgent texts first, sources in turn, similar lengths together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate, pairwise

import anyio
import structlog
from anyio.abc import TaskGroup

from syncd.errors import PermanentError, RetryableError
from syncd.model import Embedder, EmbeddingTask
from syncd.pipeline.token_counting import ByTask, TokenCounting
from syncd.pipeline.tracing import UNTRACED, Tracer
from syncd.runtime.retry import Backoff
from syncd.runtime.wakeup import Wakeup
from syncd.store.prepared import Prepared, WantedText

log = structlog.get_logger()

REQUEST_SIZE = 64
"""Texts per request of a backfill; the embedder gathers several requests into full batches."""
REQUESTS = 8
"""Requests of a backfill under way at once: enough for several devices or servers. A crash repeats these, and no more."""
URGENT_SIZE = 16
URGENT_REQUESTS = 2
"""Urgent requests are smaller and fewer: queries wait behind no more than that."""
WINDOW = REQUEST_SIZE * REQUESTS // 2
"""Texts taken at once and sorted by length, so that batches are even."""

Refuse = Callable[[WantedText, PermanentError], Awaitable[None]]
Ready = Callable[[], None]


class Lane:
    """What of a queue is fed independently of the rest: urgent texts, or those of backfills."""

    def __init__(self, *, is_urgent: bool) -> None:
        self.is_urgent = is_urgent
        self.wakeup = Wakeup()
        self.request_size = URGENT_SIZE if is_urgent else REQUEST_SIZE
        self.room = anyio.Semaphore(URGENT_REQUESTS if is_urgent else REQUESTS)
        self.turn = ""
        """The source served last: the next one in order is next."""


class EmbeddingQueue:
    """Feeds one model for as long as `run` runs. `fingerprint` is the model's, `embedder` returns it, started.

    Any crash leaves the queue as it is: what was in flight is wanted still.
    """

    def __init__(
        self,
        prepared: Prepared,
        embedder: Callable[[], Awaitable[Embedder]],
        fingerprint: str,
        by_task: ByTask,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.trouble = ""
        """Why nothing is embedded now, or ''."""
        self.tokens = 0
        self.bytes = 0
        """What has been embedded since the start: their ratio tells how many tokens are left."""
        self._prepared = prepared
        self._embedder = embedder
        self._fingerprint = fingerprint
        self._by_task = by_task
        self._tracer = tracer
        self._counting = TokenCounting(prepared, embedder, fingerprint, by_task)
        self._lanes = (Lane(is_urgent=True), Lane(is_urgent=False))
        self._in_flight: set[bytes] = set()
        self._backoff = Backoff(cap_s=15.0)
        self._failures = 0

    def wake(self) -> None:
        """Look for wanted texts now. Never waits, twice is safe."""
        self._counting.wake()
        for lane in self._lanes:
            lane.wakeup.ring()

    async def run(self, refuse: Refuse, ready: Ready) -> None:
        """Embed what is wanted, for ever. `ready` is called when documents may miss no vector any more; `refuse` hears of
        texts that cannot be embedded. While the model cannot be had, everything waits, and `trouble` says why.

        May be run again after it has ended, however it did.
        """
        self._in_flight.clear()  # an earlier run may have ended between taking texts and asking for their vectors
        async with anyio.create_task_group() as group:
            group.start_soon(self._counting.run)
            for lane in self._lanes:
                group.start_soon(self._feed, lane, group, refuse, ready)

    async def _feed(self, lane: Lane, group: TaskGroup, refuse: Refuse, ready: Ready) -> None:
        while True:
            texts = await self._take(lane)
            if not texts:
                if not self._in_flight:
                    self.trouble = ""  # what was waiting has been taken back
                await lane.wakeup.wait()
                continue
            texts.sort(key=lambda text: len(text.text), reverse=True)
            for start in range(0, len(texts), lane.request_size):
                await lane.room.acquire()
                group.start_soon(self._request, lane, texts[start : start + lane.request_size], refuse, ready)

    async def _take(self, lane: Lane) -> list[WantedText]:
        """Take texts of the source whose turn it is; they are in flight until they are asked for and answered."""
        sources = await self._prepared.queues(self._fingerprint, is_urgent=lane.is_urgent)
        size = lane.request_size if lane.is_urgent else WINDOW
        for source_id in [s for s in sources if s > lane.turn] + [s for s in sources if s <= lane.turn]:
            # As it is now: what is answered while it is read may still be read as wanted.
            in_flight = frozenset(self._in_flight)
            taken = await self._prepared.take(self._fingerprint, source_id, size, in_flight, is_urgent=lane.is_urgent)
            # While it was read, the other lane may have taken the same text.
            texts = [text for text in taken if text.key not in self._in_flight]
            if texts:
                lane.turn = source_id
                self._in_flight.update(text.key for text in texts)
                return texts
        return []

    async def _request(self, lane: Lane, texts: Sequence[WantedText], refuse: Refuse, ready: Ready) -> None:
        try:
            for task, group in (await self._by_task(texts)).items():
                await self._embed(group, task, refuse, is_urgent=lane.is_urgent)
            self.trouble, self._failures = "", 0
            ready()
        except (RetryableError, PermanentError) as error:
            self._failures += 1
            self.trouble = str(error)
            log.warning("embedding.waiting", reason=self.trouble)
            await anyio.sleep(self._backoff.delay_s(self._failures))
        finally:
            self._in_flight.difference_update(text.key for text in texts)
            lane.room.release()
            self.wake()

    async def _embed(
        self, texts: Sequence[WantedText], task: EmbeddingTask | None, refuse: Refuse, *, is_urgent: bool
    ) -> None:
        """Embed texts of one task and keep their vectors. One that is refused fails alone."""
        embedder = await self._embedder()
        if embedder.fingerprint != self._fingerprint:
            raise RetryableError(f"model {embedder.model} is being replaced")
        try:
            found = await embedder.embed([text.text for text in texts], "document", task, urgent=is_urgent)
        except PermanentError as error:
            if len(texts) == 1:
                return await refuse(texts[0], error)
            for text in texts:
                await self._embed([text], task, refuse, is_urgent=is_urgent)
            return None
        sizes = [len(text.text.encode("utf-8", "surrogatepass")) for text in texts]
        self.tokens, self.bytes = self.tokens + found.tokens, self.bytes + sum(sizes)
        keys = [text.key for text in texts]
        tokens = dict(zip(keys, shares(found.tokens, sizes), strict=True))
        for document in await self._prepared.embedded(dict(zip(keys, found.vectors, strict=True)), tokens):
            trace = self._tracer.of(document.owner, document.version, document.fingerprint)
            trace.spent("embed", document.prepared_at, {"embedded": document.embedded, "tokens": document.tokens})
        return None


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Return `total` divided in proportion to `weights`, in whole numbers whose sum is `total`."""
    whole = sum(weights)
    marks = [total * mark // whole if whole else 0 for mark in accumulate(weights, initial=0)]
    return [after - before for before, after in pairwise(marks)]

"""The reranker of this daemon: opened and proven when the daemon starts, and again whenever it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.rerank.scorer import Scorer, prove
from syncd.runtime.retry import Backoff

log = structlog.get_logger()

RERANK_LIMIT_S = 2.0
"""How long a search waits to be reranked."""
_REFUSED_S = 300.0
"""How long after a reranker was found unfit it is tried again: somebody may have put that right."""


class Reranker:
    """An actor; searches ask it for scores meanwhile. `open_scorer` makes what computes them, `label` says what that is.

    `always`: whether searches that do not say are reranked.
    """

    name = "rerank"

    def __init__(
        self,
        open_scorer: Callable[[], AbstractAsyncContextManager[Scorer]],
        label: str,
        limit_s: float = RERANK_LIMIT_S,
        *,
        always: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        self._open = open_scorer
        self.label = label
        self.always = always
        self.trouble = "it is being tried"
        """Why nothing can be reranked now; '' otherwise."""
        self._limit_s = limit_s
        self._backoff = backoff or Backoff()
        self._scorer: Scorer | None = None
        self._failed = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started at once: nothing waits for a reranker."""
        task_status.started()
        failures = 0
        while True:
            self._failed = anyio.Event()
            try:
                async with self._open() as scorer:
                    await prove(scorer)
                    self._scorer, self.trouble, failures = scorer, "", 0
                    log.info("rerank.ready", reranker=self.label)
                    await self._failed.wait()
                pause_s = self._backoff.delay_s(1)
            except RetryableError as error:
                failures += 1
                pause_s = max(self._backoff.delay_s(failures), error.retry_after_s or 0.0)
                self._lost(str(error))
            except PermanentError as error:
                pause_s = _REFUSED_S
                self._lost(str(error))
            finally:
                self._scorer = None
            await anyio.sleep(pause_s)

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return a score for each text, the higher the better, within the time that a search waits.

        Raises RetryableError, which says why not: it is unfit, away or too slow.
        """
        if self._scorer is None:
            raise RetryableError(f"{self.label}: {self.trouble}")
        try:
            with anyio.move_on_after(self._limit_s):
                return await self._scorer.scores(query, texts)
        except (RetryableError, PermanentError) as error:
            self._lost(str(error))
            raise RetryableError(f"{self.label}: {error}") from error
        raise RetryableError(f"{self.label}: it took longer than {self._limit_s:g} s (rerank.limit_s)")

    def _lost(self, why: str) -> None:
        if why != self.trouble:
            log.warning("rerank.unavailable", reranker=self.label, reason=why)
        self._scorer, self.trouble = None, why
        self._failed.set()

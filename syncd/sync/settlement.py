"""How an attempt at an invocation ends: settled, or postponed because another attempt may succeed."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from syncd.errors import (
    BugError,
    ChangingPlacesError,
    ConfigError,
    MisconfiguredError,
    NothingIndexedError,
    PermanentError,
    RetryableError,
)
from syncd.model import Counts, Origin, Request, SomeKeys, State
from syncd.runtime.containment import contained
from syncd.store import Store
from syncd.sync.handover import StoppedEarlyError
from syncd.sync.run import SourceRun
from syncd.sync.runner import Attempt, Runner, is_awaited

log = structlog.get_logger()

PUT_OFF_KEYS = 1000
"""Of more documents that are put off, not each key is noted: the next run looks at all of them."""


@dataclass(frozen=True, slots=True)
class RunTotals:
    """How a source's runs ended since the daemon started, and what the last attempt of each counted. Dry runs and cancelled ones
    are left out.
    """

    complete: int = 0
    failed: int = 0
    counts: Counts = field(default_factory=Counts)

    def plus(self, state: State, counts: Counts) -> RunTotals:
        """Return the totals with one more run."""
        complete, failed = self.complete + (state is State.COMPLETE), self.failed + (state is State.FAILED)
        return RunTotals(complete, failed, self.counts.plus(counts))


class Settlement:
    """Makes attempts and records how they end, always as the last step."""

    def __init__(self, store: Store, runner: Runner) -> None:
        self.totals: dict[str, RunTotals] = {}
        """By source id."""
        self._store = store
        self._runner = runner
        self._settings = runner.settings

    async def see_through(self, attempt: Attempt) -> None:
        """Make the attempt and record how it ended, unless the invocation was cancelled meanwhile.

        Raises RetryableError if the end cannot be recorded; another attempt is then due.
        """
        invocation = attempt.invocation
        if not await self._store.invocations.start(invocation.id):
            return
        log.info("sync.started", invocation=invocation.id, collection=invocation.target.collection)
        try:
            with contained("run", invocation=invocation.id, source=invocation.source_id):
                await self._runner.execute(attempt)
        except StoppedEarlyError:
            log.info("sync.interrupted", invocation=invocation.id)
        except RetryableError as error:
            await self._postpone(attempt, error)
        except MisconfiguredError as error:
            await self._await_mending(attempt, error)
        except NothingIndexedError as error:
            await self._leave(attempt, str(error))
        except (PermanentError, ConfigError) as error:
            await self._fail(attempt, str(error))
        else:
            await self._complete(attempt)

    async def _complete(self, attempt: Attempt) -> None:
        run, request = attempt.run, attempt.invocation.request
        if run and request.is_object_run and run.put_off and not is_awaited(attempt.invocation):
            return await self._postpone(attempt, RetryableError(run.failures[0]))
        if run and request.is_object_run and run.failures:
            if run.put_off:
                delay_s = self._settings.again.delay_s(attempt.invocation.attempts + 1)
                return await self._postpone(attempt, RetryableError(run.failures[0], delay_s))
            return await self._settle(attempt, State.FAILED, run.failures[0])
        if run and run.again_after_s is not None and not request.is_dry_run:
            await self._store.invocations.follow_up(attempt.invocation, run.again_after_s)
        if run and run.put_off:
            await self._ask_for_put_off(attempt, run)
        return await self._settle(attempt, State.COMPLETE, (run.incomplete or None) if run else None)

    async def _postpone(self, attempt: Attempt, error: RetryableError) -> None:
        """Retry the run later from its cursor. After too many attempts it fails if somebody waits for it, but not for a
        change of places, or if it keeps meeting a bug, since no attempt soon would do better.
        """
        invocation, settings = attempt.invocation, self._settings
        attempts = invocation.attempts + 1
        bugs = int(isinstance(error, BugError))
        if bugs and invocation.bugs + bugs >= settings.bug_attempts:
            return await self._fail(attempt, str(error))
        may_end = is_awaited(invocation) and not isinstance(error, ChangingPlacesError)
        if may_end and attempts >= settings.run_attempts:
            return await self._settle(attempt, State.FAILED, f"gave up after {attempts} attempts: {error}")
        delay_s = max(settings.backoff.delay_s(attempts), error.retry_after_s or 0.0)
        log.warning("sync.postponed", invocation=invocation.id, reason=str(error), delay_s=round(delay_s, 1))
        return await self._store.invocations.postpone(invocation.id, delay_s, str(error), attempt.counts, bugs)

    async def _await_mending(self, attempt: Attempt, error: MisconfiguredError) -> None:
        """End a run whose source cannot be read with its settings; one that nobody waits for waits until it can."""
        if is_awaited(attempt.invocation):
            await self._settle(attempt, State.FAILED, str(error))
        else:
            await self._postpone(attempt, RetryableError(str(error), self._settings.mending_s))

    async def _fail(self, attempt: Attempt, reason: str) -> None:
        """End a run that failed; before that ask for it again later: where nobody waits for it for the same, otherwise for
        the documents that failed for a reason that may pass.
        """
        if is_awaited(attempt.invocation):
            return await self._leave(attempt, reason)
        await self._ask_again(attempt)
        return await self._settle(attempt, State.FAILED, reason)

    async def _leave(self, attempt: Attempt, reason: str) -> None:
        """End a run that failed; before that ask again for the documents that failed for a reason that may pass, no others."""
        if attempt.run and attempt.run.put_off:
            await self._ask_for_put_off(attempt, attempt.run)
        await self._settle(attempt, State.FAILED, reason)

    async def _ask_for_put_off(self, attempt: Attempt, run: SourceRun) -> None:
        """Ask later for the documents that failed for a reason that may pass; for all of them where they are very many."""
        whole = attempt.invocation.request.whole
        if len(run.put_off) <= PUT_OFF_KEYS:
            return await self._ask_again(attempt, SomeKeys(tuple(sorted(run.put_off)), whole))
        await run.forget_cursor()
        return await self._ask_again(attempt, whole)

    async def _ask_again(self, attempt: Attempt, request: Request | None = None) -> None:
        """Ask for `request` later and later; without one for the same, if the source keeps the collection in step.

        Nobody waits for that run, so it never gives up. Twice is safe.
        """
        invocation = attempt.invocation
        source = await self._store.sources.get(invocation.source_id)
        home = await self._store.shadows.home_of(invocation.target)
        is_kept = invocation.request.whole.fan_out or (source and source.keeps(home.collection))
        if source is None or invocation.request.is_dry_run or not (is_kept or request):
            return
        delay_s = self._settings.again.delay_s(invocation.request.whole.follow_up + 1)
        origin = Origin.SCHEDULE if is_awaited(invocation) else invocation.origin
        await self._store.invocations.follow_up(invocation, delay_s, request, origin, limit=None)

    async def _settle(self, attempt: Attempt, state: State, error: str | None = None) -> None:
        invocation, counts = attempt.invocation, attempt.counts
        await self._store.invocations.settle(invocation.id, state, counts, error)
        if not invocation.request.is_dry_run:
            earlier = self.totals.get(invocation.source_id, RunTotals())
            self.totals[invocation.source_id] = earlier.plus(state, counts)
        log.info(
            "sync.settled",
            invocation=invocation.id,
            state=state.value,
            reason=error,
            indexed=counts.indexed,
            failed=counts.failed,
        )

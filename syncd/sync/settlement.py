"""How an attempt at an invocation ends: settled, or postponed because another attempt may succeed."""

from __future__ import annotations

import structlog

from syncd.errors import BugError, ConfigError, MisconfiguredError, PermanentError, RetryableError
from syncd.model import State
from syncd.runtime.containment import contained
from syncd.store import Store
from syncd.sync.handover import StoppedEarlyError
from syncd.sync.runner import Attempt, Runner, may_give_up

log = structlog.get_logger()


class Settlement:
    """Makes attempts and records how they end, always as the last step."""

    def __init__(self, store: Store, runner: Runner) -> None:
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
        except (PermanentError, ConfigError) as error:
            await self._settle(attempt, State.FAILED, str(error))
        else:
            await self._complete(attempt)

    async def _complete(self, attempt: Attempt) -> None:
        run, request = attempt.run, attempt.invocation.request
        if run and request.is_object_run and run.failures:
            return await self._settle(attempt, State.FAILED, run.failures[0])
        if run and run.again_after_s is not None and not request.is_dry_run:
            await self._store.invocations.follow_up(attempt.invocation, run.again_after_s)
        return await self._settle(attempt, State.COMPLETE, (run.incomplete or None) if run else None)

    async def _postpone(self, attempt: Attempt, error: RetryableError) -> None:
        """Retry the run later from its cursor; after too many attempts it fails, if it may.

        One that keeps meeting a bug may always fail, since no later attempt would do better.
        """
        invocation, settings = attempt.invocation, self._settings
        attempts = invocation.attempts + 1
        bugs = int(isinstance(error, BugError))
        if bugs and invocation.bugs + bugs >= settings.bug_attempts:
            return await self._settle(attempt, State.FAILED, str(error))
        if attempts >= settings.run_attempts and may_give_up(invocation):
            return await self._settle(attempt, State.FAILED, f"gave up after {attempts} attempts: {error}")
        delay_s = max(settings.backoff.delay_s(attempts), error.retry_after_s or 0.0)
        log.warning("sync.postponed", invocation=invocation.id, reason=str(error), delay_s=round(delay_s, 1))
        return await self._store.invocations.postpone(invocation.id, delay_s, str(error), attempt.counts, bugs)

    async def _await_mending(self, attempt: Attempt, error: MisconfiguredError) -> None:
        """End a run whose source cannot be read with its settings; one for an event waits until it can."""
        if may_give_up(attempt.invocation):
            await self._settle(attempt, State.FAILED, str(error))
        else:
            await self._postpone(attempt, RetryableError(str(error), self._settings.mending_s))

    async def _settle(self, attempt: Attempt, state: State, error: str | None = None) -> None:
        invocation, counts = attempt.invocation, attempt.counts
        await self._store.invocations.settle(invocation.id, state, counts, error)
        log.info(
            "sync.settled",
            invocation=invocation.id,
            state=state.value,
            reason=error,
            indexed=counts.indexed,
            failed=counts.failed,
        )

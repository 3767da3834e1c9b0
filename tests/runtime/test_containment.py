"""What becomes of errors at the edges where one thing among many is worked on."""

import anyio
import pytest
from structlog.testing import capture_logs

from syncd.errors import BugError, PermanentError, RetryableError
from syncd.runtime.containment import contained


def bug_of(error: Exception) -> tuple[BugError, dict]:
    """Raise `error` within the edge; return what came out, and what was logged."""
    with capture_logs() as logged, pytest.raises(BugError) as found, contained("run", invocation="i-1"):
        raise error
    return found.value, logged[0]


@pytest.mark.parametrize(
    "error", [TypeError("no"), ValueError("no"), MemoryError(), RecursionError(), StopIteration(), TimeoutError()]
)
def test_what_nobody_foresaw_is_logged_with_its_traceback_and_asks_for_a_report(error):
    bug, logged = bug_of(error)
    assert bug.__cause__ is error
    assert "report it" in str(bug)
    assert bug.report in str(bug)
    assert type(error).__name__ in str(bug)
    assert (logged["event"], logged["what"], logged["invocation"]) == ("bug.contained", "run", "i-1")
    assert (logged["report"], logged["exc_info"]) == (bug.report, error)


def test_it_names_the_place_in_our_code_and_not_the_text_that_a_stranger_may_have_written():
    from syncd.runtime.frames import encode

    with pytest.raises(BugError, match=r"in syncd\.runtime\.frames, line \d+") as found, contained("run"):
        encode("https://user:secret@host/\udcff")
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("error", [RetryableError("later", 7.0), PermanentError("never"), BugError("known", "1")])
def test_errors_of_ours_pass_as_they_are(error):
    with capture_logs() as logged, pytest.raises(type(error)) as found, contained("run"):
        raise error
    assert found.value is error
    assert not logged


async def fail(error: BaseException) -> None:
    raise error


async def test_a_bug_in_a_task_group_arrives_as_a_group_and_is_one():
    with pytest.raises(BugError, match="TypeError"):
        await contained_groups()


async def contained_groups() -> None:
    """Fail in a group within a group, at an edge."""
    with contained("run"):
        async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
            outer.start_soon(fail, RetryableError("away"))
            inner.start_soon(fail, TypeError("no"))


async def test_a_group_of_errors_of_ours_is_the_first_of_them():
    with pytest.raises(PermanentError, match="never"), contained("run"):
        async with anyio.create_task_group() as group:
            group.start_soon(fail, PermanentError("never"))


async def test_cancellation_passes():
    with anyio.move_on_after(0) as scope, contained("run"):
        await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), BaseExceptionGroup("both", [SystemExit(1)])])
def test_being_told_to_stop_passes(error):
    with pytest.raises(type(error)), contained("run"):
        raise error

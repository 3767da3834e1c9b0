import asyncio
import os
import signal
from contextlib import aclosing

import anyio
import pytest
from structlog.testing import capture_logs

from syncd.errors import PermanentError, RetryableError, Skipped
from syncd.runtime.process import ChildDiedError, ChildKilledError
from syncd.runtime.worker import CallTimeoutError, RemoteError, Worker

CHILD = "tests.runtime.echo_child"


def worker(*arguments, **settings):
    return Worker("echo", CHILD, arguments, env=None, **settings)


@pytest.fixture(autouse=True)
def importable_tests(monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


async def test_a_call_returns_header_and_payload_of_the_reply():
    async with worker() as echo:
        assert echo.hello["pid"] == echo.pid
        reply = await echo.call({"op": "echo", "say": "grüße \udc80"}, b"\x00" * 3_000_000, timeout_s=30)
        assert reply.header["said"] == "grüße \udc80"
        assert reply.payload == b"\x00" * 3_000_000


async def test_a_stream_yields_every_frame_in_order_though_nobody_reads_ahead():
    async with worker() as echo, aclosing(echo.stream({"op": "count", "to": 50}, timeout_s=30)) as frames:
        assert [frame.header["n"] async for frame in frames] == list(range(50))


@pytest.mark.parametrize(
    ("op", "error", "message"),
    [
        ("permanent", PermanentError, "not a document"),
        ("retryable", RetryableError, "busy"),
        ("skipped", Skipped, "binary"),
        ("bug", RemoteError, "ZeroDivisionError: division by zero"),
    ],
)
async def test_an_error_of_the_handler_is_raised_to_the_caller_and_the_child_lives_on(op, error, message):
    async with worker() as echo:
        with pytest.raises(error, match=message) as raised:
            await echo.call({"op": op}, timeout_s=30)
        assert type(raised.value) is error
        assert (await echo.call({"op": "echo", "say": 1}, timeout_s=30)).header["said"] == 1


async def test_a_stream_that_fails_half_way_gives_its_frames_and_then_the_error():
    async with worker() as echo, aclosing(echo.stream({"op": "half"}, timeout_s=30)) as frames:
        assert [(await anext(frames)).header["n"] for _ in range(2)] == [0, 1]
        with pytest.raises(PermanentError, match="page 2"):
            await anext(frames)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"op": "die", "signal": signal.SIGKILL}, "signal SIGKILL"),
        ({"op": "die", "signal": signal.SIGSEGV}, "signal SIGSEGV"),
        ({"op": "exit", "status": 3}, "exit status 3"),
    ],
)
async def test_the_death_of_the_child_fails_the_call_in_flight_and_says_how(request_, words):
    async with worker() as echo:
        with pytest.raises(ChildDiedError, match=words):
            await echo.call(request_, timeout_s=30)
        with pytest.raises(ChildDiedError, match="not running"):
            await echo.call({"op": "echo"}, timeout_s=30)


async def test_a_child_that_does_not_answer_in_time_is_killed():
    async with worker() as echo:
        with pytest.raises(CallTimeoutError, match="no answer within"):
            await echo.call({"op": "sleep"}, timeout_s=0.2)
        assert await echo.died() == "signal SIGKILL"


async def test_a_child_that_somebody_stopped_was_killed_from_outside_and_goes_on_when_it_is_continued():
    async with worker() as echo:
        os.kill(echo.pid, signal.SIGSTOP)
        with pytest.raises(ChildKilledError, match="somebody stopped it"):
            await echo.call({"op": "echo"}, timeout_s=0.2)
        assert await echo.died() == "signal SIGKILL"
    async with worker() as echo, anyio.create_task_group() as group:
        os.kill(echo.pid, signal.SIGSTOP)

        async def say():
            assert (await echo.call({"op": "echo", "say": 1}, timeout_s=60)).header["said"] == 1

        group.start_soon(say)
        await anyio.lowlevel.checkpoint()
        os.kill(echo.pid, signal.SIGCONT)


async def test_a_child_that_never_gets_ready_is_reported_and_ended():
    with pytest.raises(CallTimeoutError):
        await worker("--mute", start_limit_s=1.5).__aenter__()


async def test_a_child_that_dies_while_starting_is_reported_with_its_last_words():
    with pytest.raises(ChildDiedError, match=r"exit status 1 .*no model here"):
        await worker("--crash").__aenter__()


async def test_a_cancelled_caller_leaves_the_child_in_order_for_the_next():
    async with worker() as echo:
        for _ in range(5):
            with anyio.CancelScope() as scope:
                async with aclosing(echo.stream({"op": "count", "to": 30}, timeout_s=30)) as frames:
                    async for _ in frames:
                        scope.cancel()
            assert (await echo.call({"op": "echo", "say": "next"}, timeout_s=30)).header["said"] == "next"


async def test_what_a_child_asks_in_the_middle_of_its_reply_is_answered():
    async with worker() as echo, aclosing(echo.stream({"op": "ask"}, timeout_s=30)) as frames:
        assert (await anext(frames)).header["question"] == "how many?"
        await echo.answer({"count": 3})
        assert (await anext(frames)).header["answer"] == 3


async def test_callers_take_turns():
    async with worker() as echo:
        calls = [echo.call({"op": "echo", "say": n}, timeout_s=30) for n in range(20)]
        assert [reply.header["said"] for reply in await asyncio.gather(*calls)] == list(range(20))


async def test_prints_go_to_the_log_and_not_into_the_frames():
    with capture_logs() as logged:
        async with worker() as echo:
            await echo.call({"op": "print"}, timeout_s=30)
    lines = [entry["line"] for entry in logged if entry["event"] == "process.output"]
    assert lines == ["this goes to the log, not into the frames"]


async def test_the_daemons_secrets_are_not_in_the_childs_environment(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    async with worker() as echo:
        seen = (await echo.call({"op": "environment"}, timeout_s=30)).header
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert seen["SYNCD_PARENT_PID"] == str(os.getpid())
    assert seen["OPENBLAS_NUM_THREADS"] == "1"


async def test_a_stubborn_child_is_killed_when_its_patience_is_over():
    async with worker("--stubborn", gentle_s=0.2) as echo:
        pass
    assert await echo.died() == "signal SIGKILL"

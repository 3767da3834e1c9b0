"""A pool's processes: started when needed, used again, and replaced when spent, dead or left in the middle of something."""

import asyncio
import signal
from contextlib import aclosing

import pytest

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError, Worker
from syncd.runtime.worker_pool import Lease, WorkerPool


@pytest.fixture(autouse=True)
def importable_tests(monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


def pool(size: int = 1, max_uses: int = 0) -> WorkerPool[Worker]:
    return WorkerPool(lambda number: Worker(f"echo-{number}", "tests.runtime.echo_child"), size, max_uses)


async def pid_after(pool: WorkerPool[Worker], request=None, error=None) -> int:
    """Let a process serve one request, and return its id."""
    async with pool.lease() as lease:
        if error:
            with pytest.raises(error):
                await lease.call(request, timeout_s=0.5 if error is CallTimeoutError else 30)
        else:
            await lease.call({"op": "echo"}, timeout_s=30)
        return lease.worker.pid


async def test_a_process_is_used_again_and_ended_with_the_pool():
    async with pool() as processes:
        first = await pid_after(processes)
        async with processes.lease() as lease:
            worker = lease.worker
            assert (worker.pid, lease.uses) == (first, 2)
    assert await worker.died()


async def test_only_so_many_processes_serve_at_once():
    async with pool(size=2) as processes:
        pids = await asyncio.gather(*(pid_after(processes) for _ in range(8)))
        assert len(set(pids)) == 2


async def test_a_process_is_replaced_after_its_number_of_uses():
    async with pool(max_uses=2) as processes:
        pids = [await pid_after(processes) for _ in range(3)]
        assert pids[0] == pids[1] != pids[2]


async def test_a_fresh_process_has_served_nobody():
    async with pool(size=2) as processes:
        first = await pid_after(processes)
        async with processes.lease(fresh=True) as lease:
            assert lease.worker.pid != first
            assert lease.uses == 1


@pytest.mark.parametrize(
    ("request_", "error"),
    [({"op": "die", "signal": signal.SIGKILL}, ChildDiedError), ({"op": "sleep"}, CallTimeoutError)],
)
async def test_a_process_that_dies_or_hangs_is_replaced(request_, error):
    async with pool() as processes:
        assert await pid_after(processes, request_, error) != await pid_after(processes)


async def test_a_process_that_answers_with_an_error_is_used_again():
    async with pool() as processes:
        assert await pid_after(processes, {"op": "permanent"}, PermanentError) == await pid_after(processes)


async def test_a_process_left_in_the_middle_of_its_reply_is_ended():
    async with pool() as processes:
        async with processes.lease() as lease:
            left: Lease[Worker] = lease
            async with aclosing(lease.stream({"op": "count", "to": 30}, timeout_s=30)) as frames:
                await anext(frames)
        assert await left.worker.died()
        assert await pid_after(processes) != left.worker.pid


async def test_a_process_is_retired_when_its_user_says_so():
    async with pool() as processes:
        async with processes.lease() as lease:
            await lease.call({"op": "echo"}, timeout_s=30)
            lease.retire()
        assert await pid_after(processes) != lease.worker.pid


async def test_a_process_that_does_not_start_is_not_taken_for_one_that_died_of_its_work():
    async with WorkerPool(lambda _: Worker("echo", "tests.runtime.echo_child", ["--crash"])) as processes:
        for _ in range(2):
            with pytest.raises(RetryableError, match="does not start") as raised:
                await pid_after(processes)
            assert type(raised.value) is RetryableError


async def test_who_is_urgent_gets_the_next_process_and_who_stops_waiting_none():
    served: list[str] = []

    async def take(name: str, *, urgent: bool = False) -> None:
        async with processes.lease(urgent=urgent):
            served.append(name)

    async with pool() as processes:
        async with processes.lease():
            waiting = [asyncio.create_task(take(name)) for name in ("first", "second", "given up")]
            waiting.append(asyncio.create_task(take("urgent", urgent=True)))
            await asyncio.sleep(0)
            waiting[2].cancel()
            await asyncio.sleep(0)
            assert not served
        await asyncio.wait(waiting)
    assert served == ["urgent", "first", "second"]

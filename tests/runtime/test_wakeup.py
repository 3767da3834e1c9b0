import anyio

from syncd.runtime.wakeup import Wakeup


async def test_a_ring_while_nobody_waits_is_not_lost_and_counts_once():
    bell = Wakeup()
    bell.ring()
    bell.ring()
    with anyio.fail_after(120):
        await bell.wait()
    with anyio.move_on_after(0) as limit:
        await bell.wait()
    assert limit.cancelled_caught


async def test_a_ring_wakes_the_one_who_waits():
    bell, woken = Wakeup(), anyio.Event()

    async def wait() -> None:
        await bell.wait()
        woken.set()

    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not woken.is_set()
            bell.ring()
    assert woken.is_set()


async def test_waiting_ends_at_its_limit_and_the_next_ring_is_still_heard():
    bell = Wakeup()
    with anyio.fail_after(120):
        await bell.wait(limit_s=0.0)
        bell.ring()
        await bell.wait()

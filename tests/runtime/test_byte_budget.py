"""A budget of bytes, and locks by key."""

import anyio

from syncd.runtime.byte_budget import ByteBudget
from syncd.runtime.keylocks import KeyLocks


async def test_what_does_not_fit_waits_until_room_is_given_back():
    budget, order = ByteBudget(10), []

    async def hold(name, size_bytes, until):
        async with budget.taken(size_bytes):
            order.append(f"{name} in")
            await until.wait()

    first, second = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(hold, "a", 8, first)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(hold, "b", 8, second)
        await anyio.wait_all_tasks_blocked()
        assert order == ["a in"]
        first.set()
        await anyio.wait_all_tasks_blocked()
        assert order == ["a in", "b in"]
        second.set()


async def test_what_is_larger_than_all_room_goes_alone():
    budget = ByteBudget(10)
    async with budget.taken(1000):
        with anyio.move_on_after(0) as waiting:
            async with budget.taken(1):
                pass
        assert waiting.cancelled_caught
    with anyio.fail_after(1):
        async with budget.taken(1):
            pass


async def test_one_key_is_held_by_one_at_a_time_and_others_do_not_wait():
    locks, inside = KeyLocks(), []

    async def hold(key, until):
        async with locks.hold(key):
            inside.append(key)
            await until.wait()

    release = anyio.Event()
    async with anyio.create_task_group() as group:
        for key in ("a", "a", "b"):
            group.start_soon(hold, key, release)
        await anyio.wait_all_tasks_blocked()
        assert sorted(inside) == ["a", "b"]
        release.set()
    assert sorted(inside) == ["a", "a", "b"]
    assert locks._locks == {}


async def test_a_cancelled_waiter_leaves_no_trace():
    locks = KeyLocks()

    async def wait_for_it():
        async with locks.hold("a"):
            raise AssertionError("two holders")

    async with locks.hold("a"), anyio.create_task_group() as group:
        group.start_soon(wait_for_it)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert locks._locks == {}

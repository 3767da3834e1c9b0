import asyncio
from collections import Counter

import anyio
import pytest
from anyio import wait_all_tasks_blocked as settled
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import PermanentError
from syncd.runtime.mailbox import Mailbox, Reply, StoppedError, settling


async def double(number):
    return number * 2


class Group:
    """Background tasks of one test; plain ones, as a fixture cannot hold a task group open."""

    def __init__(self):
        self.tasks = []

    def start_soon(self, function, *arguments):
        self.tasks.append(asyncio.create_task(function(*arguments)))


@pytest.fixture
async def group():
    group = Group()
    yield group
    for task in group.tasks:
        task.cancel()
    for ended in await asyncio.gather(*group.tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def test_awaiting_the_reply_returns_what_the_handler_returned(group):
    box = Mailbox[int, int]("box", 1)
    group.start_soon(box.serve, double)
    reply = await box.put(21)
    assert await reply == 42
    assert await reply == 42
    assert await box.ask(4) == 8


async def test_a_message_is_not_acknowledged_before_its_handler_is_done(group):
    box, gate = Mailbox[int, None]("box", 1), anyio.Event()

    async def handle(_):
        await gate.wait()

    group.start_soon(box.serve, handle)
    reply = await box.put(1)
    await settled()
    assert not reply.settled
    gate.set()
    await reply


@pytest.mark.parametrize(("capacity", "workers"), [(1, 1), (3, 2), (8, 5)])
async def test_a_sender_stops_at_exactly_capacity_plus_workers(group, capacity, workers):
    box, sent = Mailbox[int, None]("box", capacity), Counter()

    async def handle(_):
        await anyio.sleep_forever()

    async def send():
        while True:
            await box.put(0)
            sent["messages"] += 1

    for _ in range(workers):
        group.start_soon(box.serve, handle)
    group.start_soon(send)
    await settled()
    assert sent["messages"] == capacity + workers
    assert box.stats().waiting == capacity
    assert box.stats().served == workers


async def test_urgent_messages_overtake_and_have_room_of_their_own(group):
    box, order = Mailbox[str, None]("box", 2), []

    async def handle(message):
        order.append(message)

    for message in "ab":
        await box.put(message)
    for message in "xy":
        await box.put(message, urgent=True)
    assert box.stats().urgent_waiting == 2
    group.start_soon(box.serve, handle)
    await settled()
    assert order == ["x", "y", "a", "b"]


async def test_a_bad_message_fails_its_sender_and_not_the_actor(group):
    box = Mailbox[int, float]("box", 4)

    async def handle(number):
        if number < 0:
            raise PermanentError("negative")
        return 1 / number

    group.start_soon(box.serve, handle)
    with pytest.raises(PermanentError, match="negative"):
        await box.ask(-1)
    with pytest.raises(ZeroDivisionError):
        await box.ask(0)
    assert await box.ask(2) == 0.5


async def test_a_stopped_actor_fails_the_reply_in_its_hand_and_leaves_the_others_waiting():
    box, order = Mailbox[int, None]("box", 4), []

    async def handle(number):
        order.append(number)
        await anyio.sleep_forever()

    replies = [await box.put(n) for n in range(3)]
    async with anyio.create_task_group() as group:
        group.start_soon(box.serve, handle)
        await settled()
        group.cancel_scope.cancel()
    with pytest.raises(StoppedError):
        await replies[0]
    assert not replies[1].settled
    assert box.stats().waiting == 2
    async with anyio.create_task_group() as group:
        group.start_soon(box.serve, double)
        assert await replies[1] == 2
        assert await replies[2] == 4
        group.cancel_scope.cancel()


async def test_a_task_cancelled_by_asyncio_itself_fails_the_reply_too():
    box = Mailbox[int, None]("box", 1)
    reply = await box.put(1)
    task = asyncio.create_task(box.serve(lambda _: anyio.sleep_forever()))
    await settled()
    task.cancel()
    with pytest.raises(StoppedError):
        await reply


async def test_a_cancelled_sender_leaves_its_message_and_nothing_breaks(group):
    box, handled = Mailbox[int, None]("box", 1), []

    async def handle(number):
        handled.append(number)
        raise PermanentError("nobody will hear this")

    sender = asyncio.create_task(box.ask(1))
    await settled()
    sender.cancel()
    group.start_soon(box.serve, handle)
    with pytest.raises(PermanentError):
        await box.ask(2)
    assert handled == [1, 2]


async def test_a_sender_cancelled_while_waiting_for_room_has_put_nothing():
    box = Mailbox[int, int]("box", 1)
    await box.put(1)
    async with anyio.create_task_group() as group:
        group.start_soon(box.put, 2)
        await settled()
        group.cancel_scope.cancel()
    assert [e.message for e in await box.take_many(9)] == [1]
    await box.put(3)
    assert [e.message for e in await box.take_many(9)] == [3]


async def test_taking_many_takes_what_waits_up_to_the_limit_and_never_mixes_lanes():
    box = Mailbox[str, None]("box", 9)
    for text in ("aa", "bbb", "c", "d"):
        await box.put(text)
    await box.put("urgent", urgent=True)
    batches = [await box.take_many(5, len) for _ in range(3)]
    assert [[e.message for e in batch] for batch in batches] == [["urgent"], ["aa", "bbb"], ["c", "d"]]


async def test_what_a_gatherer_leaves_unsettled_is_failed_with_the_reason():
    box = Mailbox[int, int]("box", 9)
    replies = [await box.put(n) for n in range(3)]
    taken = await box.take_many(3)

    def fail_half_way():
        with settling(taken):
            taken[0].reply.settle(7)
            raise PermanentError("the batch failed")

    with pytest.raises(PermanentError):
        fail_half_way()
    assert await replies[0] == 7
    with pytest.raises(PermanentError, match="the batch failed"):
        await replies[1]
    reply = await box.put(1)
    with settling(await box.take_many(1)):
        pass
    with pytest.raises(RuntimeError, match="never settled"):
        await reply


async def test_two_gatherers_never_take_what_the_other_was_promised(group):
    box, seen = Mailbox[int, None]("box", 100), Counter()

    async def gather():
        while True:
            batch = await box.take_many(7)
            assert batch
            for envelope in batch:
                seen[envelope.message] += 1
                envelope.reply.settle(None)

    for _ in range(3):
        group.start_soon(gather)
    await settled()
    for n in range(500):
        await box.put(n)
        if n % 13 == 0:
            await checkpoint()
    await settled()
    assert seen == Counter(range(500))


@given(st.lists(st.sampled_from(["put", "urgent", "take", "cancel", "crash"]), max_size=60))
def test_whatever_happens_no_message_is_lost_doubled_or_left_hanging(steps):
    asyncio.run(live(steps))


async def live(steps):
    box, replies, handled = Mailbox[int, int]("box", 3), {}, Counter()

    async def send(number, urgent):
        replies[number] = await box.put(number, urgent=urgent)

    async def handle(number):
        handled[number] += 1
        await checkpoint()
        if number % 5 == 0:
            raise ConnectionError
        return number

    async def serve():
        with pytest.raises(asyncio.CancelledError):
            await box.serve(handle)

    tasks = []
    for number, step in enumerate(steps):
        if step in ("put", "urgent"):
            tasks.append(asyncio.create_task(send(number, step == "urgent")))
        elif step == "take":
            tasks.append(asyncio.create_task(serve()))
        elif step == "cancel" and tasks:
            tasks.pop().cancel()
        await checkpoint()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(count == 1 for count in handled.values())
    assert all(reply.settled == (number in handled) for number, reply in replies.items())


async def test_what_is_put_aside_for_later_is_not_failed():
    box = Mailbox[int, int]("box", 9)
    replies = [await box.put(n) for n in range(2)]
    taken = await box.take_many(2)
    with settling(taken, lambda: [taken[0]]):
        pass
    assert not replies[0].settled
    with pytest.raises(RuntimeError):
        await replies[1]


def test_who_asks_to_be_told_is_told_once_when_a_reply_has_come_or_at_once_where_it_has():
    told: list[str] = []
    kept, refused = Reply[int](), Reply[int]()
    kept.when_settled(lambda: told.append("kept"))
    refused.when_settled(lambda: told.append("refused"))
    assert not told
    refused.fail(ValueError("no"))
    kept.settle(1)
    kept.settle(2)
    kept.when_settled(lambda: told.append("late"))
    assert told == ["refused", "kept", "late"]


async def test_a_stand_in_takes_no_message_once_it_is_not_needed_and_ends_the_one_in_hand():
    mailbox: Mailbox[int, int] = Mailbox("box", 10)
    over, begun, go_on = anyio.Event(), anyio.Event(), anyio.Event()

    async def double(number: int) -> int:
        begun.set()
        await go_on.wait()
        return 2 * number

    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(mailbox.serve_until, over, double)
            first = await mailbox.put(1)
            await begun.wait()
            over.set()
            second = await mailbox.put(2)
            go_on.set()
    assert (await first, second.settled) == (2, False)
    assert mailbox.stats().waiting == 1

import asyncio
from contextlib import suppress

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio import wait_all_tasks_blocked as settled
from anyio.lowlevel import checkpoint

from syncd.errors import ConfigError
from syncd.runtime.retry import Backoff
from syncd.runtime.supervisor import EscalatedError, Supervisor

AT_ONCE = Backoff(random=lambda: 0.0)


class Part:
    """An actor that writes its life into `diary` and crashes on its first `crashes` runs."""

    def __init__(self, name, diary, crashes=0, returns=False):
        self.name, self.diary, self.crashes, self.returns, self.runs = name, diary, crashes, returns, 0
        self.steady = anyio.Event()

    async def run(self):
        self.runs += 1
        self.diary.append(f"{self.name} up")
        try:
            if self.runs <= self.crashes:
                raise OSError(f"{self.name} broke")
            self.steady.set()
            if not self.returns:
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            self.diary.append(f"{self.name} down")


class Slow(Part):
    """An actor that is able to serve only when `gate` opens."""

    def __init__(self, name, diary, gate):
        super().__init__(name, diary)
        self.gate = gate

    async def run(self, *, task_status=TASK_STATUS_IGNORED):
        await self.gate.wait()
        self.diary.append(f"{self.name} able")
        task_status.started()
        await super().run()


async def run_until_settled(*supervisors):
    async with anyio.create_task_group() as group:
        for supervisor in supervisors:
            group.start_soon(supervisor.run)
        await settled()
        group.cancel_scope.cancel()


async def test_children_start_in_order_and_stop_in_reverse():
    diary = []
    await run_until_settled(Supervisor("root", [Part("a", diary), Part("b", diary), Part("c", diary)]))
    assert diary == ["a up", "b up", "c up", "c down", "b down", "a down"]


async def test_the_next_child_waits_until_the_one_before_is_able_to_serve():
    diary, gate = [], anyio.Event()
    root = Supervisor("root", [Slow("store", diary, gate), Part("api", diary)])
    async with anyio.create_task_group() as group:
        group.start_soon(root.run)
        await settled()
        assert diary == []
        assert [child.state for child in root.status()] == ["starting", "waiting"]
        gate.set()
        await settled()
        assert diary == ["store able", "store up", "api up"]
        group.cancel_scope.cancel()


async def test_a_supervisor_has_started_when_all_its_children_have():
    diary, gate = [], anyio.Event()
    inner = Supervisor("inner", [Slow("store", diary, gate)])
    async with anyio.create_task_group() as group:
        group.start_soon(Supervisor("root", [inner, Part("api", diary)]).run)
        await settled()
        gate.set()
        await settled()
        group.cancel_scope.cancel()
    assert diary[-1:] == ["store down"]
    assert diary.index("store able") < diary.index("api up")


async def test_a_crash_restarts_the_crashed_child_only():
    diary = []
    a, b = Part("a", diary), Part("b", diary, crashes=3)
    root = Supervisor("root", [a, b], max_restarts=3, backoff=AT_ONCE)
    async with anyio.create_task_group() as group:
        group.start_soon(root.run)
        await settled()
        assert (a.runs, b.runs) == (1, 4)
        status = root.status()[1]
        assert (status.state, status.restarts, status.error) == ("running", 3, "OSError: b broke")
        group.cancel_scope.cancel()


async def test_restarts_are_told_of_every_actor_below():
    a, b = Part("a", [], crashes=1), Part("b", [], crashes=2)
    root = Supervisor("root", [a, Supervisor("inner", [b], max_restarts=3, backoff=AT_ONCE)], backoff=AT_ONCE)
    async with anyio.create_task_group() as group:
        await group.start(root.run)
        await a.steady.wait()
        await b.steady.wait()
        assert root.restarts() == {"a": 1, "inner": 0, "b": 2}
        (below,) = root.status()[1].children
        assert (below.name, below.restarts, root.status()[0].children) == ("b", 2, ())
        group.cancel_scope.cancel()


async def test_too_many_crashes_stop_the_others_in_order_and_escalate_with_the_cause():
    diary = []
    a, b, c = Part("a", diary), Part("b", diary), Part("c", diary, crashes=99)
    with pytest.raises(EscalatedError, match=r"root gave up: more than 2 crashes .* of c ") as raised:
        await Supervisor("root", [a, b, c], max_restarts=2, backoff=AT_ONCE).run()
    assert isinstance(raised.value.__cause__, OSError)
    assert c.runs == 3
    assert diary[-2:] == ["b down", "a down"]


async def test_escalation_climbs_through_nested_supervisors():
    diary = []
    broken = Part("broken", diary, crashes=99)
    inner = Supervisor("inner", [broken], max_restarts=1, backoff=AT_ONCE)
    with pytest.raises(EscalatedError, match="root gave up") as raised:
        await Supervisor("root", [Part("a", diary), inner], max_restarts=2, backoff=AT_ONCE).run()
    assert isinstance(raised.value.__cause__, EscalatedError)
    assert broken.runs == 2 * 3


async def test_a_child_that_crashes_while_starting_escalates_instead_of_holding_up_the_start():
    class NeverAble(Part):
        async def run(self, *, task_status=TASK_STATUS_IGNORED):
            await super().run()

    with pytest.raises(EscalatedError):
        await Supervisor("root", [NeverAble("a", [], crashes=99)], max_restarts=2, backoff=AT_ONCE).run()


async def test_a_wrong_configuration_escalates_at_once():
    class Wrong(Part):
        async def run(self, *, task_status=TASK_STATUS_IGNORED):
            self.runs += 1
            raise ConfigError("the port is taken")

    wrong = Wrong("a", [])
    with pytest.raises(EscalatedError, match="the port is taken") as raised:
        await Supervisor("root", [wrong], backoff=AT_ONCE).run()
    assert isinstance(raised.value.__cause__, ConfigError)
    assert wrong.runs == 1


async def test_a_configuration_found_wrong_later_is_a_crash_like_any_other():
    class WrongLater(Part):
        async def run(self, *, task_status=TASK_STATUS_IGNORED):
            self.runs += 1
            task_status.started()
            raise ConfigError("the key went away")

    wrong = WrongLater("a", [])
    with pytest.raises(EscalatedError, match="more than 2 crashes"):
        await Supervisor("root", [wrong], max_restarts=2, backoff=AT_ONCE).run()
    assert wrong.runs == 3


async def test_returning_is_a_crash():
    with pytest.raises(EscalatedError, match="returned, though it should run"):
        await Supervisor("root", [Part("a", [], returns=True)], max_restarts=1, backoff=AT_ONCE).run()


async def test_a_temporary_child_may_return_and_never_escalates_but_degrades():
    diary = []
    broken, done = Part("broken", diary, crashes=99), Part("done", diary, returns=True)
    root = Supervisor(
        "root",
        [Part("a", diary)],
        temporary=[broken, done],
        max_restarts=2,
        backoff=Backoff(cap_s=3600, random=lambda: 0.0),
    )
    async with anyio.create_task_group() as group:
        group.start_soon(root.run)
        await settled()
        assert [child.state for child in root.status()] == ["running", "degraded", "finished"]
        assert broken.runs == 3
        group.cancel_scope.cancel()
    assert diary[-1] == "a down"


async def test_a_degraded_child_is_tried_again():
    part = Part("source", [], crashes=3)
    root = Supervisor("root", temporary=[part], max_restarts=1, backoff=Backoff(cap_s=0.0), within_s=60)
    async with anyio.create_task_group() as group:
        group.start_soon(root.run)
        await settled()
        assert part.runs == 4
        assert root.status()[0].state == "degraded"
        group.cancel_scope.cancel()


async def test_crashes_outside_the_window_do_not_add_up():
    part = Part("a", [], crashes=20)
    root = Supervisor("root", [part], max_restarts=1, within_s=0.0, backoff=Backoff(base_s=1e-6))
    async with anyio.create_task_group() as group:
        group.start_soon(root.run)
        await part.steady.wait()
        group.cancel_scope.cancel()


async def test_children_come_and_go_while_it_runs():
    diary = []
    root = Supervisor("root", [Part("a", diary)])
    async with anyio.create_task_group() as group:
        group.start_soon(root.run)
        await settled()
        await root.add(Part("b", diary))
        with pytest.raises(ValueError, match="named b already"):
            await root.add(Part("b", diary))
        await settled()
        await root.remove("b")
        await root.remove("unknown")
        assert diary == ["a up", "b up", "b down"]
        assert [child.name for child in root.status()] == ["a"]
        group.cancel_scope.cancel()


async def test_a_child_cancelled_while_it_waits_for_its_restart_ends_at_once():
    part = Part("a", [], crashes=99)
    root = Supervisor("root", [part], backoff=Backoff(base_s=3600, cap_s=3600, random=lambda: 1.0))
    await run_until_settled(root)
    assert part.runs == 1
    assert root.status()[0].state == "stopped"


async def test_an_error_while_being_stopped_is_not_a_crash():
    class Clumsy(Part):
        async def run(self):
            try:
                await anyio.sleep_forever()
            finally:
                raise OSError("could not clean up")

    diary = []
    root = Supervisor("root", [Part("a", diary), Clumsy("b", diary)], max_restarts=0)
    await run_until_settled(root)
    assert diary == ["a up", "a down"]
    assert root.status()[1].restarts == 0


async def test_a_supervisor_can_be_run_again_after_it_gave_up():
    part = Part("a", [], crashes=2)
    root = Supervisor("root", [part], max_restarts=1, backoff=AT_ONCE)
    with pytest.raises(EscalatedError):
        await root.run()
    await run_until_settled(root)
    assert part.runs == 3


async def test_asyncios_own_cancellation_stops_it_in_order_too():
    diary = []
    task = asyncio.create_task(Supervisor("root", [Part("a", diary), Part("b", diary)]).run())
    await settled()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert diary == ["a up", "b up", "b down", "a down"]

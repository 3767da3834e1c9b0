import os
import socket

import anyio
import pytest

from syncd.runtime.notify import Notifier, Watchdog


@pytest.fixture
def systemd(tmp_path):
    """The end of the socket on which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        yield end


@pytest.fixture
def notifier(tmp_path):
    return Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})


def heard(systemd):
    states = []
    while True:
        try:
            states.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return states


def test_states_are_told_in_systemds_words(systemd, notifier):
    notifier.ready()
    notifier.stopping()
    assert heard(systemd) == ["READY=1", "STOPPING=1"]
    notifier.reloading()
    assert heard(systemd)[0].startswith("RELOADING=1\nMONOTONIC_USEC=")


def test_an_abstract_socket_works_too():
    name = f"syncd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert end.recv(100) == b"READY=1"


def test_a_socket_that_nobody_drains_holds_nothing_up(systemd, notifier):
    for _ in range(5_000):
        notifier.alive()
    assert 0 < len(heard(systemd)) < 5_000


def test_without_systemd_nothing_is_sent():
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": "/nowhere/to/be/found"}).ready()


async def test_the_watchdog_is_fed_three_times_a_period_while_the_loop_turns(systemd, notifier):
    watchdog = Watchdog(notifier, {"WATCHDOG_USEC": "30000000"})
    assert watchdog.interval_s == 10
    async with anyio.create_task_group() as group:
        group.start_soon(watchdog.run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert heard(systemd) == ["WATCHDOG=1"]


async def test_the_watchdog_of_another_process_is_not_ours(systemd, notifier):
    watchdog = Watchdog(notifier, {"WATCHDOG_USEC": "3", "WATCHDOG_PID": "1"})
    async with anyio.create_task_group() as group:
        group.start_soon(watchdog.run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert heard(systemd) == []

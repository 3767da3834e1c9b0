import fcntl
import os
import signal
import socket
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import anyio
import psutil
import pytest

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import HOST, ChromaServer, free_port
from syncd.errors import ConfigError, RetryableError
from syncd.runtime.process import ChildDiedError
from syncd.runtime.retry import Backoff
from syncd.runtime.supervisor import Supervisor
from tests.processes import gone, wait_until

REFUSED = [
    sys.executable,
    "-c",
    """
import sys
from syncd.runtime import private_network as network
def refused():
    raise PermissionError(1, "no networks here")
network.enter_network = refused
network.main(sys.argv[1:])
""",
]
"""The program that makes a network, where the kernel refuses."""


def pid_of(port):
    """The process that listens on the server's port, by the kernel's tables."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            inode = f"socket:[{fields[9]}]"
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                except OSError:
                    continue
                if inode in links:
                    return int(pid)
    return None


async def test_it_is_started_when_it_answers_and_gone_after_it_was_stopped(tmp_path):
    server = ChromaServer(tmp_path / "chroma")
    async with anyio.create_task_group() as group:
        await group.start(server.run)
        async with Chroma(ChromaSettings(HOST, server.port)) as chroma:
            await chroma.heartbeat()
        pid = pid_of(server.port)
        group.cancel_scope.cancel()
    assert gone(pid)


async def test_a_private_server_is_reached_through_its_network_alone_and_again_after_its_death(tmp_path):
    server = ChromaServer(tmp_path / "chroma", is_private=True)
    supervisor = Supervisor("root", [server], backoff=Backoff(random=lambda: 0.0))
    settings = ChromaSettings(HOST, server.port, network=server.network)
    async with anyio.create_task_group() as group, Chroma(settings) as chroma:
        await group.start(supervisor.run)
        if not server.is_private:
            pytest.skip(f"no network of its own here: {server.network.obstacle}")
        await chroma.create_database("kept")
        with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, server.port)):
            pass
        child_of(os.getpid(), server.folder).kill()
        await wait_until(lambda: supervisor.status()[0].restarts == 1)
        with suppress(RetryableError):
            await chroma.heartbeat()
        await chroma.available()
        child_of(child_of(os.getpid(), server.folder).pid, server.folder).kill()
        with pytest.raises(ConnectionRefusedError, match="cannot be reached"):
            server.network.new_socket()
        await wait_until(lambda: supervisor.status()[0].restarts == 2)
        with suppress(RetryableError):
            await chroma.heartbeat()
        await chroma.available()
        assert await chroma.database_exists("kept")
        group.cancel_scope.cancel()
    with pytest.raises(ConnectionRefusedError, match="does not run"):
        server.network.new_socket()


def child_of(pid, folder):
    """The one child of a process with a folder; psutil's `children` leaves out what a step of the clock has put before its parent."""
    mine = (each for each in psutil.process_iter(["ppid", "cmdline"]) if each.info["ppid"] == pid)
    (found,) = [each for each in mine if str(folder) in (each.info["cmdline"] or ())]
    return found


async def test_a_server_whose_network_cannot_be_made_is_open_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.chroma.server.python", lambda *command: [*REFUSED, *command[1:]])
    server = ChromaServer(tmp_path / "chroma", is_private=True)
    async with (
        anyio.create_task_group() as group,
        Chroma(ChromaSettings(HOST, server.port, network=server.network)) as chroma,
    ):
        await group.start(server.run)
        assert (server.is_private, server.network.obstacle) == (False, "[Errno 1] no networks here")
        await chroma.heartbeat()
        socket.create_connection((HOST, server.port)).close()
        group.cancel_scope.cancel()


async def test_a_killed_server_is_started_again_on_the_same_port(tmp_path):
    server = ChromaServer(tmp_path / "chroma")
    supervisor = Supervisor("root", [server], backoff=Backoff(random=lambda: 0.0))
    async with anyio.create_task_group() as group, Chroma(ChromaSettings(HOST, server.port)) as chroma:
        await group.start(supervisor.run)
        await chroma.create_database("kept")
        left_over = tmp_path / "chroma/01234567-0123-0123-0123-0123456789ab"
        left_over.mkdir()
        os.kill(pid_of(server.port), signal.SIGKILL)
        await wait_until(lambda: supervisor.status()[0].restarts == 1 and pid_of(server.port))
        with suppress(RetryableError):
            await chroma.heartbeat()  # on the connection that the dead one left
        await chroma.available()
        assert await chroma.database_exists("kept")
        assert server.unclean_stops == 1
        assert not left_over.exists()
        assert "signal SIGKILL" in supervisor.status()[0].error
        group.cancel_scope.cancel()
    # Nobody has compared what the dead one left.
    for unclean_stops, compared in ((1, 0), (1, 1), (0, 0)):
        server = ChromaServer(tmp_path / "chroma")
        async with anyio.create_task_group() as group:
            await group.start(server.run)
            assert server.unclean_stops == unclean_stops
            server.note_compared(compared)
            group.cancel_scope.cancel()


async def test_a_taken_port_is_named(tmp_path):
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"chroma\.port {port} is taken"):
            await ChromaServer(tmp_path / "chroma", port).run()


DAEMON = """
import sys, anyio, pathlib
from syncd.chroma.server import ChromaServer
async def main():
    server = ChromaServer(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
    async with anyio.create_task_group() as group:
        await group.start(server.run)
        print("serving", file=sys.stderr, flush=True)
anyio.run(main)
"""


async def test_a_server_left_by_a_killed_daemon_stops_by_itself_and_the_next_one_waits_for_it(tmp_path):
    folder, port = tmp_path / "chroma", free_port()
    daemon = await anyio.open_process([sys.executable, "-c", DAEMON, str(folder), str(port)])
    assert b"serving" in await daemon.stderr.receive()
    first = pid_of(port)
    daemon.kill()
    async with anyio.create_task_group() as group:
        await group.start(ChromaServer(folder, port).run)
        assert gone(first)
        assert pid_of(port) not in (None, first)
        group.cancel_scope.cancel()
    await daemon.aclose()


async def test_a_leftover_that_does_not_go_is_reported_after_the_limit(tmp_path):
    with (tmp_path / "chroma.lock").open("w") as leftover:
        fcntl.flock(leftover, fcntl.LOCK_EX)
        with pytest.raises(RetryableError, match="another Chroma server still uses"):
            await ChromaServer(tmp_path / "chroma", leftover_limit_s=0.2).run()


async def test_a_server_that_cannot_start_says_why(tmp_path):
    (tmp_path / "chroma").mkdir()
    (tmp_path / "chroma" / "chroma.sqlite3").write_bytes(b"this is not a database" * 1000)
    with pytest.raises((ChildDiedError, RetryableError)):
        await ChromaServer(tmp_path / "chroma", start_limit_s=20).run()


async def started_and_stopped(server: ChromaServer) -> None:
    async with anyio.create_task_group() as group:
        await group.start(server.run)
        group.cancel_scope.cancel()


async def test_a_database_whose_migrations_the_server_refuses_is_set_aside_by_the_next_try(tmp_path):
    await started_and_stopped(ChromaServer(tmp_path / "chroma"))
    with closing(sqlite3.connect(tmp_path / "chroma/chroma.sqlite3")) as connection:
        connection.execute("UPDATE migrations SET hash = 'another' WHERE version = 1")
        connection.commit()
    server = ChromaServer(tmp_path / "chroma")
    with pytest.raises(ChildDiedError, match="did not start"):
        await server.run()
    assert not (tmp_path / "chroma.damaged").exists()
    await started_and_stopped(server)
    assert (tmp_path / "chroma.damaged/chroma.sqlite3").exists()


async def test_a_damaged_database_is_set_aside_by_the_next_try_and_a_sound_one_stays_whatever_is_suspected(tmp_path):
    folder = tmp_path / "chroma"
    folder.mkdir()
    (folder / "chroma.sqlite3").write_bytes(b"this is not a database" * 1000)
    server = ChromaServer(folder, start_limit_s=20)
    supervisor = Supervisor("root", [server], backoff=Backoff(random=lambda: 0.0))
    async with anyio.create_task_group() as group, Chroma(ChromaSettings(HOST, server.port)) as chroma:
        await group.start(supervisor.run)
        assert (tmp_path / "chroma.damaged/chroma.sqlite3").read_bytes().startswith(b"this is not")
        await chroma.create_database("kept")
        server.note_compared(server.unclean_stops)
        server._examined_at -= 60
        server.suspect("it answers nonsense")
        await wait_until(lambda: supervisor.status()[0].restarts == 2 and pid_of(server.port))
        with suppress(RetryableError):
            await chroma.heartbeat()  # on the connection that the stopped one left
        await chroma.available()
        assert await chroma.database_exists("kept")
        assert server.unclean_stops == 1  # the one that did not start
        group.cancel_scope.cancel()


async def test_waiting_writers_go_on_when_chroma_comes_back(tmp_path):
    server, passed = ChromaServer(tmp_path / "chroma"), []

    async def writer(chroma):
        await chroma.available()
        passed.append(True)

    async with Chroma(ChromaSettings(HOST, server.port)) as chroma, anyio.create_task_group() as group:
        assert "cannot be reached" in await chroma.look()
        for _ in range(5):
            group.start_soon(writer, chroma)
        await anyio.wait_all_tasks_blocked()
        assert not passed
        async with anyio.create_task_group() as running:
            await running.start(server.run)
            await wait_until(lambda: len(passed) == 5)
            running.cancel_scope.cancel()

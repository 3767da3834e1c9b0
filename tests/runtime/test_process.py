import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from syncd.runtime.process import Child, ChildDiedError, describe_exit, python, tied
from tests.processes import gone, wait_until

PARENT = """
import signal, sys, anyio
from syncd.runtime.process import Child, tied
async def main():
    child = await Child.spawn("orphan", tied(["sleep", "600"], signal.Signals[sys.argv[1]]))
    print(child.pid, flush=True, file=sys.stderr)
    await anyio.sleep_forever()
anyio.run(main)
"""
BUSY_PARENT = """
import sys, anyio
from syncd.runtime.worker import Worker
async def main():
    async with Worker("echo", "tests.runtime.echo_child") as worker:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: worker.call({"op": "sleep"}, timeout_s=600))
            await anyio.wait_all_tasks_blocked()
            print(worker.pid, flush=True, file=sys.stderr)
anyio.run(main)
"""
TRAP = "trap 'echo asked to stop > {mark}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"


async def spawn(*command, **settings):
    lines, first = [], anyio.Event()

    def hear(line):
        lines.append(line)
        first.set()

    child = await Child.spawn("test", command, on_line=hear, **settings)
    return child, lines, first


async def test_what_it_prints_is_heard_and_how_it_ended_is_told():
    child, lines, _ = await spawn("sh", "-c", "echo out; echo err >&2; exit 3")
    assert await child.wait() == "exit status 3"
    await child.end()
    assert sorted(lines) == sorted(child.tail) == ["err", "out"]


async def test_it_is_asked_to_stop_before_it_is_killed(tmp_path):
    child, _, ready = await spawn("sh", "-c", TRAP.format(mark=tmp_path / "mark"))
    await ready.wait()
    assert await child.end(gentle_s=30) == "exit status 0"
    assert (tmp_path / "mark").read_text() == "asked to stop\n"


async def test_one_that_does_not_stop_is_killed_with_everything_it_started():
    child, lines, ready = await spawn("sh", "-c", "trap '' TERM; sleep 600 & echo $!; wait; sleep 600")
    await ready.wait()
    assert await child.end(gentle_s=0.1) == "signal SIGKILL"
    await wait_until(lambda: gone(int(lines[0])))


async def test_what_it_started_does_not_outlive_it():
    child, lines, ready = await spawn("sh", "-c", "sleep 600 & echo $!")
    await ready.wait()
    await child.end()
    await wait_until(lambda: gone(int(lines[0])))


async def test_ending_is_not_cut_short_by_cancellation(tmp_path):
    child, _, ready = await spawn("sh", "-c", TRAP.format(mark=tmp_path / "mark"))
    await ready.wait()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await child.end(gentle_s=30)
    assert not child.running
    assert (tmp_path / "mark").exists()


async def test_ending_twice_is_safe():
    child, _, _ = await spawn("true")
    assert await child.end() == await child.end()


async def test_a_program_that_is_not_there_is_reported():
    with pytest.raises(ChildDiedError, match="no-such-program"):
        await spawn("/no-such-program")


async def test_an_over_long_line_does_not_stop_the_listening():
    child, lines, _ = await spawn(*python("timeit", "-n1", "-r1", "print('x' * 300_000); print('after')"))
    await child.wait()
    await child.end()
    assert "after" in lines


@pytest.fixture
def parent():
    """Starts Python programs that start children; what they print first is their child's process id."""
    started = []

    def start(program, *arguments, **settings):
        command = [sys.executable, "-c", program, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **settings)
        started.append(process)
        return process, int(next(line for line in process.stderr if line.strip().isdigit()))

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_child_gets_its_signal_when_its_parent_is_killed(parent, number):
    process, pid = parent(PARENT, number.name)
    await wait_until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())
    process.kill()
    await wait_until(lambda: gone(pid))


async def test_a_worker_dies_with_its_parent_by_the_kernels_signal_and_not_by_the_end_of_its_pipe(parent, request):
    environment = {**os.environ, "PYTHONPATH": str(request.config.rootpath)}
    process, pid = parent(BUSY_PARENT, env=environment)
    await wait_until(lambda: Path(f"/proc/{pid}/wchan").read_text() not in ("pipe_read", "anon_pipe_read"))
    process.kill()
    await wait_until(lambda: gone(pid))


async def test_a_child_whose_parent_is_gone_already_does_not_start():
    launcher = python("syncd.runtime.launch", "SIGTERM", "1", "echo", "started")
    if os.getppid() == 1:
        pytest.skip("the tests run directly under process 1")
    done = await anyio.run_process(launcher, check=False)
    assert (done.returncode, done.stdout) == (75, b"")


async def test_a_tied_program_keeps_its_arguments():
    child, lines, _ = await spawn(*tied(["echo", "a b", "--c"], signal.SIGTERM))
    await child.wait()
    await child.end()
    assert lines == ["a b --c"]


def test_exit_statuses_are_told_in_words():
    assert [describe_exit(n) for n in (0, 3, -9, -11, -64)] == [
        "exit status 0",
        "exit status 3",
        "signal SIGKILL",
        "signal SIGSEGV",
        "signal SIGRTMAX",
    ]

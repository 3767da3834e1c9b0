import signal
import subprocess
import sys

import pytest

from syncd.runtime.signals import EXIT_DEADLINE

DAEMON = """
import sys, time, anyio
from syncd.runtime.signals import watch_signals

def say(text):
    print(text, flush=True)

async def reload():
    say("reloaded")

async def main(mood, deadline_s):
    async with anyio.create_task_group() as group:
        def stop():
            say("draining")
            if mood == "good":
                group.cancel_scope.cancel()
            if mood == "blocked":
                group.start_soon(block)
        group.start_soon(lambda: watch_signals(stop, reload, deadline_s=deadline_s))
        await anyio.wait_all_tasks_blocked()
        say("up")
        await anyio.sleep_forever()

async def block():
    say("blocked")
    while True:
        pass

anyio.run(main, sys.argv[1], float(sys.argv[2]))
say("clean end")
"""


@pytest.fixture
def daemon():
    started = []

    def start(mood, deadline_s=60):
        command = [sys.executable, "-c", DAEMON, mood, str(deadline_s)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def expect(process, text):
    for line in process.stdout:
        if line.strip() == text:
            return
    raise AssertionError(f"it ended without saying {text!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_the_process_ends_by_itself(daemon, number):
    process = daemon("good")
    expect(process, "up")
    process.send_signal(number)
    expect(process, "draining")
    expect(process, "clean end")
    assert process.wait() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_it_at_once(daemon, second):
    process = daemon("hangs")
    expect(process, "up")
    process.send_signal(signal.SIGTERM)
    expect(process, "draining")
    process.send_signal(second)
    assert process.wait(30) == 128 + second


def test_the_second_signal_ends_it_while_the_event_loop_is_blocked(daemon):
    process = daemon("blocked")
    expect(process, "up")
    process.send_signal(signal.SIGTERM)
    expect(process, "blocked")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM


@pytest.mark.parametrize("mood", ["hangs", "blocked"])
def test_draining_ends_at_the_deadline(daemon, mood):
    process = daemon(mood, deadline_s=0.2)
    expect(process, "up")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == EXIT_DEADLINE


def test_sighup_reloads_and_goes_on(daemon):
    process = daemon("good")
    expect(process, "up")
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
        expect(process, "reloaded")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0

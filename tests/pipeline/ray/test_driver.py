"""Leases of workers. Calls of Ray's are stood in for by futures that a test settles when it likes."""

import asyncio
from concurrent.futures import Future

import grpc
import pytest

from syncd.errors import RetryableError
from syncd.pipeline.embed.engine import Cluster
from syncd.pipeline.prepare.process import PreparerSettings
from syncd.pipeline.ray import driver
from syncd.pipeline.ray.driver import LeasedWorker
from syncd.pipeline.ray.order import Order, PreparingOrder

ORDER = Order(Cluster("auto"), PreparingOrder(PreparerSettings()))


class Call:
    def __init__(self, actor):
        self._actor = actor

    def remote(self, *_):
        return self

    def future(self):
        answer = Future()
        self._actor.asked(answer)
        return answer


class Actor:
    """Answers beats while it lives, and has what it is asked answered by the test."""

    def __init__(self):
        self.is_silent = False
        self.answers = []
        self.beats = 0
        self.has_beaten_for_long = asyncio.Event()

    @property
    def beat(self):
        return Call(_Asked(self._beaten))

    def _beaten(self, answer):
        self.beats += 1
        if self.beats > 10:
            self.has_beaten_for_long.set()
        if not self.is_silent:
            answer.set_result(None)

    @property
    def start(self):
        return Call(_Asked(lambda answer: answer.set_result(({}, b""))))

    @property
    def answer(self):
        return Call(_Asked(self.answers.append))


class _Asked:
    def __init__(self, asked):
        self.asked = asked


async def test_a_worker_may_compute_for_longer_than_its_lease_but_not_be_silent_and_its_late_answer_counts_for_nothing(
    monkeypatch,
):
    killed = []
    monkeypatch.setattr(driver._ray, "kill", killed.append)
    monkeypatch.setattr(driver, "_LEASE_S", 0.05)
    monkeypatch.setattr(driver, "_BEAT_S", 0.01)
    actor = Actor()
    worker = LeasedWorker(actor)
    await worker.start(ORDER)
    asked = asyncio.create_task(worker.answer({}, b"a text"))
    await actor.has_beaten_for_long.wait()
    assert not asked.done()
    actor.is_silent = True
    with pytest.raises(RetryableError, match=r"the worker was lost: no answer for 0\.05 s"):
        await asked
    assert killed == [actor]
    actor.answers[0].set_result("a late answer")
    with pytest.raises(RetryableError, match="the worker was lost"):
        await worker.answer({}, b"another text")


class Refused:
    """A worker behind a connection that has failed: its calls end as gRPC's do."""

    @property
    def beat(self):
        def fail(_answer):
            with grpc.insecure_channel("127.0.0.1:1") as channel:
                channel.unary_unary("/ray/beat")(b"", timeout=30)

        return Call(_Asked(fail))


async def test_a_connection_that_fails_loses_the_worker_and_says_so_in_one_line():
    with pytest.raises(RetryableError, match=r"^the worker was lost: .*127\.0\.0\.1:1[^\n]*$"):
        await LeasedWorker(Refused()).start(ORDER)

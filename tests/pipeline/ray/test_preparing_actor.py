"""What a worker that prepares does with requests, without a cluster: Ray only carries them."""

import asyncio
import tempfile
from dataclasses import asdict

import pytest

from syncd.model import Chunking
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.prepare.process import PreparerSettings
from syncd.pipeline.ray.order import PreparingOrder
from syncd.pipeline.ray.preparing_actor import PreparingActor

BEGIN = {"name": "a.txt", "media_type": None, "path": "a.txt", "secrets": "index", "urgent": False}
BEGIN |= {"chunking": asdict(Chunking())}
LINE = b"The keeper lights the lamp at dusk, and trims the wick.\n"


@pytest.fixture
def actor(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    actor = PreparingActor()
    actor.start(PreparingOrder(PreparerSettings(step_limit_s=30, ocr=Ocr(enabled=False))))
    yield actor
    actor.awaited(all_ended())
    actor._loop.call_soon_threadsafe(actor._loop.stop)


async def all_ended():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_a_document_whose_drop_overtakes_its_begin_is_not_begun_and_the_next_one_is_prepared(actor):
    assert actor.answer({"document": 1, "drop": True}, b"") == ({}, b"")
    assert actor.answer({"document": 1, "begin": BEGIN}, LINE * 100_000) == ({}, b"")
    answer, payload = actor.answer({"document": 2, "begin": BEGIN}, LINE * 100)
    assert answer["warnings"] == []
    assert sum(answer["sizes"]) == len(payload) > 0


def test_a_document_that_is_dropped_at_work_leaves_the_process_to_the_next_one(actor):
    answer, _ = actor.answer({"document": 1, "begin": BEGIN}, LINE * 1_200_000)
    assert "warnings" not in answer
    assert actor.answer({"document": 1, "drop": True}, b"") == ({}, b"")
    assert "warnings" in actor.answer({"document": 2, "begin": BEGIN}, LINE * 100)[0]

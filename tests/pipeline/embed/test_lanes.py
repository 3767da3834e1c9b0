"""How many processes share a model's work is measured during its first backfill, where that gains; a query never waits for it."""

import json
import os
import shutil
from pathlib import Path

import psutil
import pytest
import structlog

from syncd.pipeline.embed import lane_trial, local
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.engine import EngineOptions
from syncd.pipeline.embed.lane_trial import reliable
from syncd.pipeline.embed.lanes import Lanes, counts, own_bytes
from syncd.pipeline.embed.local import open_embedder, prepare
from syncd.pipeline.embed.probe import PROBE_RESULTS
from syncd.pipeline.embed.process import ModelProcess
from syncd.pipeline.embed.variant import RunSettings

SLEEPY = "tests.pipeline.embed.sleepy_worker"
OPTIONS = EngineOptions(worker=SLEEPY, threads=2)
TEXTS = [f"{number} lamp " * 100 for number in range(8)]


@pytest.fixture
def own_folder(minilm_folder, tmp_path):
    """A folder with the model of which nothing is kept: lanes found in a shared one would become all tests' lanes."""
    folder = shutil.copytree(minilm_folder, tmp_path / "models", copy_function=os.link)
    (folder / PROBE_RESULTS).unlink(missing_ok=True)
    return folder


@pytest.fixture
def soon(monkeypatch):
    """Measures after the first batch, with short rounds."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(local, "AFTER_S", 0.0)
    monkeypatch.setattr(local, "AGAIN_S", 0.0)
    monkeypatch.setattr("os.getloadavg", lambda: (1.0, 1.0, 1.0))
    monkeypatch.setattr(lane_trial, "_ROUND_S", 0.1)


def workers():
    return [process for process in psutil.Process().children() if SLEEPY in process.cmdline()]


def measured(logged):
    return [entry for entry in logged if entry["event"] == "model.lanes_measured"]


async def test_lanes_that_gain_are_kept_and_a_query_is_answered_while_they_are_measured(soon, own_folder, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    with structlog.testing.capture_logs() as logged:
        async with open_embedder(Catalog().find(MINILM), own_folder, OPTIONS) as embedder:
            await embedder.embed(TEXTS, "document")
            while len(workers()) < 3:
                await embedder.embed(["lamp"], "query")
            assert len((await embedder.embed(["lamp"], "query")).vectors) == 1
            assert not measured(logged)
            while not measured(logged) or len(workers()) != 2:
                await embedder.embed(TEXTS, "document")
        assert [entry["count"] for entry in measured(logged)] == [2]
        async with open_embedder(Catalog().find(MINILM), own_folder, OPTIONS) as embedder:
            while len(workers()) < 2:
                await embedder.embed(TEXTS, "document")
    assert len(measured(logged)) == 1


async def test_where_they_gain_nothing_a_model_keeps_its_one_process(soon, own_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("LC_ALL", str(tmp_path / "core"))
    # What a call needs beside its nap overlaps, which on busy cores is a gain of some percent.
    monkeypatch.setattr(lane_trial, "_WORTH_IT", 1.5)
    options = EngineOptions(worker=SLEEPY, threads=2, lane_memory_bytes=3 << 30)
    with structlog.testing.capture_logs() as logged:
        async with open_embedder(Catalog().find(MINILM), own_folder, options) as embedder:
            while not measured(logged):
                await embedder.embed(TEXTS, "document")
            assert len(workers()) == 1
    prepared = await prepare(Catalog().find(MINILM), own_folder, options)
    assert prepared.lanes.find() == Lanes()


async def test_nothing_is_measured_while_others_keep_the_cores_busy(soon, own_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("LC_ALL", str(tmp_path / "core"))
    monkeypatch.setattr("os.getloadavg", lambda: (9.0, 9.0, 9.0))
    options = EngineOptions(worker=SLEEPY, threads=2, lane_memory_bytes=5 << 30)
    with structlog.testing.capture_logs() as logged:
        async with open_embedder(Catalog().find(MINILM), own_folder, options) as embedder:
            for _ in range(3):
                await embedder.embed(TEXTS, "document")
            assert len(workers()) == 1
            assert not measured(logged)
            monkeypatch.setattr("os.getloadavg", lambda: (5.0, 9.0, 9.0))
            while not measured(logged):
                await embedder.embed(TEXTS, "document")


async def test_another_number_of_threads_is_measured_anew(own_folder):
    one, other = [
        await prepare(Catalog().find(MINILM), own_folder, EngineOptions(threads=threads)) for threads in (1, 3)
    ]
    one.lanes.keep(Lanes(2, pinned=True))
    assert one.lanes.find() == Lanes(2, pinned=True)
    assert other.lanes.find() is None
    assert one.lanes.key in json.loads((own_folder / PROBE_RESULTS).read_text())


async def test_a_pinned_lane_computes_on_its_own_cores_only(own_folder):
    prepared = await prepare(Catalog().find(MINILM), own_folder)
    usual = prepared.settings
    core = sorted(psutil.Process().cpu_affinity())[-1]
    pinned = RunSettings(usual.path, "mean", 256, variant=usual.variant, cores=(core,))
    async with ModelProcess("m", pinned) as process:
        assert psutil.Process(process.pid).cpu_affinity() == [core]
        assert own_bytes(process.pid) > 1 << 20


def test_lanes_divide_the_threads_or_the_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 4, 6, 8})
    usual = RunSettings(Path("m.gguf"), "mean", 256)
    assert [lane.own_threads() for lane in Lanes(2).settings(usual)] == [2, 2]
    assert [lane.cores for lane in Lanes(2, pinned=True).settings(usual)] == [(0, 2), (4, 6)]
    assert Lanes().settings(usual) == [usual]


def test_as_many_are_tried_as_there_are_threads_and_memory_for():
    assert counts(1, 1 << 30, 1 << 20) == []
    assert counts(2, 1 << 30, 1 << 20) == [2]
    assert counts(6, 1 << 30, 1 << 20) == [2, 4, 6]
    assert counts(16, 1 << 30, 1 << 20) == [2, 4, 8, 16]
    assert counts(16, 1 << 30, 200 << 20) == [2, 4, 5]
    assert counts(2, 1 << 30, 600 << 20) == []


def test_a_gain_counts_if_nearly_all_pairs_had_it():
    assert reliable([1.3, 1.4, 0.7, 1.3, 1.5]) == 1.3
    assert reliable([1.3, 0.9, 0.7, 1.3, 1.5]) == 0.9
    assert reliable([1.2, 1.3]) == 1.2
    assert reliable([1.3]) is None

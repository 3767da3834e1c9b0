"""A device that one process cannot keep busy gets several, which share one queue; without room for them it has one."""

from pathlib import Path

import psutil
import structlog

from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.local import EngineOptions, open_embedder

WORKER = "syncd.pipeline.embed.worker"
TEXTS = [f"{number} " + "word " * 100 for number in range(24)]


def workers(name):
    return [process for process in psutil.Process().children() if name in process.cmdline()]


async def test_two_processes_of_one_device_share_the_queue(minilm_folder):
    async with open_embedder(Catalog().find(MINILM), minilm_folder, EngineOptions(lanes=2)) as embedder:
        while sum(sum(process.cpu_times()[:2]) > 0.3 for process in workers(WORKER)) < 2:
            assert len((await embedder.embed(TEXTS, "document")).vectors) == len(TEXTS)
        assert len(workers(WORKER)) == 2


async def test_a_spare_that_has_no_room_leaves_the_work_to_the_first(minilm_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setenv("LC_ALL", str(tmp_path / "card"))
    module = "tests.pipeline.embed.lonely_worker"
    options = EngineOptions(lanes=2, worker=module)
    with structlog.testing.capture_logs() as logged:
        async with open_embedder(Catalog().find(MINILM), minilm_folder, options) as embedder:
            while not any(entry["event"] == "model.spare_process_ended" for entry in logged):
                await embedder.embed(TEXTS[:1], "document")
            assert len((await embedder.embed(TEXTS, "document")).vectors) == len(TEXTS)
            assert len(workers(module)) == 1

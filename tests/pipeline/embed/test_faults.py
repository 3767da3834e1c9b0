"""The model's process dies, hangs or lies: only the guilty text fails, and nothing else is lost."""

import asyncio
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.local import EngineOptions, open_embedder, prepare
from syncd.pipeline.embed.probe import Probe
from syncd.pipeline.embed.process import ModelProcess, TimeLimits
from syncd.pipeline.embed.variant import RunSettings, Variant
from tests.models import in_its_own_task
from tests.pipeline.embed import faulty_worker

FAULTY = "tests.pipeline.embed.faulty_worker"
GOOD = [f"a harmless text, number {number}" for number in range(9)]


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


@pytest.fixture
async def faulty(minilm_folder):
    options = EngineOptions(lanes=1, worker=FAULTY, limits=TimeLimits(call_s=2, token_s=0))
    async with in_its_own_task(open_embedder(Catalog().find(MINILM), minilm_folder, options)) as embedder:
        yield embedder


async def outcomes(embedder, texts):
    """What becomes of each of `texts`, put in at once by callers of their own."""
    calls = (embedder.embed([text], "document") for text in texts)
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_a_text_that_aborts_the_process_fails_alone(faulty):
    found = await outcomes(faulty, [*GOOD[:5], "this is poison", *GOOD[5:]])
    guilty = found.pop(5)
    assert isinstance(guilty, PermanentError)
    assert "SIGABRT" in str(guilty)
    undisturbed = await faulty.embed(GOOD, "document")
    assert np.allclose(np.concatenate([each.vectors for each in found]), undisturbed.vectors, atol=1e-6)


async def test_a_text_that_hangs_the_process_fails_alone(faulty):
    guilty, innocent = await outcomes(faulty, ["freeze", GOOD[0]])
    assert isinstance(guilty, PermanentError)
    assert "no answer within 2 s" in str(guilty)
    assert innocent.vectors.shape == (1, 384)


async def test_a_vector_that_is_not_finite_fails_its_text_alone(faulty):
    first, guilty, last = await outcomes(faulty, [GOOD[0], "zero", GOOD[1]])
    assert isinstance(guilty, PermanentError)
    assert "not finite" in str(guilty)
    assert np.isfinite(first.vectors).all()
    assert np.isfinite(last.vectors).all()


async def test_an_error_names_the_text_of_its_call(faulty):
    with pytest.raises(PermanentError, match="text 3: "):
        await faulty.embed([GOOD[0], GOOD[1], "zero"], "document")


async def kill_while_embedding(embedder, texts, kills, seed):
    """Embed `texts` in calls of their own, and kill the process after seeded numbers of finished ones."""
    step, chance = len(texts) // kills, random.Random(seed)
    moments = {number * step + chance.randrange(1, step) for number in range(kills)}
    done = 0

    async def one(text):
        nonlocal done
        found = await embedder.embed([text], "document")
        done += 1
        if done in moments and embedder.process.pid:
            os.kill(embedder.process.pid, signal.SIGKILL)
        return found.vectors[0]

    return np.stack(await asyncio.gather(*(one(text) for text in texts)))


@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.soak)])
async def test_nothing_is_lost_when_the_process_is_killed_again_and_again(minilm, kills):
    texts = [f"{number} " + "word " * (150 + 7 * number % 90) for number in range(kills * 6)]
    undisturbed = await minilm.embed(texts, "document")
    vectors = await kill_while_embedding(minilm, texts, kills, seed=kills)
    assert minilm.process.starts > kills / 2
    assert (np.sum(vectors * undisturbed.vectors, axis=1) > 1 - 1e-5).all()


async def test_a_process_that_dies_of_everything_blames_no_text(minilm_folder, monkeypatch):
    async with in_its_own_task(open_embedder(Catalog().find(MINILM), minilm_folder)) as embedder:
        started, kills = ModelProcess._started, []

        async def killed(process):
            worker = await started(process)
            if len(kills) < 4:
                os.kill(worker.pid, signal.SIGKILL)
                kills.append(worker.pid)
            return worker

        monkeypatch.setattr(ModelProcess, "_started", killed)
        with pytest.raises(RetryableError, match="dies whatever it computes"):
            await embedder.embed(["an only text"], "document")
        await embedder.embed(["an only text", "and another"], "document")
        assert len(set(kills)) == 4


def faulty_texts(number, kind):
    """Three texts of one round: what aborts or hangs the process is in the middle one."""
    word = {"abort": "poison ", "hang": "freeze ", "kill": ""}[kind]
    return [f"text {number} first", f"text {number} {word}second", f"text {number} third"]


@pytest.mark.parametrize("faults", [3, pytest.param(50, marks=pytest.mark.soak)])
async def test_nothing_is_lost_and_poison_is_isolated_however_the_process_ends(minilm_folder, minilm, faults):
    """Aborted by an assertion, hung and killed from outside, in turn, each in the middle of a batch of three."""
    options = EngineOptions(lanes=1, worker=FAULTY, limits=TimeLimits(call_s=2, token_s=0))
    async with in_its_own_task(open_embedder(Catalog().find(MINILM), minilm_folder, options)) as faulty:
        for number in range(faults):
            kind = ("abort", "hang", "kill")[number % 3]
            texts = faulty_texts(number, kind)
            await faulty.embed([f"text {number} before"], "document")  # the process of the round before is replaced
            starts = faulty.process.starts
            calls = [asyncio.create_task(faulty.embed([text], "document")) for text in texts]
            if kind == "kill":
                await asyncio.sleep(0)  # the texts are in the queue, and the first of them on its way
                os.kill(faulty.process.pid, signal.SIGKILL)
            found = await asyncio.gather(*calls, return_exceptions=True)
            guilty = [] if kind == "kill" else [1]
            assert [place for place, each in enumerate(found) if isinstance(each, PermanentError)] == guilty, found
            innocent = [place for place in range(3) if place not in guilty]
            expected = (await minilm.embed([texts[place] for place in innocent], "document")).vectors
            assert np.allclose([found[place].vectors[0] for place in innocent], expected, atol=1e-5)
            assert faulty.process.starts > starts


async def test_queries_wait_for_one_batch_of_a_backfill(minilm):
    done: list[int] = []
    first = asyncio.Event()

    async def document(number):
        await minilm.embed([f"{number} " + "word " * 250], "document")
        done.append(number)
        first.set()

    backfill = [asyncio.create_task(document(number)) for number in range(24)]
    await first.wait()
    before = len(done)
    await minilm.embed(["a query"], "query")
    assert len(done) <= before + minilm.process.batch_tokens // 250
    await asyncio.gather(*backfill)


async def test_callers_who_give_up_leave_the_rest_alone(minilm):
    calls = [asyncio.create_task(minilm.embed([text], "document")) for text in GOOD]
    await asyncio.sleep(0)
    calls[4].cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in found] == [number == 4 for number in range(9)]


async def test_a_process_that_cannot_start_is_retryable(minilm_folder):
    async with in_its_own_task(open_embedder(Catalog().find(MINILM), minilm_folder)) as embedder:
        embedder.process._module = "tests.no_such_module"
        os.kill(embedder.process.pid, signal.SIGKILL)
        with pytest.raises(RetryableError, match="does not start"):
            await embedder.embed(["a"], "document")
        embedder.process._module = "syncd.pipeline.embed.worker"
        assert (await embedder.embed(["a"], "document")).vectors.shape == (1, 384)


async def settings_of(folder):
    prepared = await prepare(Catalog().find(MINILM), folder)
    return prepared.settings


@pytest.mark.parametrize("fault", [faulty_worker.CRASHING_VARIANT, faulty_worker.WRONG_VARIANT])
async def test_the_probe_falls_back_from_a_variant_that_crashes_or_computes_nonsense(
    minilm_folder, tmp_path, monkeypatch, fault
):
    settings = await settings_of(minilm_folder)
    monkeypatch.setenv("LC_ALL", fault)
    assert (await Probe("m", settings, worker=FAULTY).choose("digest", tmp_path))[0] == Variant(
        tap=False, extra_bufts=False
    )


async def test_the_probe_remembers_its_outcome_per_file(minilm_folder, tmp_path, monkeypatch):
    settings = await settings_of(minilm_folder)
    assert (await Probe("m", settings, worker=FAULTY).choose("one", tmp_path))[0].extra_bufts
    monkeypatch.setenv("LC_ALL", faulty_worker.CRASHING_VARIANT)
    assert (await Probe("m", settings, worker=FAULTY).choose("one", tmp_path))[0].extra_bufts
    assert not (await Probe("m", settings, worker=FAULTY).choose("two", tmp_path))[0].extra_bufts


async def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 1000)
    with pytest.raises(PermanentError, match=r"cannot (be run|load)"):
        await Probe("m", RunSettings(path, "mean", 256)).choose("digest", tmp_path)


async def test_a_process_that_cannot_start_says_why_and_not_to_rebuild(minilm_folder):
    settings = RunSettings(minilm_folder / "none.gguf", "mean", 256)
    probe = Probe("a-model", settings, worker="tests.pipeline.embed.no_such_worker")
    with pytest.raises(PermanentError, match=r"cannot be run here: .*exit status 1.* No module named") as refused:
        await probe.choose("digest", minilm_folder)
    assert "rebuild" not in str(refused.value)

"""Embedding servers on this machine, over real HTTP: the protocols, several of them, outages, wrong models."""

import asyncio
import base64
import hashlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio
import numpy as np
import pytest
from aiohttp import web

from syncd.errors import ConfigError, PermanentError, PutOffError, RetryableError
from syncd.pipeline.embed.catalog import MINILM, Catalog, EmbeddingModel
from syncd.pipeline.embed.local import EngineOptions, local_record
from syncd.pipeline.embed.record import ModelRecord, forget_record
from syncd.pipeline.embed.remote import RemoteEmbedder, RemoteOptions, prepare_remote
from syncd.pipeline.embed.servers import Server
from syncd.pipeline.embed.variant import PROBE_TEXTS
from syncd.runtime.retry import Backoff
from tests.pipeline.embed.texts import MIXED

MODEL = EmbeddingModel("remote/model", (), pooling="last", dimensions=16, max_tokens=512)
FAST = RemoteOptions(batch_bytes=200, attempts=2, patience_s=0.5, backoff=Backoff(base_s=0.001, cap_s=0.01))
LIMIT_CHARACTERS = 900


def vector(text, model="right"):
    seed = int.from_bytes(hashlib.sha256(f"{model}{text}".encode()).digest()[:8], "big")
    row = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
    return row / np.linalg.norm(row)


class Machine:
    """An embedding server whose health, model and limits a test sets."""

    def __init__(self):
        self.model = "right"
        self.status = 200
        self.seen = []
        self.busy = asyncio.Event()
        self.at_once = self.most_at_once = 0
        self.bears = self.takes = 1000
        self.takes_s = 0.0

    async def counted(self, request, answer):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes_s)
            if self.at_once > self.bears:
                return web.Response(status=429, text="too many requests", headers={"Retry-After": "0"})
            return await answer(request)
        finally:
            self.at_once -= 1

    async def openai(self, request):
        body = await request.json()
        assert body["encoding_format"] == "base64"
        self.input_type = body.get("input_type")
        if refused := self._look(body["input"]):
            return refused
        rows = [
            {"index": number, "embedding": base64.b64encode(vector(text, self.model).tobytes()).decode()}
            for number, text in enumerate(body["input"])
        ]
        return web.json_response({"data": rows[::-1], "usage": {"total_tokens": 100}})

    async def tei(self, request):
        body = await request.json()
        assert body["truncate"] is False
        if refused := self._look(body["inputs"]):
            return refused
        return web.json_response([(3 * vector(text, self.model)).tolist() for text in body["inputs"]])

    def _look(self, texts):
        self.seen.append(texts)
        if len(self.seen) == 10:
            self.busy.set()
        if self.status != 200:
            return web.Response(status=self.status, text="overloaded")
        if len(texts) > self.takes:
            return web.Response(status=413, text=f"a batch holds at most {self.takes} texts")
        if any("refused" in text or len(text) > LIMIT_CHARACTERS for text in texts):
            return web.Response(status=413, text="a text has more than 512 tokens")
        if any("poison" in text for text in texts):
            return web.Response(status=500, text="assertion failed")
        return None


@asynccontextmanager
async def serving(machine):
    application = web.Application()
    application.router.add_post("/v1/embeddings", partial(machine.counted, answer=machine.openai))
    application.router.add_post("/embed", partial(machine.counted, answer=machine.tei))
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fleet(folder, *machines, protocol="openai", local=None, in_flight=2, options=FAST):
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(machine)) for machine in machines]
        servers = [
            Server(url if protocol == "tei" else url + "/v1", protocol, "m", in_flight=in_flight) for url in urls
        ]
        embedder = RemoteEmbedder(await prepare_remote(MODEL, servers, folder, options, local))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        await tasks.start(embedder.run)
        yield embedder
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("protocol", ["openai", "tei"])
async def test_texts_become_unit_vectors_in_their_order(tmp_path, protocol):
    texts = [f"text {number} " * (number % 7 + 1) for number in range(40)]
    async with fleet(tmp_path, Machine(), protocol=protocol) as embedder:
        found = await embedder.embed(texts, "document")
    assert np.allclose(found.vectors, [vector(text) for text in texts], atol=1e-6)
    assert found.tokens > 0


async def test_only_another_syncd_is_told_that_texts_have_their_prompts(tmp_path):
    for protocol, told in (("openai", None), ("syncd", "prompted")):
        machine = Machine()
        async with fleet(tmp_path / protocol, machine, protocol=protocol) as embedder:
            await embedder.embed(["one"], "document")
        assert machine.input_type == told


async def test_several_servers_share_the_work(tmp_path):
    machines = [Machine(), Machine()]
    async with fleet(tmp_path, *machines) as embedder:
        await embedder.embed([f"text {number} " * 9 for number in range(60)], "document")
    assert all(len(machine.seen) > 5 for machine in machines)


async def test_a_server_that_fails_is_replaced_by_the_others_and_comes_back(tmp_path):
    broken, healthy = Machine(), Machine()
    async with fleet(tmp_path, broken, healthy) as embedder:
        broken.status = 503
        texts = [f"text {number} " * 9 for number in range(60)]
        assert len((await embedder.embed(texts, "document")).vectors) == 60
        assert embedder.shortfall.startswith("computed without http://127.0.0.1:")
        assert "answers 503" in embedder.shortfall
        assert embedder.trouble == ""
        broken.status = 200
        broken.seen.clear()
        while not any("text" in text for texts in broken.seen for text in texts):
            await embedder.embed(texts, "document")


async def test_what_a_lost_server_had_is_with_another_at_once_though_many_wait_for_work(tmp_path):
    broken, healthy = Machine(), Machine()
    async with fleet(tmp_path, broken, healthy, in_flight=32, options=replace(FAST, patience_s=10)) as embedder:
        while len(embedder.elsewhere) < 2:
            await embedder.embed(["both join"], "document")
        broken.status = 503
        for number in range(20):
            await embedder.embed([f"query {number}"], "query")
        assert len(embedder.elsewhere) == 1


async def test_a_server_of_another_model_never_gives_a_vector(tmp_path):
    right, wrong = Machine(), Machine()
    texts = [f"text {number} " * 9 for number in range(60)]
    async with fleet(tmp_path, right, wrong) as embedder:
        wrong.model = "wrong"
        found = await embedder.embed(texts, "document")
        assert np.allclose(found.vectors, [vector(text) for text in texts], atol=1e-6)


async def test_a_server_that_changes_its_model_while_it_runs_is_found_out(tmp_path):
    machine = Machine()
    async with fleet(tmp_path, machine) as embedder:
        await embedder.embed(["before"], "document")
        machine.model = "wrong"
        with pytest.raises(RetryableError, match="reference vectors"):
            await embedder.embed(["after"], "query")
        machine.model = "right"
        assert len((await embedder.embed(["after"], "document")).vectors) == 1


async def test_the_record_outlives_the_daemon(tmp_path):
    async with fleet(tmp_path, Machine()) as first:
        pass
    machine = Machine()
    machine.model = "wrong"
    async with fleet(tmp_path, machine) as second:
        assert second.fingerprint == first.fingerprint
        with pytest.raises(RetryableError):
            await second.embed(["text"], "query")
    forget_record(MODEL.name, tmp_path)
    async with fleet(tmp_path, machine) as third:
        assert third.fingerprint != first.fingerprint
        assert np.allclose((await third.embed(["text"], "query")).vectors[0], vector("text", "wrong"), atol=1e-6)


async def test_a_record_that_cannot_be_kept_counts_for_nothing_and_says_where_it_belongs(tmp_path):
    (tmp_path / "remote.json").mkdir()
    with pytest.raises(RetryableError, match=r"remote\.json cannot be written \(Is a directory\): let the user"):
        async with fleet(tmp_path, Machine()):
            pass


async def test_servers_that_disagree_at_first_contact_are_both_refused(tmp_path):
    right, wrong = Machine(), Machine()
    wrong.model = "wrong"
    with pytest.raises(PermanentError, match="compute different vectors"):
        async with fleet(tmp_path, right, wrong):
            pass
    assert not list(tmp_path.iterdir())


async def test_what_the_models_own_file_computes_here_is_what_servers_must_compute(tmp_path):
    vectors = np.stack([vector(text) for text in PROBE_TEXTS])

    async def local():
        return ModelRecord("the file's own", vectors)

    right, wrong = Machine(), Machine()
    wrong.model = "wrong"
    async with fleet(tmp_path, wrong, right, local=local) as embedder:
        assert embedder.fingerprint == "the file's own"
        texts = [f"text {number} " * 9 for number in range(20)]
        assert np.allclose(
            (await embedder.embed(texts, "document")).vectors, [vector(text) for text in texts], atol=1e-6
        )
    assert all(set(texts) <= set(PROBE_TEXTS) for texts in wrong.seen)


async def test_a_text_the_server_refuses_fails_alone(tmp_path):
    async with fleet(tmp_path, Machine()) as embedder:
        with pytest.raises(PermanentError, match=r"text 2: .*more than 512 tokens"):
            await embedder.embed(["fine", "refused", "also fine"], "document")
        assert len((await embedder.embed(["fine", "also fine"], "document")).vectors) == 2


async def test_a_text_over_the_servers_limit_is_embedded_in_pieces_and_averaged(tmp_path):
    text = "word " * 300
    async with fleet(tmp_path, Machine()) as embedder:
        found = await embedder.embed([text], "document")
    mean = vector(text[:750]) + vector(text[750:])
    assert found.vectors[0] @ (mean / np.linalg.norm(mean)) > 0.9999


async def test_a_text_that_servers_break_down_over_fails_alone(tmp_path):
    machines = [Machine(), Machine()]
    async with fleet(tmp_path, *machines) as embedder:
        calls = (embedder.embed([text], "document") for text in ["fine", "poison", "also fine"])
        first, guilty, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(guilty, PermanentError)
    assert isinstance(guilty, PutOffError)
    assert "keep failing on this text" in str(guilty)
    assert np.allclose([first.vectors[0], last.vectors[0]], [vector("fine"), vector("also fine")], atol=1e-6)


async def test_documents_wait_for_servers_and_queries_are_told(tmp_path):
    machine = Machine()
    async with fleet(tmp_path, machine) as embedder:
        machine.status = 503
        document = asyncio.create_task(embedder.embed(["a document"], "document"))
        with pytest.raises(RetryableError, match="answers 503"):
            await embedder.embed(["a query"], "query")
        assert not document.done()
        assert "answers 503" in embedder.trouble
        machine.status = 200
        assert np.allclose((await document).vectors[0], vector("a document"), atol=1e-6)
        assert embedder.trouble == ""


async def test_a_query_waits_for_no_more_than_the_requests_under_way(tmp_path):
    machine = Machine()
    async with fleet(tmp_path, machine) as embedder:
        backfill = asyncio.create_task(embedder.embed([f"text {number} " * 20 for number in range(80)], "document"))
        await machine.busy.wait()
        before = len(machine.seen)
        await embedder.embed(["a query"], "query")
        position = next(number for number, texts in enumerate(machine.seen) if "a query" in texts)
        assert position <= before + 2
        await backfill


async def test_no_more_requests_are_under_way_than_allowed(tmp_path):
    machine = Machine()
    machine.takes_s = 0.02
    texts = [f"text {number} " * 20 for number in range(80)]
    async with fleet(tmp_path, machine) as embedder:
        while machine.most_at_once < 2:
            await embedder.embed(texts, "document")
        await embedder.embed(texts, "document")
    assert machine.most_at_once == 2


async def test_a_server_that_bears_more_requests_gets_more_and_one_that_is_too_busy_fewer(tmp_path):
    machine = Machine()
    machine.takes_s, machine.bears = 0.02, 6
    texts = [f"text {number} " * 20 for number in range(60)]
    async with fleet(tmp_path, machine, in_flight=16) as embedder:
        while machine.most_at_once <= machine.bears:
            found = await embedder.embed(texts, "document")
        again = await embedder.embed(texts, "document")
    assert np.allclose([found.vectors, again.vectors], [vector(text) for text in texts], atol=1e-6)
    assert machine.most_at_once <= machine.bears + 2


@pytest.mark.parametrize(("protocol", "takes", "largest"), [("openai", 1000, 128), ("openai", 32, 32), ("tei", 32, 32)])
async def test_requests_hold_as_many_texts_as_the_server_takes(tmp_path, protocol, takes, largest):
    machine = Machine()
    machine.takes = takes
    texts = [f"text {number}" for number in range(400)]
    options = replace(FAST, batch_bytes=1 << 16)
    async with fleet(tmp_path, machine, protocol=protocol, in_flight=1, options=options) as embedder:
        for _ in range(2):
            machine.seen.clear()
            found = await embedder.embed(texts, "document")
    assert np.allclose(found.vectors, [vector(text) for text in texts], atol=1e-6)
    assert max(map(len, machine.seen)) == largest


async def test_a_server_that_does_not_know_the_model_does_not_stop_the_others(tmp_path):
    lost, right = Machine(), Machine()
    async with fleet(tmp_path, lost, right) as embedder:
        lost.status = 404
        texts = [f"text {number} " * 9 for number in range(30)]
        assert len((await embedder.embed(texts, "document")).vectors) == 30


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_server_that_begins_to_refuse_everything_is_lost_and_no_text_is_to_blame(tmp_path, status):
    lost, right = Machine(), Machine()
    async with fleet(tmp_path, lost, right) as embedder:
        while len(embedder.elsewhere) < 2:
            await embedder.embed(["both join"], "document")
        lost.status = status
        texts = [f"text {number}" for number in range(20)]
        found = [(await embedder.embed([text], "document")).vectors[0] for text in texts]
        long = (await embedder.embed(["word " * 120], "document")).vectors[0]
        assert f"rejected the text ({status}): overloaded; it is a known one: check the server" in embedder.shortfall
        assert len(embedder.elsewhere) == 1
        lost.status = 200
        while len(embedder.elsewhere) < 2:
            await embedder.embed(["both join"], "document")
    assert np.allclose(found, [vector(text) for text in texts], atol=1e-6)
    assert np.allclose(long, vector("word " * 120), atol=1e-6)


async def test_texts_wait_for_the_only_server_while_that_refuses_everything(tmp_path):
    machine = Machine()
    async with fleet(tmp_path, machine) as embedder:
        await embedder.embed(["before"], "document")
        machine.status = 400
        document = asyncio.create_task(embedder.embed(["a document", "another"], "document"))
        with pytest.raises(RetryableError, match=r"no server of model remote/model answers: .*it is a known one"):
            await embedder.embed(["a query"], "query")
        assert not document.done()
        machine.status = 200
        assert len((await document).vectors) == 2


class RealMachine(Machine):
    """An embedding server over the real model in a process of its own."""

    def __init__(self, embedder):
        super().__init__()
        self._embedder = embedder

    async def openai(self, request):
        rows = (await self._embedder.embed((await request.json())["input"], "document")).vectors
        data = [{"index": n, "embedding": base64.b64encode(row.tobytes()).decode()} for n, row in enumerate(rows)]
        return web.json_response({"data": data, "usage": {"total_tokens": 10}})

    async def tei(self, request):
        return web.json_response(
            (await self._embedder.embed((await request.json())["inputs"], "document")).vectors.tolist()
        )


@pytest.mark.parametrize("protocol", ["openai", "tei"])
async def test_the_real_model_on_a_server_gives_its_own_vectors_and_fingerprint(
    minilm, minilm_folder, tmp_path, protocol
):
    model = Catalog().find(MINILM)
    async with serving(RealMachine(minilm)) as url:
        server = Server(url + "/v1" if protocol == "openai" else url, protocol, "m")
        local = partial(local_record, model, minilm_folder, EngineOptions())
        prepared = await prepare_remote(model, [server], tmp_path, local=local)
        embedder = RemoteEmbedder(prepared)
        async with anyio.create_task_group() as tasks:
            await tasks.start(embedder.run)
            found = await embedder.embed(MIXED, "document")
            tasks.cancel_scope.cancel()
    assert embedder.fingerprint == minilm.fingerprint
    assert np.allclose(found.vectors, (await minilm.embed(MIXED, "document")).vectors, atol=1e-6)


async def test_servers_that_cannot_be_reached_are_retryable_and_leave_no_record(tmp_path, unused_port):
    with pytest.raises(RetryableError, match="cannot be reached"):
        await prepare_remote(MODEL, [Server(f"http://127.0.0.1:{unused_port}/v1")], tmp_path, FAST)
    assert not list(tmp_path.iterdir())


async def test_other_dimensions_than_the_models_are_refused(tmp_path):
    async with serving(Machine()) as url:
        other = EmbeddingModel("other", (), pooling="last", dimensions=17, max_tokens=512)
        with pytest.raises(ConfigError, match="16 dimensions"):
            await prepare_remote(other, [Server(url + "/v1")], tmp_path, FAST)


def test_secrets_of_a_server_do_not_show():
    assert "Bearer" not in repr(Server("http://x", headers={"Authorization": "Bearer s3cret"}))


async def test_of_a_model_that_only_servers_have_there_is_no_file_to_compare_with(tmp_path):
    assert await local_record(MODEL, tmp_path, EngineOptions()) is None

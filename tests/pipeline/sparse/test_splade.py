"""SPLADE in its own process, on a small model made here: weights, windows, words, deaths, files, and what is refused."""

import hashlib
import os
import signal

import anyio
import numpy as np
import onnx
import pytest
import tokenizers
from aiohttp import web
from onnx import TensorProto, helper, numpy_helper

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.sparse import splade_files
from syncd.pipeline.sparse.splade import Splade, check_loads
from syncd.pipeline.sparse.splade_files import MODEL_FILE, PUBLISHED, TOKENIZER_FILE, own_files, published_files
from syncd.pipeline.sparse.splade_model import WINDOW_TOKENS, SpladeModel
from syncd.runtime.download import RemoteFile
from syncd.runtime.supervisor import Supervisor
from tests.models import in_its_own_task

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "lamp", "light", "keeper", "##s", "fox"]
TABLE = np.random.default_rng(3).normal(size=(len(WORDS), len(WORDS))).astype(np.float32)
TABLE[:4, 4:] = -1  # special tokens and unknown words mean nothing
TABLE[4:, :4] = -1
TABLE[:4, :4] = -1


HUGGING_FACE = ("input_ids", "attention_mask", "token_type_ids")
PUBLISHED_NAMES = ("input_ids", "input_mask", "segment_ids")


def made(folder, names=HUGGING_FACE, kind=TensorProto.INT64):
    """Make a model whose logits are a row of TABLE for each token, and its tokenizer."""
    inputs = [helper.make_tensor_value_info(name, kind, ["batch", "length"]) for name in names]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", len(WORDS)])
    nodes = [helper.make_node("Gather", ["table", names[0]], ["logits"])]
    graph = helper.make_graph(nodes, "small", inputs, [output], [numpy_helper.from_array(TABLE, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / MODEL_FILE)
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("splade"))


def serving(folder, worker="syncd.pipeline.sparse.splade_worker"):
    """Run the model's actor under a supervisor, as the daemon does."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def running():
        encoder = Splade(folder, "0" * 64, threads=1, worker=worker)
        async with anyio.create_task_group() as group:
            await group.start(Supervisor("test", [encoder]).run)
            yield encoder
            group.cancel_scope.cancel()

    return in_its_own_task(running())


@pytest.fixture
async def encoder(folder):
    async with serving(folder) as encoder:
        yield encoder


async def pid_of(encoder) -> int:
    async with encoder.processes.lease() as lease:
        return lease.worker.pid


def expected(*words: str) -> dict[int, float]:
    rows = np.log1p(np.maximum(TABLE[[WORDS.index(word) for word in words]], 0)).max(axis=0)
    return {index: float(value) for index, value in enumerate(rows) if value > 0}


def as_dict(vector):
    return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))


async def test_a_word_weighs_what_its_strongest_place_gives_it(encoder):
    one, two, none = await encoder.encode(["Lamp keepers", "fox, unknown lamp", "nothing known"], "document")
    assert as_dict(one) == pytest.approx(expected("lamp", "keeper", "##s"))
    assert as_dict(two) == pytest.approx(expected("fox", "lamp"))
    assert as_dict(none) == {}
    assert (np.diff(one.indices.astype(int)) > 0).all()
    assert await pid_of(encoder) != os.getpid()


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize("names", [HUGGING_FACE, PUBLISHED_NAMES, HUGGING_FACE[:2]])
def test_every_way_of_naming_a_models_inputs_is_understood(tmp_path, names, kind):
    assert as_dict(SpladeModel(made(tmp_path, names, kind)).vector("fox lamp")) == pytest.approx(
        expected("fox", "lamp")
    )


def test_inputs_nobody_knows_are_refused(tmp_path):
    with pytest.raises(PermanentError, match="'pixels'"):
        SpladeModel(made(tmp_path, ("input_ids", "pixels")))


def test_long_texts_are_read_to_their_end(folder):
    long = SpladeModel(folder).vector("lamp " * (3 * WINDOW_TOKENS) + "fox")
    assert as_dict(long) == pytest.approx(expected("lamp", "fox"))


async def test_padding_and_neighbours_change_nothing(encoder):
    (alone,) = await encoder.encode(["keeper"], "query")
    _, beside = await encoder.encode(["lamp fox light keepers " * 50, "keeper"], "query")
    assert as_dict(alone) == as_dict(beside)


async def test_spans_are_whole_words_of_the_query(encoder):
    (query,) = await encoder.encode(["keeper"], "query")
    text = "Keepers, " + "lamp unknown " * WINDOW_TOKENS + "keepers"
    wanted = {WORDS[index] for index in query.indices.tolist()}
    found = [text[start:end].lower() for start, end in encoder.spans(text, query)]
    assert set(found) <= {"keepers", "lamp"}
    assert ("keepers" in found) == bool(wanted & {"keeper", "##s"})
    assert ("lamp" in found) == ("lamp" in wanted)


async def test_a_killed_process_is_replaced_and_nothing_is_lost(encoder):
    first = await pid_of(encoder)
    os.kill(first, signal.SIGKILL)
    assert as_dict((await encoder.encode(["fox"], "query"))[0]) == pytest.approx(expected("fox"))
    assert await pid_of(encoder) != first


async def test_a_text_that_kills_the_process_fails_alone(folder):
    async with serving(folder, "tests.pipeline.sparse.dying_worker") as encoder:
        results = {}

        async def ask(text):
            try:
                results[text] = (await encoder.encode([text], "document"))[0]
            except PermanentError as error:
                results[text] = error

        async with anyio.create_task_group() as group:
            for text in ("fox", "poison", "lamp"):
                group.start_soon(ask, text)
    assert as_dict(results["fox"]) == pytest.approx(expected("fox"))
    assert as_dict(results["lamp"]) == pytest.approx(expected("lamp"))
    assert "cannot encode this text" in str(results["poison"])


async def test_missing_and_broken_files_are_named(folder, tmp_path):
    with pytest.raises(PermanentError, match=r"model\.onnx"):
        await own_files(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(b"no model")
    (tmp_path / TOKENIZER_FILE).write_bytes((folder / TOKENIZER_FILE).read_bytes())
    assert await own_files(tmp_path) == hashlib.sha256(b"no model").hexdigest()
    with pytest.raises(PermanentError, match="cannot be loaded"):
        await check_loads(tmp_path)
    await check_loads(folder, 1)


@pytest.fixture
async def hub(folder):
    """A server of the model's files that breaks off once in the middle of each; what it was asked for; who hears of arrivals."""
    asked, broken, waiting = [], set(), []

    async def answer(request):
        name, content = request.match_info["name"], (folder / request.match_info["name"]).read_bytes()
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        asked.append((name, start))
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(content) - start
        await response.prepare(request)
        if name not in broken:
            broken.add(name)
            await response.write(content[: len(content) // 2])
            waiting.append(anyio.Event())
            await waiting[-1].wait()
            request.transport.close()
            return response
        await response.write(content[start:])
        return response

    application = web.Application()
    application.router.add_get("/{name}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked, lambda *_: waiting[-1].set()
    await runner.cleanup()


def remote(url, folder, name, **changes):
    content = (folder / name).read_bytes()
    values = {
        "url": f"{url}/{name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        **changes,
    }
    return RemoteFile(**values)


async def test_files_are_fetched_once_resumed_and_checked(hub, folder, tmp_path):
    url, asked, heard = hub
    files = {name: remote(url, folder, name) for name in (TOKENIZER_FILE, MODEL_FILE)}
    seen = []

    def progress(*numbers):
        seen.append(numbers)
        heard()

    for name in files:
        with pytest.raises(RetryableError, match="place it at"):
            await published_files(tmp_path / "models", progress, files)
        assert (tmp_path / "models" / f"{name}.part").stat().st_size > 0
    digest = await published_files(tmp_path / "models", progress, files)
    assert digest == files[MODEL_FILE].sha256 == await own_files(tmp_path / "models")
    assert [(name, start > 0) for name, start in asked] == [
        (TOKENIZER_FILE, False), (TOKENIZER_FILE, True), (MODEL_FILE, False), (MODEL_FILE, True)
    ]  # fmt: skip
    assert seen[-1] == (files[MODEL_FILE].size_bytes,) * 2
    before = len(asked)
    await published_files(tmp_path / "models", None, files)
    assert len(asked) == before


async def test_wrong_bytes_are_deleted_and_placed_ones_refused(hub, folder, tmp_path):
    url, _, heard = hub
    wrong = {
        TOKENIZER_FILE: remote(url, folder, TOKENIZER_FILE, sha256="0" * 64),
        MODEL_FILE: remote(url, folder, MODEL_FILE),
    }
    with pytest.raises(RetryableError):
        await published_files(tmp_path, heard, wrong)
    with pytest.raises(PermanentError, match="expected 0000"):
        await published_files(tmp_path, None, wrong)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(PermanentError, match="splade_dir"):
        await published_files(tmp_path, None, wrong)


async def test_no_file_is_asked_for_where_nothing_could_compute_it(tmp_path, monkeypatch):
    monkeypatch.setattr(splade_files, "find_spec", lambda _: None)
    for wanted in (published_files(tmp_path), own_files(tmp_path)):
        with pytest.raises(RetryableError, match=r"pip install 'syncd\[splade\]'"):
            await wanted


async def test_without_a_hub_the_error_says_what_to_place_where(tmp_path):
    files = {name: RemoteFile("http://127.0.0.1:9/x", file.sha256, file.size_bytes) for name, file in PUBLISHED.items()}
    with pytest.raises(RetryableError) as caught:
        await published_files(tmp_path / "models", None, files)
    assert str(tmp_path / "models" / TOKENIZER_FILE) in str(caught.value)
    assert PUBLISHED[TOKENIZER_FILE].sha256 in str(caught.value)

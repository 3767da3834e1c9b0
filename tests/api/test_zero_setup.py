"""Zero set-up: a Chroma client in another process queries a synced collection by text, whatever function it records."""

import asyncio
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from syncd.chroma.shape import queries_path
from syncd.index.query_functions import QueryRecorder
from syncd.model import CollectionShape, Embedding, QueryFunction, Rows, Target

CLIENT = """
import json, sys
import chromadb
client = chromadb.HttpClient(host=sys.argv[1], port=int(sys.argv[2]))
print(json.dumps(client.get_collection(sys.argv[3]).query(query_texts=["a", "b"], n_results=1)["ids"]))
"""


async def asked_by_another_process(chroma, name, **variables):
    """Return what `query(query_texts=…)` answers to an ordinary client without any set-up but `variables`."""
    environment = {key: value for key, value in os.environ.items() if key not in ("SYNCD_TOKEN", "HUGGINGFACE_API_KEY")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-W", "error::UserWarning", "-c", CLIENT,
        chroma.settings.host, str(chroma.settings.port), name,
        env={**environment, **variables}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


async def filled(chroma, store, target, queries):
    """Make a collection whose first row answers the first query text of the stub model, and its second the second."""
    await store.collections.open(target, Embedding())
    await chroma.open_collection(target, CollectionShape(queries))
    vectors = np.eye(2, 3, dtype=np.float32)
    await chroma.write(target, [], Rows(["first", "second"], [{"n": 1}, {"n": 2}], ["a", "b"], vectors), Rows([], []))


@pytest.mark.parametrize(
    ("protocol", "variables"), [("huggingface", {}), ("ollama", {}), ("openai", {"SYNCD_TOKEN": "anything"})]
)
async def test_a_client_queries_by_text_with_no_set_up(api_with, fresh_name, protocol, variables):
    async with api_with(loopback=True) as api:
        target = Target("default_database", fresh_name)
        await filled(
            api.services.chroma, api.store, target, QueryFunction(protocol, api.url + queries_path(target), "a-model")
        )
        found = await asked_by_another_process(api.services.chroma, fresh_name, **variables)
        assert found == [["first"], ["second"]]


async def test_off_loopback_the_client_shows_the_token_its_environment_holds(api, fresh_name):
    target = Target("default_database", fresh_name)
    queries = QueryFunction("huggingface", api.url + queries_path(target), key_variable="SYNCD_TOKEN")
    token = await api.store.tokens.create("a client", ["default_database"])
    await filled(api.services.chroma, api.store, target, queries)
    assert await asked_by_another_process(api.services.chroma, fresh_name, SYNCD_TOKEN=token) == [["first"], ["second"]]


async def test_after_a_start_at_another_address_collections_lead_there(api_with, fresh_name):
    async with api_with(loopback=True) as api:
        chroma, store, target = api.services.chroma, api.store, Target("default_database", fresh_name)
        path = queries_path(target)
        await filled(chroma, store, target, QueryFunction("huggingface", "http://127.0.0.1:9" + path))
        await store.collections.open(replace(target, collection=f"{fresh_name}-none"), Embedding())

        def queries(record):
            return QueryFunction("huggingface", api.url + queries_path(record.target))

        assert await QueryRecorder(store, chroma, queries).record_all()
        assert await asked_by_another_process(chroma, fresh_name) == [["first"], ["second"]]

"""Filters answered here pass what the store passes; all others are left to it."""

import pytest

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.model import NOTHING, Rows, Target
from syncd.qdrant.client import Qdrant
from syncd.qdrant.connection import QdrantSettings
from syncd.search.where import simple_filter

METADATA = [
    {"s": "a", "i": 1, "b": True},
    {"s": "b", "i": 2, "b": False},
    {"s": "1", "f": 1.0},
    {"i": 0, "l": ["a", "b"]},
    {"s": "true", "i": 3},
    {"l": ["b"], "n": [1, 2]},
    {"l": "a", "n": [2.0], "m": [True, False]},
]
SIMPLE = [
    {"s": "a"},
    {"s": {"$eq": "1"}},
    {"i": 1},
    {"f": 1},
    {"f": {"$eq": 1}},
    {"f": {"$in": [1, 2]}},
    {"b": {"$in": [True]}},
    {"i": {"$eq": 2}},
    {"b": True},
    {"b": {"$eq": False}},
    {"i": {"$in": [0, 3]}},
    {"s": {"$in": ["a", "true"]}},
    {"missing": "a"},
    {"l": "a"},
    {"l": {"$in": ["b", "c"]}},
    {"n": 2},
    {"n": {"$in": [1, 3]}},
    {"m": True},
    {"$and": [{"l": "b"}, {"n": {"$eq": 1}}]},
    {"$and": [{"s": "a"}, {"i": 1}]},
    {"$or": [{"s": "b"}, {"$and": [{"i": 3}, {"s": "true"}]}]},
]


@pytest.fixture(params=["Chroma", "Qdrant"])
async def vector_store(request):
    if request.param == "Qdrant":
        async with Qdrant(QdrantSettings(request.getfixturevalue("qdrant_server").url)) as qdrant:
            yield qdrant
    else:
        server = request.getfixturevalue("chroma_server")
        async with Chroma(ChromaSettings(server.host, server.port)) as chroma:
            yield chroma


async def test_simple_filters_pass_what_the_store_passes(vector_store, fresh_name):
    target = Target("default_database", fresh_name)
    ids = [str(number) for number in range(len(METADATA))]
    await vector_store.open_collection(target)
    await vector_store.write(target, [], Rows(ids, METADATA, ["x"] * len(ids), [[1.0, 0.0]] * len(ids)), NOTHING)
    for where in SIMPLE:
        test = simple_filter(where, looks_into_lists=vector_store.looks_into_lists)
        theirs = {row.id for row in await vector_store.get(target, ids, where)}
        assert {i for i, metadata in zip(ids, METADATA, strict=True) if test(metadata)} == theirs, where


@pytest.mark.parametrize(
    "where",
    [{}, {"a": 1, "b": 2}, {"a": {"$ne": 1}}, {"a": {"$gt": 1}}, {"a": 1.5}, {"a": {"$in": []}}, {"a": {"$in": [1, "b"]}},
     {"$and": [{"a": 1}]}, {"$or": [{"a": 1}, {"b": {"$ne": 1}}]}, {"$not": 1}, {"a": None}, {"$and": {"a": 1}}],
)  # fmt: skip
@pytest.mark.parametrize("looks_into_lists", [True, False])
def test_other_filters_are_left_to_the_store(where, looks_into_lists):
    assert simple_filter(where, looks_into_lists=looks_into_lists) is None

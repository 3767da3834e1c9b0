"""Filters answered here pass what Chroma passes; all others are left to it."""

import pytest

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.model import Rows, Target
from syncd.search.where import simple_filter

METADATA = [
    {"s": "a", "i": 1, "b": True},
    {"s": "b", "i": 2, "b": False},
    {"s": "1", "f": 1.0},
    {"i": 0, "l": ["a", "b"]},
    {"s": "true", "i": 3},
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
    {"$and": [{"s": "a"}, {"i": 1}]},
    {"$or": [{"s": "b"}, {"$and": [{"i": 3}, {"s": "true"}]}]},
]


async def test_simple_filters_pass_what_chroma_passes(chroma_server, fresh_name):
    target = Target("default_database", fresh_name)
    ids = [str(number) for number in range(len(METADATA))]
    async with Chroma(ChromaSettings(chroma_server.host, chroma_server.port)) as chroma:
        await chroma.open_collection(target)
        await chroma.write(target, [], Rows(ids, METADATA, ["x"] * 5, [[1.0, 0.0]] * 5), Rows([], []))
        for where in SIMPLE:
            test = simple_filter(where)
            theirs = {row.id for row in await chroma.get(target, ids, where)}
            assert {i for i, metadata in zip(ids, METADATA, strict=True) if test(metadata)} == theirs, where


@pytest.mark.parametrize(
    "where",
    [{}, {"a": 1, "b": 2}, {"a": {"$ne": 1}}, {"a": {"$gt": 1}}, {"a": 1.5}, {"a": {"$in": []}}, {"a": {"$in": [1, "b"]}},
     {"$and": [{"a": 1}]}, {"$or": [{"a": 1}, {"b": {"$ne": 1}}]}, {"$not": 1}, {"a": None}, {"$and": {"a": 1}}],
)  # fmt: skip
def test_other_filters_are_left_to_chroma(where):
    assert simple_filter(where) is None

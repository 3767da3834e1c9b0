"""Warnings of documents: kept with a prepared version, then with the document; gone with what they were about."""

from dataclasses import replace

import pytest

from syncd.model import DocumentState, DocumentWarning, Embedding, Target
from syncd.store.changes import Removal, Urgency
from syncd.store.document_warnings import WarnedQuery
from tests.store.test_prepared import MODEL, replacement, store, vector

__all__ = ["store"]

GUESSED = DocumentWarning("encoding_guessed", "read as cp1251")
CUT = DocumentWarning("table_cut", "after row 10", 3)


@pytest.fixture
async def collection(store) -> int:
    return (await store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))).id


async def listed(store, **wanted) -> list[tuple[str, str, tuple[str, ...]]]:
    found = await store.warnings.list(WarnedQuery(**wanted))
    return [(each.key, each.stage, tuple(warning.code for warning in each.warnings)) for each in found]


async def test_they_go_with_a_document_from_prepared_to_written(store, collection):
    change = replace(replacement(collection, "a", "one"), warnings=[CUT, GUESSED])
    prepared = await store.prepared.put(change, MODEL, Urgency.BACKFILL)
    assert prepared.warnings == 2
    assert await listed(store) == [("a", "prepared", ("table_cut", "encoding_guessed"))]
    await store.prepared.embedded(vector("one"), {})
    await store.documents.stage([prepared.promotion])
    assert await listed(store) == [("a", "written", ("table_cut", "encoding_guessed"))]
    (document,) = await store.warnings.list(WarnedQuery())
    assert document.warnings == (CUT, GUESSED)
    assert (document.target, document.source_id) == (Target("default_database", "docs"), "source")


async def test_a_version_without_any_a_skipped_one_and_a_delete_take_them_away(store, collection):
    for change in (
        replacement(collection, "a", "two", version="2"),
        Removal(collection, "source", "a", "2", "made", DocumentState.SKIPPED, "binary"),
        Removal(collection, "source", "a"),
    ):
        await store.documents.stage([replace(replacement(collection, "a", "one"), warnings=[CUT])])
        assert await listed(store) == [("a", "written", ("table_cut",))]
        await store.documents.stage([change])
        assert await listed(store) == []


async def test_a_document_that_is_left_out_has_its_own(store, collection):
    skipped = Removal(collection, "source", "a", "2", "made", DocumentState.SKIPPED, "no text", 1, [GUESSED])
    await store.documents.stage([skipped])
    assert await listed(store) == [("a", "skipped", ("encoding_guessed",))]
    await store.documents.stage([replace(replacement(collection, "a", "one"), warnings=[CUT])])
    assert await listed(store) == [("a", "written", ("table_cut",))]
    await store.documents.stage([skipped])
    assert await listed(store) == [("a", "skipped", ("encoding_guessed",))]


async def test_a_failure_leaves_those_of_the_version_that_stays(store, collection):
    await store.documents.stage([replace(replacement(collection, "a", "one"), warnings=[CUT])])
    await store.documents.record_failure(
        Removal(collection, "source", "a", "2", "made", DocumentState.FAILED, "broken")
    )
    assert await listed(store) == [("a", "written", ("table_cut",))]


async def test_what_is_carried_over_into_another_collection_has_them_too(store, collection):
    await store.vectors.put(vector("one"))
    await store.documents.stage([replace(replacement(collection, "a", "one"), warnings=[CUT])])
    assert (await store.documents.carried_over("source", "a", "1", "made")).warnings == (CUT,)


async def test_they_are_listed_by_source_collection_database_and_kind(store, collection):
    other = (await store.collections.open(Target("second", "wiki"), Embedding(model="hash"))).id
    await store.documents.stage(
        [
            replace(replacement(collection, "a", "one"), warnings=[CUT]),
            replace(replacement(collection, "b", "two", source="another"), warnings=[GUESSED]),
            replace(replacement(other, "c", "three"), warnings=[GUESSED, CUT]),
            replacement(other, "d", "four"),
        ]
    )
    assert [key for key, _, _ in await listed(store)] == ["a", "b", "c"]
    assert [key for key, _, _ in await listed(store, source_id="source")] == ["a", "c"]
    assert [key for key, _, _ in await listed(store, collection="wiki")] == ["c"]
    assert [key for key, _, _ in await listed(store, database="default_database")] == ["a", "b"]
    assert [key for key, _, _ in await listed(store, code="encoding_guessed")] == ["b", "c"]
    assert [key for key, _, _ in await listed(store, databases=frozenset({"second"}))] == ["c"]
    assert await listed(store, databases=frozenset()) == []
    assert [each.key for each in await store.warnings.list(WarnedQuery(), limit=1, offset=1)] == ["b"]

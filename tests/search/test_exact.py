import re

import pytest

from syncd.errors import PermanentError
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import Query, Search, SearchOptions, exact
from tests.pipeline.parts import write
from tests.search.test_search import FILES, keys, searching

__all__ = ["FILES", "searching"]


async def test_phrases_and_expressions_are_found_in_the_text_as_it_is(parts, folder, target, searching):
    await parts.sync(folder, target)
    write(folder, {"notes.md": "# Notes\n\nError (42):  the\nlamp is out. The lamp is out.\n\n> x.y\n"})
    await parts.sync(folder, target)

    async def phrase(text, **options):
        return await searching(text, mode="phrase", **options)

    async def regex(text, **options):
        return await searching(text, mode="regex", **options)

    (hit,) = await phrase("error (42): THE lamp")
    assert [hit.text[start:end] for start, end in hit.highlights] == ["Error (42):  the\nlamp"]
    (hit,) = await phrase("the lamp is out")
    assert (hit.score, len(hit.highlights)) == (2.0, 2)
    assert await phrase("lamp the") == []
    assert keys(await phrase("x.y")) == ["notes.md"]
    assert set(keys(await regex(r"def \w+\("))) == {"store/client.py", "store/server.py"}
    assert keys(await regex(r"^def get\w+Collection")) == ["store/client.py"]
    assert await regex(r"DEF get") == []
    assert keys(await regex(r"lamps?", paths=["docs/"], where={"key": "docs/lamp.md"}, limit=1)) == ["docs/lamp.md"]
    assert await regex(r"lamp", where_document={"$contains": "nothing such"}) == []
    assert len(await regex(r"lamp", group=True)) < len(await regex(r"lamp"))
    for wrong in ("(a", "a(?=b)", r"(a)\1", "(a{999}){999}"):
        with pytest.raises(
            PermanentError, match=f"^query: {re.escape(repr(wrong))} is not a valid RE2 pattern"
        ) as said:
            await regex(wrong)
        assert "(?m)" not in str(said.value)
    with pytest.raises(PermanentError, match="needs a word"):
        await phrase("  ")


PREPARED = (
    "INSERT INTO prepared (collection_id, source_id, key, prefix, version, fingerprint, content_hash, seen, prepared_at, model, urgency, findable, "
    "chunks, size_bytes, wanted, wanted_bytes, embedded) VALUES (?, '', 'new.md', 'new', '', '', '', 0, 0, 'hash-1', 0, 1, 1, 9, 1, 9, 1)"
)
CHUNK = (
    "INSERT INTO prepared_chunks (prepared_id, number, text, context, vector_key, metadata, wanted) "
    "SELECT id, 0, 'A heron stands.', '', x'00', '{\"key\": \"new.md\"}', 1 FROM prepared"
)


async def test_documents_that_wait_for_their_vectors_are_searched_too(parts, folder, target, searching):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    await parts.store.database.write(lambda c: c.execute(PREPARED, (record.id,)))
    await parts.store.database.write(lambda c: c.execute(CHUNK))
    (hit,) = await searching("heron stands", mode="phrase")
    assert (hit.id, hit.stage, hit.metadata["key"]) == ("new-0", "prepared", "new.md")


async def test_a_search_that_takes_too_long_or_finds_too_much_says_how_far_it_got(parts, folder, target, monkeypatch):
    await parts.sync(folder, target)
    monkeypatch.setattr("syncd.store.texts.SCANNED", 1)

    async def everything(limit_s):
        search = Search(parts.store, parts.chroma, None, SparseModels(), parts.index.damaged, SearchOptions(limit_s))
        return await search.search(Query(target, ".", "regex"))

    whole = await everything(60)
    assert (len(whole.hits) > 3, whole.notices) == (True, [])
    hurried = await everything(1e-9)
    assert len(hurried.hits) == 1
    assert "of the documents were searched within" in hurried.notices[0]
    monkeypatch.setattr(exact, "MAX_EXAMINED", 3)
    bounded = await everything(60)
    assert len(bounded.hits) == 3
    assert "only the first 3 matches" in bounded.notices[0]

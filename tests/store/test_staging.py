"""Staging decides what Chroma must be told; the outbox remembers it until Chroma agrees."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.store.changes import NewChunk, Removal, Replacement
from syncd.store.database import migrate
from syncd.store.numbering import number_chunks
from syncd.store.staging import stage
from syncd.store.vectors import vector_key

COLLECTION, SOURCE = 1, "source"


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, Path(":memory:"))
    connection.execute("INSERT INTO collections (id, database, name, embedding) VALUES (1, 'd', 'c', '{}')")
    return connection


def chunks(texts: list[str]) -> list[NewChunk]:
    return [NewChunk(text, "", vector_key("model", None, text), {"chunk_index": i}) for i, text in enumerate(texts)]


def replacement(key: str, texts: list[str], prefix: str | None = None) -> Replacement:
    version = repr(texts)
    return Replacement(COLLECTION, SOURCE, key, prefix or key, version, "fingerprint", "hash", 1, chunks(texts))


@dataclass
class ChromaRules:
    """A dictionary with Chroma's rules: `add` of an existing id and `update` of a missing one are silently ignored."""

    rows: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def tell(self, connection: sqlite3.Connection, stop_after: int | None = None) -> None:
        """Do what the outbox says and clear it, or die after `stop_after` steps."""
        entries = connection.execute(
            "SELECT o.chunk_id, o.op, c.text, c.metadata FROM outbox o LEFT JOIN chunks c "
            "ON c.document_id = o.document_id AND c.number = o.number ORDER BY o.chunk_id"
        ).fetchall()
        deletes = [("delete", i, None) for i, op, *_ in entries if op in ("delete", "replace")]
        adds = [("add", i, (text, metadata)) for i, op, text, metadata in entries if op in ("add", "replace")]
        updates = [("update", i, (text, metadata)) for i, op, text, metadata in entries if op == "update"]
        for step, (op, chunk_id, row) in enumerate(deletes + adds + updates):
            if step == stop_after:
                return
            if op == "delete":
                self.rows.pop(chunk_id, None)
            elif op == "add":
                self.rows.setdefault(chunk_id, row)
            elif chunk_id in self.rows:
                self.rows[chunk_id] = (self.rows[chunk_id][0], row[1])
        connection.execute("DELETE FROM outbox")

    def recover(self, connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE outbox SET op = 'replace' WHERE op = 'add'")
        self.tell(connection)


def truth(connection: sqlite3.Connection) -> dict[str, tuple[str, Any]]:
    return {
        f"{prefix}-{number}": (text, metadata)
        for prefix, number, text, metadata in connection.execute(
            "SELECT d.prefix, c.number, c.text, c.metadata FROM chunks c JOIN documents d ON d.id = c.document_id"
        )
    }


texts = st.lists(st.sampled_from("abcdef"), max_size=6)
changes = st.lists(
    st.tuples(
        st.sampled_from(["one", "two"]),
        st.none() | texts,
        st.sampled_from(["", "custom-"]),
        st.none() | st.integers(0, 8),
    ),
    max_size=8,
)


@given(changes)
@settings(max_examples=300, deadline=None)
def test_chroma_equals_the_store_after_any_changes_and_any_deaths(history: list[Any]) -> None:
    connection, chroma = database(), ChromaRules()
    for key, content, prefix, dies_after in history:
        change = Removal(COLLECTION, SOURCE, key) if content is None else replacement(key, content, prefix + key)
        stage(connection, change)
        chroma.tell(connection, stop_after=dies_after)
        if dies_after is not None:
            chroma.recover(connection)
    assert chroma.rows == truth(connection)


@given(texts, texts)
def test_a_chunk_whose_text_stays_keeps_its_number_and_is_not_written_again(
    before: list[str], after: list[str]
) -> None:
    old = dict(enumerate(chunks(before)))
    numbering = number_chunks(old, chunks(after))
    assert len(set(numbering.numbers)) == len(after)
    written = [n for n, op in numbering.ops.items() if op in ("add", "replace")]
    kept = sum(min(before.count(text), after.count(text)) for text in set(after))
    assert len(written) == len(after) - kept
    for number, text in zip(numbering.numbers, after, strict=True):
        assert number in written or old[number].text == text


def test_text_inserted_at_the_top_writes_one_chunk_and_only_updates_the_others() -> None:
    numbering = number_chunks(dict(enumerate(chunks(["a", "b", "c"]))), chunks(["new", "a", "b", "c"]))
    assert numbering.numbers == [3, 0, 1, 2]
    assert sorted(numbering.ops.values()) == ["add", "update", "update", "update"]


def test_the_same_document_again_tells_chroma_nothing() -> None:
    connection = database()
    stage(connection, replacement("key", ["a", "b"]))
    connection.execute("DELETE FROM outbox")
    staged = stage(connection, replacement("key", ["a", "b"]))
    assert (staged.written, staged.updated, staged.deleted) == (0, 0, 0)
    assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_two_documents_that_claim_the_same_chunk_ids_are_told_apart() -> None:
    connection = database()
    stage(connection, replacement("one", ["a"], prefix="same"))
    refused = stage(connection, replacement("two", ["b"], prefix="same"))
    assert refused.error is not None
    assert "custom id" in str(refused.error)
    assert truth(connection) == {"same-0": ("a", '{"chunk_count":1,"chunk_index":0}')}


def test_a_skipped_version_takes_the_earlier_chunks_away_and_keeps_the_reason() -> None:
    connection = database()
    stage(connection, replacement("key", ["a", "b"]))
    staged = stage(connection, Removal(COLLECTION, SOURCE, "key", "v2", "f", "skipped", "binary"))
    assert staged.deleted == 2
    assert connection.execute("SELECT state, reason FROM documents").fetchall() == [("skipped", "binary")]

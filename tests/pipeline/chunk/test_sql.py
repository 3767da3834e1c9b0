"""Rows of an SQL dump belong to their table, however many chunks they take."""

from syncd.model import Chunking, Part
from syncd.pipeline.chunk import chunk_document


def test_every_chunk_of_an_insert_carries_its_tables_name() -> None:
    rows = ",\n".join(f"({number}, 'boat number {number} of the northern shore')" for number in range(200))
    dump = f"CREATE TABLE crews (id int);\nINSERT INTO `port`.`boats` (id, name) VALUES\n{rows};\n"
    chunks = [chunk for found in chunk_document([Part(dump, "text")], "a.sql", Chunking()) for chunk in found]
    assert len(chunks) > 3
    assert all(chunk.scope == ("port.boats",) for chunk in chunks[1:])
    assert all("port.boats" in chunk.context for chunk in chunks[1:])

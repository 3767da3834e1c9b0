"""Every chunk says where it comes from."""

from datetime import UTC, datetime

from syncd.model import LINEAGE_KEYS, Chunk, Chunking, ChunkSpan, Document, Embedding, SourceRecord, SourceSettings
from syncd.pipeline.lineage import chunk_metadata

SOURCE = SourceRecord("id", "web_scrape", "db", SourceSettings(), Embedding(), Chunking(), datetime.now(UTC))


def metadata(start_byte=0, **options):
    chunk = Chunk(
        "text", ChunkSpan(start_byte, start_byte + 4, 1, 1), **{"stage": "markdown", **options.pop("chunk", {})}
    )
    document = Document("https://x/y", "v1", None, "p", **options)
    return chunk_metadata(document, SOURCE, "v1", chunk, 2)


def test_it_names_source_version_place_and_position():
    found = metadata(7, chunk={"language": "markdown", "scope": ("Outer", "Inner")})
    assert found == {
        "source_id": "id",
        "source_type": "web_scrape",
        "key": "https://x/y",
        "version": "v1",
        "chunk_index": 2,
        "start_byte": 7,
        "end_byte": 11,
        "start_line": 1,
        "end_line": 1,
        "stage": "markdown",
        "language": "markdown",
        "heading_path": "Outer > Inner",
    }


def test_enclosing_names_of_code_are_its_scope():
    found = metadata(chunk={"stage": "code", "scope": ("Class",), "symbol": "method", "symbol_kind": "function"})
    assert (found["scope"], found["symbol"], found["symbol_kind"]) == ("Class", "method", "function")
    assert "heading_path" not in found


def test_a_documents_own_metadata_cannot_pose_as_ours():
    assert metadata(metadata={"key": "forged", "mine": 1})["key"] == "https://x/y"
    assert metadata(metadata={"mine": 1})["mine"] == 1


def test_a_documents_own_metadata_is_never_replaced_without_being_refused_before():
    always = {"source_id", "source_type", "key", "version", "chunk_index", "stage"} | {
        f"{a}_{b}" for a in ("start", "end") for b in ("byte", "line")
    }
    assert metadata().keys() == always
    assert always | {"chunk_count"} == LINEAGE_KEYS
    own = dict.fromkeys(("language", "symbol", "symbol_kind", "scope", "page", "page_label", "stage_note"), "mine")
    chunk = {
        "stage": "code",
        "language": "python",
        "symbol": "f",
        "symbol_kind": "function",
        "scope": ("A",),
        "note": "why",
    }
    found = metadata(metadata=own, chunk=chunk)
    assert {name: found[name] for name in own} == own
    assert (found["syncd_language"], found["syncd_scope"]) == ("python", "A")


def test_a_chunk_links_to_the_nearest_anchor_before_it():
    page = {"metadata": {"url": "https://x/y"}, "anchors": ((10, "one"), (50, "two"))}
    assert [metadata(at, **page)["url"] for at in (0, 10, 49, 50, 99)] == [
        "https://x/y",
        "https://x/y#one",
        "https://x/y#one",
        "https://x/y#two",
        "https://x/y#two",
    ]

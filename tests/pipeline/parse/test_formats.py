"""A format is one module and one entry in a table."""

from __future__ import annotations

import io

import pytest

from syncd.model import Chunking, DocumentWarning, Warnings, formats
from syncd.model.formats import FORMATS, document_suffixes, format_named, format_of, media_types
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.sources.web.media import DOCUMENT_SUFFIXES
from tests.pipeline.parse.toy import TOY


async def texts(preparer: DocumentPreparer, data: bytes, name: str, media_type: str | None = None) -> list[str]:
    batches = preparer.prepare(io.BytesIO(data), name, media_type, name, Chunking())
    return [chunk.text for chunks in [batch async for batch in batches] for chunk in chunks]


async def test_a_new_format_is_read_by_name_by_media_type_and_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, TOY))
    async with DocumentPreparer(module="tests.pipeline.parse.toy") as preparer:
        assert await texts(preparer, b"TOY\nolleh", "a.toy") == ["hello\n\n"]
        assert await texts(preparer, b"TOY\nolleh", "a", "application/x-toy; q=1") == ["hello\n\n"]
        assert await texts(preparer, b"TOY\nolleh", "a.pdf") == ["hello\n\n"]
        assert await texts(preparer, b"# hello", "a.md") == ["# hello"]
    assert ".toy" in document_suffixes()


async def test_what_a_reader_leaves_out_is_told_with_its_last_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, TOY))
    found = Warnings()
    async with DocumentPreparer(module="tests.pipeline.parse.toy") as preparer:
        text = io.BytesIO(b"TOY\nyes\nwhat?\nwhere?")
        assert [batch async for batch in preparer.prepare(text, "a.toy", None, "a.toy", Chunking(), found)]
        assert found.all() == (DocumentWarning("unread_content", "what what? means is not known", 2),)
        assert await texts(preparer, b"TOY\nwhen?", "b.toy") == ["?nehw\n\n"]


def test_names_suffixes_and_media_types_belong_to_one_format_each() -> None:
    assert [format_named(each.name) for each in FORMATS] == list(FORMATS)
    suffixes = [suffix for each in FORMATS for suffix in each.suffixes]
    assert len(suffixes) == len(set(suffixes))
    types = [media_type for each in FORMATS for types in each.suffixes.values() for media_type in types]
    assert len(types) == len(set(types)) == len(media_types())
    assert set(DOCUMENT_SUFFIXES.values()) <= set(suffixes)


def test_the_media_type_decides_only_where_a_name_has_no_suffix() -> None:
    assert format_of("a/b.PDF", "text/plain").name == "PDF"
    assert format_of("a/b", "Text/HTML; charset=utf-8").name == "HTML page"
    assert format_of("a.b/c", "application/unheard-of").name == "text"
    assert format_of("README.md", None).name == "Markdown"

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import PermanentError
from syncd.sources.s3.metadata_file import METADATA_MAX_SIZE_BYTES, MetadataFile, parse_metadata_file

GOOD = {"version": "chroma-v1", "id": "doc-1", "path": "team/a.txt"}


def parsed(values: Any, prefix: str = "team/") -> MetadataFile:
    return parse_metadata_file("team/x.meta.json", json.dumps(values).encode(), prefix)


def test_version_id_and_path_are_enough():
    assert parsed(GOOD) == MetadataFile("doc-1", "team/a.txt")


def test_collection_and_metadata_are_taken_over():
    values = {"lang": "de", "tags": ["a", "b"], "pages": 3, "draft": False}
    said = parsed(GOOD | {"target_collection_name": "tenant-7", "metadata": values})
    assert (said.collection, said.metadata) == ("tenant-7", values)


@pytest.mark.parametrize("missing", GOOD)
def test_a_missing_field_is_named(missing: str):
    with pytest.raises(PermanentError, match=f'x.meta.json.*"{missing}"'):
        parsed({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": "chroma-v2"}, "chroma-v1"),
        ({"path": "other/a.txt"}, "outside the source's path_prefix"),
        ({"path": "team/y.meta.json"}, "another metadata file"),
        ({"id": "x" * 121}, "120 bytes"),
        ({"id": 7}, "must be a string"),
        ({"target_collection_name": "No Spaces"}, "not a collection name"),
        ({"metadata": {"a": {"nested": 1}}}, "must be a string"),
        ({"metadata": {"a": [1, "b"]}}, "mixes types"),
        ({"metadata": {"a": []}}, "empty array"),
        ({"metadata": {"object_key": "forged"}}, "reserved"),
        ({"metadata": [1]}, "must be an object"),
        ({"id": "\ud800"}, "UTF-8"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], complaint: str):
    with pytest.raises(PermanentError, match=complaint):
        parsed(GOOD | change)


def test_a_file_above_the_limit_is_refused():
    with pytest.raises(PermanentError, match="larger than"):
        parse_metadata_file("x.meta.json", b" " * (METADATA_MAX_SIZE_BYTES + 1), "")


def test_a_byte_order_mark_does_no_harm():
    assert parse_metadata_file("x.meta.json", b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "").id == "doc-1"


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(content: bytes):
    with pytest.raises(PermanentError):
        parse_metadata_file("x.meta.json", content, "")

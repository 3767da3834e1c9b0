"""The documented rules for names, ids and metadata."""

import pytest

from syncd.chroma.naming import check_collection, check_custom_id, check_metadata, check_object_key
from syncd.errors import PermanentError


def test_a_key_must_lie_below_the_prefix():
    assert check_object_key("a/b", "a/") == "a/b"
    for key in ("ab", "", "A/b", "x" * 1025):
        with pytest.raises(PermanentError, match="object_key"):
            check_object_key(key, "a/")


def test_ids_are_measured_in_bytes():
    assert check_custom_id("ä" * 60)
    for ident in ("ä" * 60 + "x", "", "a\nb", "\ud800"):
        with pytest.raises(PermanentError, match="120 bytes"):
            check_custom_id(ident)


def test_metadata_is_flat_and_of_one_type_per_array():
    good = {"s": "x", "n": 1, "f": 1.5, "b": True, "l": ["a", "b"]}
    assert check_metadata(good) == good
    for bad in (
        {"x": [None]},
        {"x": [1, True]},
        {"x": [1, 1.5, True]},
        {"x": float("nan")},
        {"x": 2**63},
        {"#x": 1},
        {"": 1},
    ):
        with pytest.raises(PermanentError, match="metadata"):
            check_metadata(bad)
    with pytest.raises(PermanentError, match="reserved"):
        check_metadata({"own": 1}, lambda key: key == "own")
    with pytest.raises(PermanentError, match="1024 values"):
        check_metadata({"x": list(range(1025))})


def test_nulls_are_dropped_and_whole_numbers_beside_others_are_widened():
    checked = check_metadata({"a": None, "b": [1, 2.5], "c": [1, 2], "d": 3})
    assert checked == {"b": [1.0, 2.5], "c": [1, 2], "d": 3}
    assert [type(value) for value in checked["b"]] == [float, float]


def test_collections_are_named_as_chroma_takes_them():
    assert check_collection("docs-1") == "docs-1"
    for name in ("ab", "-ab", "a..b", "10.0.0.1", "A" * 3):
        with pytest.raises(PermanentError, match="collection name"):
            check_collection(name)

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.rows import CLOUD_LIMITS, LOCAL_LIMITS, WRITE_ROWS, write_batches
from syncd.errors import PermanentError
from syncd.model import Rows, Target
from syncd.row_checks import check_document, check_id, record_of


def test_what_says_nothing_is_dropped_and_sequences_become_lists():
    assert record_of({"a": None, "b": [], "c": (1, 2), "d": "", "e": False}, LOCAL_LIMITS) == {
        "c": [1, 2],
        "d": "",
        "e": False,
    }


def test_in_an_update_none_stays_and_removes_the_key():
    assert record_of({"a": None, "b": 1}, LOCAL_LIMITS, keep_none=True) == {"a": None, "b": 1}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"x": math.nan}, "finite"),
        ({"x": [1.0, math.inf]}, "finite"),
        ({"x": 2**63}, "64 bits"),
        ({"x": [1, "a"]}, "list of int, str"),
        ({"x": [True, 1]}, "list of bool, int"),
        ({"x": {"a": 1}}, "is a dict"),
        ({"x": [[1]]}, "one scalar type"),
        ({"x": "\ud800"}, "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        ({"": 1}, "reserved"),
        ({"#x": 1}, "reserved"),
        ({"$x": 1}, "reserved"),
        ({"chroma:document": "x"}, "reserved"),
        ({"x": list(range(5_001))}, "5001 values"),
        ({f"k{n}": 1 for n in range(1_001)}, "1001 keys"),
    ],
)
def test_what_chroma_would_garble_or_choke_on_is_refused(metadata, message):
    with pytest.raises(PermanentError, match=message):
        record_of(metadata, LOCAL_LIMITS)


@pytest.mark.parametrize(
    "check",
    [
        lambda: check_document("a-1", "ü" * 8_193, CLOUD_LIMITS),
        lambda: check_id("i" * 129, CLOUD_LIMITS),
        lambda: record_of({"k" * 37: 1}, CLOUD_LIMITS),
        lambda: record_of({f"k{n}": 1 for n in range(33)}, CLOUD_LIMITS),
        lambda: record_of({"k": "v" * 8_183}, CLOUD_LIMITS),
        lambda: record_of({"k": ["v" * 4_100, "w" * 4_100]}, CLOUD_LIMITS),
    ],
)
def test_the_quotas_of_chroma_cloud_are_kept_with_a_message_that_names_them(check):
    with pytest.raises(PermanentError, match="at most"):
        check()


def test_what_is_exactly_at_the_quotas_passes():
    check_document("a-1", "ü" * 8_192, CLOUD_LIMITS)
    check_id("i" * 128, CLOUD_LIMITS)
    record_of({"k" * 36: "v" * 8_182, **{f"k{n}": 1 for n in range(31)}}, CLOUD_LIMITS)


@given(st.lists(st.integers(0, 9_000_000), max_size=40))
def test_batches_cover_everything_in_order_and_stay_small(sizes):
    class Sized(str):
        __slots__ = ("size",)

        def __len__(self):
            return self.size

    texts = []
    for size in sizes:
        text = Sized()
        text.size = size
        texts.append(text)
    parts = list(write_batches(texts))
    assert [n for part in parts for n in range(part.start, part.stop)] == list(range(len(texts)))
    assert all(part.stop - part.start <= WRITE_ROWS for part in parts)
    assert all(part.stop - part.start == 1 or sum(sizes[part]) <= 16 << 20 for part in parts)


SCALARS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-4_000_000, 4_000_000).map(lambda n: n / 4),  # others come back within one unit in the last place
    st.booleans(),
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10).filter(
    lambda key: key[0] not in "#$" and key != "chroma:document"
)
METADATA = st.dictionaries(
    KEYS,
    SCALARS
    | st.sampled_from([st.text("ab€", max_size=3), st.integers(0, 9), st.booleans()]).flatmap(
        lambda values: st.lists(values, min_size=1, max_size=4)
    ),
    max_size=5,
)


async def test_what_passes_comes_back_from_a_real_server_as_it_was(chroma_server, fresh_name):
    records = []

    @given(METADATA)
    def gather(record):
        records.append(record)

    gather()
    target = Target("default_database", fresh_name)
    async with Chroma(ChromaSettings(chroma_server.host, chroma_server.port)) as chroma:
        await chroma.open_collection(target)
        ids = [f"r-{n}" for n in range(len(records))]
        rows = Rows(ids, records, ["text"] * len(ids), np.ones((len(ids), 2), np.float32))
        await chroma.write(target, [], rows, replace(rows, ids=[], metadatas=[]))
        found = {row.id: dict(row.metadata) for row in await chroma.get(target, ids)}
    assert found == {row_id: record_of(record, LOCAL_LIMITS) for row_id, record in zip(ids, records, strict=True)}

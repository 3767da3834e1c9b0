"""A server that crashes again and again over one collection is told by what it printed last."""

from syncd.chroma.deaths import WITHIN_S
from syncd.chroma.last_words import LastWords

ONE, OTHER = "0" * 8 + "-0000-0000-0000-" + "0" * 12, "1" * 8 + "-1111-1111-1111-" + "1" * 12
CRASH = "signal SIGSEGV"


def asked(*collection_ids: str) -> list[str]:
    paths = [f"\x1b[1mhttp.uri\x1b[0m: /api/v2/tenants/t/databases/d/collections/{one}/get, " for one in collection_ids]
    return ["listening", *paths, "  at somewhere"]


def test_the_third_crash_at_the_same_collection_tells_it():
    words = LastWords()
    assert [words.died(CRASH, asked(OTHER, ONE)) for _ in range(4)] == [None, None, ONE, ONE]


def test_crashes_at_different_collections_or_at_none_tell_nothing():
    words = LastWords()
    assert [words.died(CRASH, asked(one)) for one in (ONE, ONE, OTHER, ONE, ONE)] == [None] * 5
    assert [LastWords().died(CRASH, ["it listens"]) for _ in range(4)] == [None] * 4


def test_who_is_ended_by_others_did_not_crash():
    words = LastWords()
    for how in ("signal SIGKILL", "signal SIGTERM", "exit status 0", "exit status 1"):
        assert [words.died(how, asked(ONE)) for _ in range(3)] == [None] * 3


def test_crashes_that_are_long_ago_do_not_count():
    moments = iter([0.0, 0.0, WITHIN_S + 1, WITHIN_S + 1, WITHIN_S + 2, WITHIN_S + 2])
    words = LastWords(lambda: next(moments))
    assert [words.died(CRASH, asked(ONE)) for _ in range(3)] == [None] * 3

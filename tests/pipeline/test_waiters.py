"""Who hears what of a document on its way."""

import pytest

from syncd.errors import RetryableError
from syncd.model import DocumentState
from syncd.pipeline.result import Result
from syncd.pipeline.waiters import Waiters
from syncd.store.changes import PreparedDocument, Staged

SO_FAR = Result("a.md", DocumentState.INDEXED, version="2")


def version(number: int) -> PreparedDocument:
    """Return a prepared version of one document: later ones have higher ids."""
    return PreparedDocument(number, 1, "source", "a.md", str(number), "made", 1, 3, 0, 0, 2, 40)


async def test_whoever_brought_a_document_hears_what_was_written_and_others_that_nothing_changed():
    waiters = Waiters()
    first, second = waiters.add(version(7), 1, SO_FAR), waiters.add(version(7), 2, SO_FAR)
    waiters.written(version(7), Staged(1, written=3, deleted=1))
    result = await first
    assert (result.state, result.chunks, result.written, result.deleted) == (DocumentState.INDEXED, 3, 3, 1)
    assert (result.embedded, result.reused, result.tokens) == (2, 1, 40)
    assert (await second).state is DocumentState.UNCHANGED


async def test_an_overtaken_version_is_done_when_the_later_one_is_and_not_the_other_way_round():
    waiters = Waiters()
    early, late = waiters.add(version(7), 1, SO_FAR), waiters.add(version(9), 2, SO_FAR)
    waiters.written(version(7), Staged(1))
    assert early.settled
    assert not late.settled
    again = waiters.add(version(7), 3, SO_FAR)
    waiters.written(version(9), Staged(1, written=3))
    assert (await late).state is DocumentState.INDEXED
    assert (await again).state is DocumentState.UNCHANGED


async def test_a_refusal_is_a_result_and_trouble_an_error():
    waiters = Waiters()
    refused = waiters.add(version(7), 1, SO_FAR)
    waiters.refused(version(7), "it cannot be embedded", is_put_off=False)
    assert ((await refused).state, (await refused).reason) == (DocumentState.FAILED, "it cannot be embedded")
    away = waiters.add(version(8), 1, SO_FAR)
    waiters.failed(version(8), RetryableError("nobody is there"))
    with pytest.raises(RetryableError, match="nobody is there"):
        await away


def test_what_only_a_dropped_run_waits_for_is_named_once():
    waiters = Waiters()
    waiters.add(version(7), 1, SO_FAR)
    kept = waiters.add(version(7), 2, SO_FAR)
    assert waiters.drop(1) == []
    assert not kept.settled
    assert waiters.drop(2) == [7]
    assert list(waiters.owners()) == []

"""What differs in a collection is found and mended without anybody asking; what SQLite does not know stays."""

from contextlib import suppress

import anyio

from syncd.errors import CollectionCorrupt, RetryableError
from syncd.index.scheduled_verify import ScheduledVerifier
from syncd.index.verify import Verifier
from tests.index.test_verify import FILES, contents, tamper
from tests.pipeline.parts import write


async def holds(right, parts, target) -> bool:
    """Return whether the collection has these rows; it has not while Chroma cannot read one that is just being written."""
    with suppress(CollectionCorrupt):
        found = await contents(parts, target)
        return {ident: it for ident, it in found.items() if ident in right} == right
    return False


async def mended(parts, target, right, interval_s: float, stops: int = 0) -> None:
    """Let the actor run until the collection has these rows again."""
    verifier = Verifier(parts.store, parts.chroma, parts.index)
    compared: list[int] = []
    actor = ScheduledVerifier(parts.store, parts.chroma, verifier, interval_s, lambda: stops, compared.append)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            await group.start(actor.run)
            while stops not in compared or not await holds(right, parts, target):  # noqa: ASYNC110 - Chroma sets no event
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()


async def test_differences_are_mended_and_rows_that_sqlite_does_not_know_stay(parts, folder, target):
    write(folder, FILES)
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await tamper(parts, target)
    parts.embedder.embedded.clear()
    await mended(parts, target, right, interval_s=0.01)
    assert (await contents(parts, target)).keys() - right.keys() == {"forged-0", "own"}
    assert parts.embedder.embedded == []


async def test_after_an_unclean_stop_every_vector_is_compared_at_once(parts, folder, target, monkeypatch):
    monkeypatch.setattr("syncd.index.scheduled_verify.VERIFIED_CHUNKS", 0)
    write(folder, FILES)
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await tamper(parts, target)
    await mended(parts, target, right, interval_s=3600.0, stops=1)


async def test_what_cannot_be_compared_after_an_unclean_stop_is_as_soon_as_it_can(parts, folder, target, monkeypatch):
    write(folder, FILES)
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await tamper(parts, target)
    verify, refusals = Verifier.verify, [RetryableError("not now"), RetryableError("nor now")]

    async def refused_at_first(*given, **options):
        if refusals:
            raise refusals.pop()
        return await verify(*given, **options)

    monkeypatch.setattr(Verifier, "verify", refused_at_first)
    monkeypatch.setattr("syncd.index.scheduled_verify.LOOK_EVERY_S", 0.01)
    await mended(parts, target, right, interval_s=3600.0, stops=1)
    assert refusals == []

"""What differs in a collection is found and mended without anybody asking; what SQLite does not know stays."""

from contextlib import suppress

import anyio

from syncd.errors import CollectionCorrupt
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


async def test_differences_are_mended_and_rows_that_sqlite_does_not_know_stay(parts, folder, target):
    write(folder, FILES)
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await tamper(parts, target)
    parts.embedder.embedded.clear()
    actor = ScheduledVerifier(
        parts.store, parts.chroma, Verifier(parts.store, parts.chroma, parts.index), interval_s=0.01
    )
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            await group.start(actor.run)
            while not await holds(right, parts, target):  # noqa: ASYNC110 - Chroma sets no event
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    assert (await contents(parts, target)).keys() - right.keys() == {"forged-0", "own"}
    assert parts.embedder.embedded == []

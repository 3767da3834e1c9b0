"""Documents that are asked for by name: fetched again, or deleted."""

from syncd.model import Document, Origin, State, Target
from tests.sync.syncing import Fixed, Text, created, settled, syncing


async def test_a_document_is_fetched_again_and_deleted_by_name_and_comes_back_with_a_whole_run(parts, fresh_name):
    body = Text("words about something that matters\n")
    source = Fixed(lambda _: Document("a.txt", "1", body, "a"))
    whole = await created(parts, Origin.API, fresh_name)
    ident, target, requests = whole.source_id, whole.target, parts.store.document_requests
    async with syncing(parts, source) as syncer:

        async def run(invocation):
            syncer.wake()
            return (await settled(parts, invocation)).counts

        assert (await run(whole)).indexed == 1
        elsewhere = Target(target.database, f"{fresh_name}-2")
        await run(await parts.store.invocations.create(ident, elsewhere, Origin.API))
        assert body.opened == 1, "the other collection's was carried over"
        again = await run(await requests.sync_again(ident, target, ["a.txt"]))
        assert (again.indexed, again.unchanged, body.opened) == (1, 0, 2)
        assert (await run(await parts.store.invocations.create(ident, target, Origin.API))).unchanged == 1

        gone = await run(await requests.delete(ident, target, ["a.txt"]))
        assert (gone.deleted, gone.found, source.runs) == (1, 0, 4)
        assert (await parts.chroma.count(target), await parts.chroma.count(elsewhere)) == (0, 1)
        back = await parts.store.invocations.create(ident, target, Origin.API)
        assert (await run(back)).indexed == 1


async def test_a_document_that_came_anew_meanwhile_stays(parts, fresh_name):
    source = Fixed(lambda runs: Document("a.txt", str(runs), Text("words that matter\n"), "a"))
    whole = await created(parts, Origin.API, fresh_name)
    async with syncing(parts, source) as syncer:
        await settled(parts, whole)
        await parts.store.source_names.pause(whole.source_id)
        asked = await parts.store.document_requests.delete(whole.source_id, whole.target, ["a.txt"])
        later = await parts.store.invocations.create(whole.source_id, whole.target, Origin.WATCH)
        await parts.store.source_names.resume(whole.source_id)
        syncer.wake()
        assert (await settled(parts, later)).state is State.COMPLETE
        assert (await settled(parts, asked)).counts.deleted == 0
    assert await parts.chroma.count(whole.target) == 1

"""What a finished run does to its collection."""

from syncd.api.views import job_view
from syncd.model import Checkpoint, Origin, State
from syncd.sources.registry import TYPES
from tests.sync.syncing import Cut, created, settled, syncing


async def test_a_run_that_saw_a_part_says_so_deletes_nothing_and_leaves_the_collection_open(parts, fresh_name):
    part = Checkpoint("1", absent_are_gone=True, incomplete="the sitemap was cut")
    first = await created(parts, Origin.API, fresh_name, "web_scrape")
    async with syncing(parts, Cut(part, Checkpoint("2", absent_are_gone=True))) as syncer:
        ended = await settled(parts, first)
        assert (ended.state, ended.error) == (State.COMPLETE, "the sitemap was cut")
        assert job_view(TYPES, ended, None)["incomplete"] == "the sitemap was cut"
        assert "finished_ingest" not in (await parts.chroma.metadata(first.target) or {})
        second = await parts.store.invocations.create(first.source_id, first.target, Origin.API)
        syncer.wake()
        ended = await settled(parts, second)
    assert (ended.error, job_view(TYPES, ended, None)["incomplete"]) == (None, None)
    assert (await parts.chroma.metadata(first.target))["finished_ingest"] is True

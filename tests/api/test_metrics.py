import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from syncd import __version__
from syncd.api import Vitals
from syncd.api.metric_table import METRICS
from syncd.model import Chunking, Counts, DocumentState, Embedding, Target
from syncd.model.watching import WatchState
from syncd.runtime.mailbox import MailboxStats
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.store.changes import NewChunk, Removal, Replacement, Urgency
from syncd.sync.freshness import Standing
from syncd.sync.settlement import RunTotals

ROOT = Path(__file__).parents[2]
LABELS = {metric.name: metric.labels for metric in METRICS}


async def scrape(api, **options):
    """The samples by name and by the values of the labels, in the order of the table."""
    status, text = await api.get("/metrics", **options)
    assert status == 200, text
    found = {name: {} for name in LABELS}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[label] for label in LABELS[sample.name])
            assert labels not in found[sample.name]
            found[sample.name][labels] = sample.value
    return found


def change(collection_id, source_id, key, **more):
    chunks = [NewChunk(f"{key} {number}", "", f"{key} {number}".encode(), {"chunk_index": number}) for number in (0, 1)]
    return Replacement(collection_id, source_id, key, key, "1", "made", "hash", 1, chunks, **more)


async def fill(api, source_id, *keys, collection="docs", database=None, **more):
    record = await api.store.collections.open(Target(database or api.database, collection), Embedding(model="hash"))
    await api.store.documents.stage([change(record.id, source_id, key, **more) for key in keys])
    return record.id


async def test_it_tells_what_the_store_has(api):
    source_id = await api.make_source()
    now = datetime.now(UTC).timestamp() + 60
    collection_id = await fill(api, source_id, "a", "b", changed_at=now)
    failed = Removal(collection_id, source_id, "x", "1", "made", DocumentState.FAILED, "broken", 1)
    await api.store.documents.record_failure(failed)
    await api.store.prepared.put(change(collection_id, source_id, "c"), "model", Urgency.BACKFILL)
    await api.make_invocation(source_id)
    found, source, docs = await scrape(api), (api.database, source_id), (api.database, "docs")
    assert found["syncd_build_info"] == {(__version__,): 1}
    assert found["syncd_documents"] == {(*docs, source_id, "indexed"): 2, (*docs, source_id, "failed"): 1}
    assert found["syncd_chunks"] == {docs: 4}
    assert found["syncd_collection_bloat_ratio"] == {docs: 1}
    assert found["syncd_backlog_documents"] == {(*source, "embed"): 1, (*source, "write"): 0}
    assert found["syncd_backlog_tokens"] == {source: 0}
    assert found["syncd_unfinished_runs"] == {(*source, "pending"): 1, (*source, "processing"): 0}
    assert found["syncd_lag_seconds"] == {(*source, "0.5"): 0, (*source, "0.95"): 0}


async def test_it_tells_what_the_daemons_parts_say(api_with):
    said = {"vitals": Vitals(), "watches": {}, "standings": {}}

    async def standings():
        return said["standings"]

    async with api_with(vitals=lambda: said["vitals"], watches=lambda: said["watches"], standings=standings) as api:
        source_id = await api.make_source()
        counts = Counts(indexed=3, unchanged=2, skipped=1, chunks_embedded=5, chunks_reused=4, tokens=70)
        said["vitals"] = Vitals(
            mailboxes=[MailboxStats("ingest", 8, 3, 1, 20)],
            models={"m": True, "n": False},
            is_chroma_available=False,
            problems=2,
            embedded_tokens=90,
            dropped_spans=7,
            restarts={"syncer": 1},
            runs={source_id: RunTotals(2, 1, counts), "removed": RunTotals(9, 9, counts)},
            free_bytes=1 << 40,
        )
        said["watches"] = {source_id: WatchState(datetime.now(UTC), "refused")}
        said["standings"] = {source_id: Standing(source_id, None, 12.5, 10)}
        found, source = await scrape(api), (api.database, source_id)
    assert found["syncd_mailbox_waiting"] == {("ingest",): 3}
    assert found["syncd_mailbox_served_total"] == {("ingest",): 20}
    assert found["syncd_model_available"] == {("m",): 1, ("n",): 0}
    assert found["syncd_actor_restarts_total"] == {("syncer",): 1}
    names = ("chroma_available", "problems", "embedded_tokens_total", "dropped_spans_total", "disk_free_bytes")
    assert [found[f"syncd_{name}"][()] for name in names] == [0, 2, 90, 7, 1 << 40]
    assert found["syncd_runs_total"] == {(*source, "complete"): 2, (*source, "failed"): 1}
    outcomes = {"indexed": 3, "unchanged": 2, "deleted": 0, "skipped": 1, "failed": 0}
    assert found["syncd_run_documents_total"] == {(*source, name): number for name, number in outcomes.items()}
    assert found["syncd_run_chunks_total"] == {(*source, "embedded"): 5, (*source, "reused"): 4}
    assert found["syncd_run_tokens_total"] == {source: 70}
    assert found["syncd_behind_seconds"] == {source: 12.5}
    assert found["syncd_source_late"] == found["syncd_source_failing"] == {source: 1}


async def test_a_token_sees_its_own_databases_only_and_may_be_sent_as_a_bearer(api, store):
    source_id = await api.make_source()
    await fill(api, source_id, "a")
    await fill(api, "removed", "b", database="other")
    whole, reader = await scrape(api), await store.tokens.create("prometheus", frozenset({"other"}), access="read")
    assert {labels[0] for labels in whole["syncd_documents"]} == {api.database, "other"}
    limited = await scrape(api, token=reader)
    assert limited["syncd_documents"] == {("other", "docs", "removed", "indexed"): 1}
    assert limited["syncd_chunks"] == {("other", "docs"): 2}
    assert all(labels[0] == "other" for name in LABELS if LABELS[name][:1] == ("database",) for labels in limited[name])
    assert limited["syncd_build_info"] == {(__version__,): 1}
    assert (await api.get("/metrics", token=None))[0] == 401
    headers = {"Authorization": f"Bearer {reader}"}
    async with aiohttp.ClientSession() as session, session.get(f"{api.url}/metrics", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        assert f'database="{api.database}"' not in await answer.text()


async def test_whatever_things_are_called_the_text_stays_whole(api, store):
    unnamed = await api.make_source()
    odd = 'a"b\\c\nd'
    for name in (unnamed, odd):
        record = await store.sources.create(
            "folder", api.database, FolderSourceSettings(path="/"), Embedding(), Chunking(), name
        )
        await fill(api, record.id, f"of {name}", collection=odd)
    await fill(api, unnamed, "a", collection=odd)
    found = await scrape(api)
    assert found["syncd_documents"].keys() == {(api.database, odd, name, "indexed") for name in (unnamed, odd)}


async def test_a_hundred_scrapes_count_once(api_with):
    counted = []

    async def standings():
        counted.append(1)
        return {}

    async with api_with(standings=standings) as api:
        await asyncio.gather(*(scrape(api) for _ in range(100)))
    assert len(counted) == 1


async def test_what_is_told_is_what_the_readme_and_the_dashboard_name(api):
    _, text = await api.get("/metrics")
    assert re.findall("^# TYPE (.*) (.*)$", text, re.MULTILINE) == [(each.name, each.kind) for each in METRICS]
    assert all(each.name.endswith("_total") == (each.kind == "counter") for each in METRICS)
    section = (ROOT / "README.md").read_text().partition("### Metrics\n")[2].partition("\n#")[0]
    rows = [f"| `{each.name}` | {', '.join(each.labels)} | {each.meaning} |" for each in METRICS]
    assert re.findall(r"^\| `.*$", section, re.MULTILINE) == rows
    panels = json.loads((ROOT / "config/grafana.json").read_text())["panels"]
    named = {
        name for panel in panels for target in panel["targets"] for name in re.findall(r"syncd_\w+", target["expr"])
    }
    assert named == LABELS.keys()

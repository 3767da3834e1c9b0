"""A key that a server echoes in its error is shown to nobody, wherever that error comes to stand."""

from datetime import UTC, datetime

import pytest

from syncd import redaction
from syncd.errors import PermanentError, RetryableError
from syncd.model import Counts, DocumentWarning, Embedding, State, Target
from syncd.model.watching import WatchState
from syncd.search.rankings import nearest_if_there
from syncd.sources.objects.event_store import DeadLetters, UnreadableMessage
from syncd.store.changes import NewChunk, Replacement
from syncd.store.progress import Outcome
from tests.api.test_invocations import settled

KEY = "wJalrXUtnFEMI/K7MDENG"
ERROR = f"403: no entry for key {KEY}"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", set())
    redaction.register_secret(KEY)


async def test_no_answer_has_it(api_with):
    async def fails(*_):
        raise PermanentError(ERROR)

    async def says():
        return {"models_waiting": {"m": ERROR}, "queues": [{"problem": ERROR}]}

    async def unwell():
        return ERROR

    seen = {}
    states = WatchState(datetime.now(UTC), ERROR)
    async with api_with(search=fails, status=says, health=unwell, watches=lambda: seen) as api:
        source = await api.make_source()
        seen[source] = states
        runs = [await settled(api, state, ERROR) for state in (State.FAILED, State.COMPLETE)]
        await api.store.progress.note(runs[0], [Outcome("a", "failed", ERROR)])
        waiting = await api.make_invocation(source)
        await api.store.invocations.start(waiting)
        await api.store.invocations.postpone(waiting, 3600, ERROR, Counts())
        await DeadLetters(api.store.database).add(UnreadableMessage("q", "m", ERROR, "{", 1))
        record = await api.store.collections.open(Target(api.database, "docs"), Embedding(model="hash"))
        warning = DocumentWarning("table_cut", ERROR)
        chunk = NewChunk("text", "", b"text", {"chunk_index": 0})
        await api.store.documents.stage(
            [Replacement(record.id, source, "b", "b", "1", "made", "hash", 1, [chunk], warnings=[warning])]
        )
        asked = {"query": "x", "database_name": api.database, "collection_name": "docs"}
        answers = [await api.post("/api/v1/search", asked)]
        paths = ["/health", "/api/v1/status", "/api/v1/sources", f"/api/v1/sources/{source}", "/api/v1/invocations"]
        paths += [f"/api/v1/invocations/{run}" for run in (*runs, waiting)]
        paths += [f"/api/v1/invocations/{runs[0]}/documents", "/api/v1/documents/warnings", "/api/v1/dead-letters"]
        answers += [await api.get(path) for path in paths]
    for path, answer in zip(["search", *paths], answers, strict=True):
        assert KEY not in str(answer), path
        assert "no entry for key ***" in str(answer) or path == "/api/v1/invocations", path


async def test_no_notice_of_a_search_has_it():
    async def fails():
        raise RetryableError(ERROR)

    notices = []
    assert await nearest_if_there(fails, notices) == []
    assert KEY not in notices[0]
    assert notices[0].endswith("no entry for key ***")


async def test_what_the_safe_holds_is_known_again_after_a_restart(store, monkeypatch):
    await store.credentials.add("db", "aws", {"aws_access_key_id": "AKIA", "aws_secret_access_key": "hunter2-hunter2"})
    monkeypatch.setattr(redaction, "_secrets", set())
    await store.credentials.keep_out_of_messages()
    assert redaction.redacted("not hunter2-hunter2") == "not ***"

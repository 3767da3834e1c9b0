import asyncio
import base64
import hashlib
import hmac
import json
from collections import defaultdict
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web

from syncd.errors import NotFoundError
from syncd.model import Chunking, Counts, Embedding, State, Target
from syncd.model.notifications import WebhookFilter
from syncd.runtime.retry import Backoff
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.sync import webhook_sender
from syncd.sync.webhook_sender import Webhook, WebhookSender
from tests.asking import asked
from tests.models import in_its_own_task
from tests.runtime.running import running
from tests.serving import serve

KEY = b"0123456789abcdef"


class Receiver:
    """A server that keeps what it is sent, by path, and answers what `answers` says for the path, else 204."""

    def __init__(self) -> None:
        self.url = ""
        self.got: defaultdict[str, list[tuple[dict[str, str], bytes]]] = defaultdict(list)
        self.answers: dict[str, list[web.Response | None]] = {}
        """None: an answer that never ends."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.got[request.path].append((dict(request.headers), await request.read()))
        prepared = self.answers.get(request.path)
        if not prepared:
            return web.Response(status=204)
        if (answer := prepared.pop(0)) is not None:
            return answer
        endless = web.StreamResponse()
        await endless.prepare(request)
        while True:
            await endless.write(b"x" * 65_536)
            await asyncio.sleep(0)

    def ids(self, path: str) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got[path]]


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    for name in ("RETRY", "PAUSE"):
        monkeypatch.setattr(webhook_sender, name, Backoff(base_s=0.01, cap_s=0.05))
    monkeypatch.setattr(webhook_sender, "DUE_POLL_S", 0.01)


@pytest.fixture
def receiver():
    receiver = Receiver()
    with serve(receiver.answer) as receiver.url:
        yield receiver


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path / "state", TYPES)
    yield opened
    await opened.close()


@asynccontextmanager
async def sending(store, receiver, *names):
    await store.webhooks.subscribe([WebhookFilter(name) for name in names])
    sender = WebhookSender(store, [Webhook(name, f"{receiver.url}/{name}", KEY) for name in names])
    async with in_its_own_task(running(sender)):
        yield sender


async def settle_a_run(store) -> None:
    settings = FolderSourceSettings(path="/notes")
    record = await store.sources.get_or_create("folder", "db", settings, Embedding(), Chunking())
    invocation = await store.invocations.create(record.id, Target("db", "docs"), "api", asked())
    await store.invocations.settle(invocation.id, State.COMPLETE, Counts())


async def state_when(store, is_so, webhook=0):
    with anyio.fail_after(60):
        while not is_so(state := (await store.webhooks.states())[webhook]):  # noqa: ASYNC110 - the store sets no event
            await anyio.sleep(0.01)
    return state


async def test_what_is_told_arrives_once_signed_over_its_id_its_time_and_its_body(store, receiver):
    async with sending(store, receiver, "on-call"):
        await settle_a_run(store)
        state = await state_when(store, lambda state: state.last)
    ((headers, body),) = receiver.got["/on-call"]
    assert json.loads(body)["type"] == "run.settled"
    assert headers["Content-Type"] == "application/json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (state.last.id, state.last.error, state.waiting) == (headers["webhook-id"], "", 0)


async def test_what_was_not_taken_is_sent_again_under_the_same_id_and_the_failure_is_known_until_then(store, receiver):
    receiver.answers["/on-call"] = [web.Response(status=503, headers={"Retry-After": "0"}), web.Response(status=400)]
    async with sending(store, receiver, "on-call"):
        await settle_a_run(store)
        failing = await state_when(store, lambda state: state.failing_since)
        assert failing.error.startswith("it answered ")
        state = await state_when(store, lambda state: state.last)
    assert len(set(receiver.ids("/on-call"))) == 1
    assert len(receiver.ids("/on-call")) == 3
    assert (state.failing_since, state.error, state.given_up) == (None, "", 0)


async def test_a_restart_goes_on_with_what_waits(store, receiver):
    receiver.answers["/on-call"] = [web.Response(status=500)] * 1000
    async with sending(store, receiver, "on-call"):
        await settle_a_run(store)
        await state_when(store, lambda state: state.failing_since)
    receiver.answers.clear()
    async with sending(store, receiver, "on-call"):
        await state_when(store, lambda state: state.last and not state.waiting)
    assert len(set(receiver.ids("/on-call"))) == 1


async def test_after_a_day_and_at_once_where_the_receiver_is_gone_it_is_given_up_and_that_is_shown(store, receiver):
    receiver.answers["/old"] = [web.Response(status=500)]
    receiver.answers["/gone"] = [web.Response(status=410)]
    await store.webhooks.subscribe([WebhookFilter("old"), WebhookFilter("gone")])
    await settle_a_run(store)
    await store.database.write(lambda c: c.execute("UPDATE notifications SET created_at = created_at - 86401"))
    async with sending(store, receiver, "old", "gone"):
        gone = await state_when(store, lambda state: state.last, 0)
        old = await state_when(store, lambda state: state.last, 1)
    assert (gone.given_up, gone.waiting, gone.last.error) == (1, 0, "it answered 410")
    assert (old.given_up, old.waiting, old.last.error) == (1, 0, "it answered 500")
    assert old.failing_since is not None


async def test_no_redirect_is_followed_and_no_answer_read_to_an_end_that_it_does_not_have(store, receiver):
    elsewhere = web.Response(status=307, headers={"Location": f"{receiver.url}/elsewhere"})
    receiver.answers["/on-call"] = [elsewhere, None]
    async with sending(store, receiver, "on-call"):
        await settle_a_run(store)
        await state_when(store, lambda state: state.last)
    assert not receiver.got["/elsewhere"]
    assert len(receiver.ids("/on-call")) == 2


async def test_one_that_cannot_be_reached_holds_up_no_other_and_its_address_stays_out_of_the_reason(store, receiver):
    webhooks = [
        Webhook("dead", "http://127.0.0.1:9/s3cret-channel", KEY),
        Webhook("alive", f"{receiver.url}/alive", KEY),
    ]
    await store.webhooks.subscribe([WebhookFilter(webhook.name) for webhook in webhooks])
    async with in_its_own_task(running(WebhookSender(store, webhooks))):
        await settle_a_run(store)
        await state_when(store, lambda state: state.last, 0)
        dead = await state_when(store, lambda state: state.failing_since, 1)
    assert dead.error.startswith("no connection to 127.0.0.1")
    assert "s3cret" not in dead.error
    assert "s3cret" not in repr(webhooks)


async def test_a_test_is_sent_once_and_says_how_it_was_answered(store, receiver):
    receiver.answers["/on-call"] = [web.Response(status=200), web.Response(status=401)]
    async with sending(store, receiver, "on-call") as sender:
        taken, refused = [await sender.try_out("on-call") for _ in range(2)]
        with pytest.raises(NotFoundError, match="on-call"):
            await sender.try_out("other")
    assert (taken.status, taken.error) == (200, "")
    assert (refused.status, refused.error) == (401, "it answered 401")
    assert [json.loads(body)["type"] for _, body in receiver.got["/on-call"]] == ["test", "test"]

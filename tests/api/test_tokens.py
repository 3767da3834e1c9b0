"""What a token may do, until when, and what happens to who guesses at them."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.api import wrong_tokens
from syncd.api.application import routes
from syncd.api.route import Access
from syncd.api.shapes import SourceShapes
from syncd.sources.registry import TYPES
from tests.api.test_auth import filled

READS = {
    "search", "read_document", "embed_query", "embed_ollama", "embed_ollama_collection", "embed_openai", "embed_openai_collection",
    "embed_cloud", "embed_cloud_sparse", "latest_invocations_by_keys", "log_out", "related", "make_questions",
}  # fmt: skip
ENDLESS = {"follow_runs"}
"""Whose answer has no end; see test_events.py."""
ROUTES = [
    route
    for route in routes(SourceShapes.of(TYPES))
    if route.access not in (Access.OPEN, Access.SIGNED) and route.operation_id not in ENDLESS
]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
async def test_a_token_that_may_only_read_changes_nothing(api, store, route):
    for databases in (None, frozenset({api.database})):
        token = await store.tokens.create("reader", databases, access="read")
        path = filled(route).replace("{database}", api.database).replace("{collection}", "docs")
        status, answer = await api.call(route.method, path, token=token, json={})
        is_refused = status == 403 and "may only read" in answer["message"]
        if route.access is Access.ADMIN and databases:
            assert status == 403
        else:
            assert is_refused == (route.method != "GET" and route.operation_id not in READS)


async def test_a_token_is_useless_once_it_has_expired(api, store):
    body = {"name": "for an hour", "databases": [api.database], "access": "read"}
    hence = datetime.now(UTC) + timedelta(hours=1)
    status, made = await api.post("/api/v1/tokens", {**body, "expires_at": hence.isoformat()})
    assert status == 201
    assert (await api.get("/api/v1/sources", token=made["token"]))[0] == 200
    listed = (await api.get("/api/v1/tokens"))[1][-1]
    assert (listed["access"], listed["expires_at"]) == ("read", hence.isoformat().replace("+00:00", "Z"))
    expired = await store.tokens.create("over", expires_at=datetime.now(UTC))
    status, answer = await api.get("/api/v1/sources", token=expired)
    assert (status, "expired" in answer["message"]) == (401, True)
    for wrong in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00", "tomorrow", 5):
        assert (await api.post("/api/v1/tokens", {**body, "expires_at": wrong}))[0] == 400, wrong


async def test_the_last_administrator_cannot_be_revoked(api, store):
    await store.tokens.create("a reader", access="read")
    await store.tokens.create("for a day", expires_at=datetime.now(UTC) + timedelta(days=1))
    ids = {it["name"]: it["id"] for it in (await api.get("/api/v1/tokens"))[1]}
    status, answer = await api.call("DELETE", f"/api/v1/tokens/{ids['tests']}")
    assert (status, "last administrator" in answer["message"]) == (409, True)
    for name in ("a reader", "for a day"):
        assert (await api.call("DELETE", f"/api/v1/tokens/{ids[name]}"))[0] == 204
    await store.tokens.create("another")
    assert (await api.call("DELETE", f"/api/v1/tokens/{ids['tests']}"))[0] == 204


async def test_who_guesses_is_stopped_while_those_with_good_tokens_at_the_same_address_go_on(api, monkeypatch):
    monkeypatch.setattr(wrong_tokens, "REFILL_PER_S", 0.001)
    assert (await api.get("/api/v1/sources"))[0] == 200
    answers = [(await api.get("/api/v1/sources", token=f"sk_{number:012x}_guess"))[0] for number in range(30)]
    assert answers == [401] * wrong_tokens.BURST + [429] * (30 - wrong_tokens.BURST)
    assert (await api.get("/api/v1/sources"))[0] == 200
    assert (await api.get("/api/v1/sources", token=None))[0] == 401
    assert (await api.get("/health", token=None))[0] == 200


def test_guesses_are_forgiven_with_time_and_counted_by_network(monkeypatch):
    now = 0.0
    monkeypatch.setattr(wrong_tokens.time, "monotonic", lambda: now)
    guesses = wrong_tokens.WrongTokens()
    for number in range(wrong_tokens.BURST):
        guesses.require_room(f"2001:db8::{number:x}", "guess")
        guesses.note_wrong(f"2001:db8::{number:x}", "guess")
    with pytest.raises(wrong_tokens.RefusedError) as refused:
        guesses.require_room("2001:db8::ffff", "guess")
    assert int(refused.value.headers["Retry-After"]) >= 1
    guesses.require_room("2001:db8:0:1::1", "guess")
    now = 2.0
    guesses.require_room("2001:db8::ffff", "guess")


def test_a_token_that_was_good_and_was_revoked_is_a_guess(monkeypatch):
    monkeypatch.setattr(wrong_tokens.time, "monotonic", lambda: 0.0)
    guesses = wrong_tokens.WrongTokens()
    guesses.note_good("revoked")
    for _ in range(wrong_tokens.BURST):
        guesses.note_wrong("10.0.0.1", "revoked")
    with pytest.raises(wrong_tokens.RefusedError):
        guesses.require_room("10.0.0.1", "revoked")


def test_a_flood_of_addresses_does_not_grow():
    guesses = wrong_tokens.WrongTokens()
    for number in range(wrong_tokens.MAX_REMEMBERED + 100):
        guesses.note_wrong(f"10.0.{number // 256}.{number % 256}", "guess")
        guesses.note_good(str(number))
    assert len(guesses._spent) == len(guesses._good) == wrong_tokens.MAX_REMEMBERED

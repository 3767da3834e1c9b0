from syncd.errors import NotFoundError
from syncd.model import Counts, State
from syncd.model.notifications import WebhookFilter
from syncd.sync.webhook_sender import DeliveryAttempt


async def test_an_administrator_sees_how_webhooks_are_doing_and_nobody_else_that_they_are(api, store):
    await store.webhooks.subscribe([WebhookFilter("on-call", events=["run.settled"], databases=[api.database])])
    await store.invocations.settle(await api.make_invocation(), State.COMPLETE, Counts())
    notification = await store.webhooks.next_due("on-call")
    assert (await api.get("/health"))[1] == {"status": "ok"}
    await store.webhooks.failed("on-call", notification.id, "it answered 500 to Bearer s3cret-s3cret", None)
    status, (shown,) = await api.get("/api/v1/webhooks")
    assert (status, shown["name"], shown["events"], shown["databases"]) == (
        200,
        "on-call",
        ["run.settled"],
        [api.database],
    )
    assert (shown["waiting"], shown["given_up"], shown["last"]["id"]) == (0, 1, notification.id)
    assert "it answered 500" in shown["error"]
    assert "s3cret" not in str(shown)
    assert (await api.get("/health"))[1] == {"status": "ok", "failing_webhooks": 1}
    limited = await store.tokens.create("limited", frozenset({api.database}))
    assert (await api.get("/api/v1/webhooks", token=limited))[0] == 403
    assert (await api.post("/api/v1/webhooks/on-call/test", token=limited))[0] == 403


async def test_a_test_says_how_it_was_answered(api_with):
    async def try_webhook(name):
        if name == "other":
            raise NotFoundError("no webhook is called 'other'")
        return DeliveryAttempt(503, "it answered 503") if name == "down" else DeliveryAttempt(200)

    async with api_with(try_webhook=try_webhook) as api:
        assert await api.post("/api/v1/webhooks/up/test") == (200, {"delivered": True, "status": 200, "error": None})
        refused = {"delivered": False, "status": 503, "error": "it answered 503"}
        assert await api.post("/api/v1/webhooks/down/test") == (200, refused)
        assert (await api.post("/api/v1/webhooks/other/test"))[0] == 404

"""Event messages that nothing could be made of."""

from syncd.sources.objects.event_store import DeadLetters, UnreadableMessage


async def test_dead_letters_are_listed_with_their_reasons_newest_first(api, store):
    letters = DeadLetters(store.database)
    await letters.add(UnreadableMessage("q1", "m1", "not JSON", "{", 1))
    await letters.add(UnreadableMessage("q2", "m2", "of no known shape", "{}", 1))
    await letters.add(UnreadableMessage("q1", "m1", "still not JSON", "{", 2))
    status, found = await api.get("/api/v1/dead-letters")
    assert status == 200
    assert [(it["message_id"], it["reason"], it["receives"]) for it in found] == [
        ("m1", "still not JSON", 2),
        ("m2", "of no known shape", 1),
    ]
    assert [it["body"] for it in (await api.get("/api/v1/dead-letters?queue_url=q2"))[1]] == ["{}"]
    assert len((await api.get("/api/v1/dead-letters?limit=1"))[1]) == 1
    limited = await store.tokens.create("one database", frozenset({api.database}))
    assert (await api.get("/api/v1/dead-letters", token=limited))[0] == 403

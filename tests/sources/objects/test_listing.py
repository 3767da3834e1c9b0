"""A run that is retried goes on at its page; another begins at the beginning."""

from collections.abc import Mapping
from contextlib import aclosing

from syncd.model import Checkpoint, Document, Run
from syncd.sources.objects.listing import place_in
from tests.sources.objects.clouds import Cloud
from tests.sources.running import SyncedCollection, invocation

KEYS = [f"{number:02}.txt" for number in range(25)]


async def keys_and_places(
    cloud: Cloud, cursor: str | None, ident: Mapping[str, str]
) -> tuple[list[str], list[Checkpoint]]:
    run, keys, places = Run(invocation(ident), cursor, SyncedCollection()), list[str](), list[Checkpoint]()
    async with aclosing(cloud.source().changes(run)) as steps:
        async for step in steps:
            if isinstance(step, Document):
                keys.append(step.key)
            else:
                places.append(step)
    return keys, places


async def test_a_retried_run_goes_on_where_it_was(cloud: Cloud):
    await cloud.put_all(*KEYS)
    cloud.server.page_size = 10
    keys, places = await keys_and_places(cloud, None, {})
    assert keys == KEYS
    assert [place.is_mark for place in places] == [True, True, False]
    assert places[-1] == Checkpoint("", absent_are_gone=True)
    assert (await keys_and_places(cloud, places[0].cursor, {}))[0] == KEYS[10:]
    assert (await keys_and_places(cloud, places[0].cursor.replace('"i"', '"other"'), {}))[0] == KEYS
    assert (await keys_and_places(cloud, "", {}))[0] == KEYS


def test_what_is_no_cursor_of_this_run_is_the_beginning():
    assert place_in('{"invocation": "i", "token": "t"}', "i") == "t"
    assert [place_in(text, "i") for text in (None, "", "x", "[]", "{}", '{"invocation": "j", "token": "t"}')] == [
        ""
    ] * 6

"""How people name what they mean: a source by its name, id, path or URL, an invocation by its id or its source."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from syncd.cli.answers import InvocationAnswer
from syncd.cli.client import Client
from syncd.errors import NotFoundError, PermanentError
from syncd.json_types import JsonObject, json_object
from syncd.model import SourceSettings, UnreadableSettings
from syncd.schema import nearest
from syncd.sources.type import SourceTypes

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SOURCE_HELP = "name or id of the source, or its path, URL, repository or bucket"
INVOCATION_HELP = "its id, or a source as `syncd sources list` shows it, for its latest"


async def all_sources(client: Client, database: str | None = None) -> list[JsonObject]:
    """Return every source that the token may see, oldest first."""
    return [it async for it in client.every("/api/v1/sources", database_name=database, order_by="ASC")]


async def source_id(client: Client, types: SourceTypes, asked: str, *, may_be_gone: bool = False) -> str:
    """Return the id of a source given by name, id or place. Raises NotFoundError, but not for an id that `may_be_gone`.

    Raises PermanentError where several sources have the name, or are at the place.
    """
    known = await all_sources(client)
    called = [str(source["id"]) for source in known if asked in (source["id"], source.get("name"))]
    # One that is declared is alone in having its name in all databases.
    called = [str(source["id"]) for source in known if source.get("declared") and asked == source["name"]] or called
    if len(called) > 1:
        raise PermanentError(f"{len(called)} sources are called {asked}; give the id of one: {', '.join(called)}")
    if called:
        return called[0]
    if may_be_gone and UUID.fullmatch(asked):
        return asked
    bucket = asked.partition("://")[2].rstrip("/")  # s3://acme-contracts
    # Sources of uploads have no place.
    places = {asked.rstrip("/"), os.path.abspath(asked), os.path.realpath(asked), bucket} - {""}
    found = [str(source["id"]) for source in known if settings_of(types, source).place.rstrip("/") in places]
    if len(found) > 1:
        raise PermanentError(f"{len(found)} sources are at {asked}; give the id of one: {', '.join(found)}")
    if not found:
        raise NotFoundError(f"no source is called {asked!r}; {likely_source(types, known, asked)}")
    return found[0]


def name_or_place(types: SourceTypes, source: JsonObject) -> str:
    """Return a source's name or, where it has none, its place."""
    return str(source.get("name") or settings_of(types, source).place)


def likely_source(types: SourceTypes, known: Sequence[JsonObject], asked: str) -> str:
    """Return what to tell somebody who named a source that there is not."""
    ways = {str(source.get("name") or "") for source in known} | {settings_of(types, source).place for source in known}
    meant = nearest(asked, ways - {""})
    return f"did you mean {meant!r}?" if meant else "see: syncd sources list"


async def invocation_id(client: Client, types: SourceTypes, asked: str) -> str:
    """Return an invocation's id given as such, or by its source, of which the latest is meant. Raises NotFoundError, PermanentError."""
    if UUID.fullmatch(asked.lower()):
        return asked
    source = await source_id(client, types, asked)
    latest: list[InvocationAnswer] = await client.get("/api/v1/invocations", source_id=source, limit=1)
    if not latest:
        found: JsonObject = await client.get(f"/api/v1/sources/{source}")
        reason = json_object(found.get("watch_state")).get("reason")
        raise NotFoundError(f"source {asked} was never run{f' ({reason})' if reason else ''}; try: syncd sync {asked}")
    return latest[0]["id"]


def type_of(types: SourceTypes, source: JsonObject) -> str:
    """Return the type of a source as returned by the API."""
    return next(name for name in types.names if source.get(name) is not None)


def whole_source(types: SourceTypes, source: JsonObject) -> JsonObject:
    """Return what the request of a run over the whole source says: sources of objects are asked for all of them by name."""
    return {"backfill": True} if types[type_of(types, source)].facts.backfills else {}


def settings_of(types: SourceTypes, source: JsonObject) -> SourceSettings:
    """Return the settings of a source as returned by the API, its collections and its watch included; of those that the daemon
    cannot read either, which it says itself, only that.
    """
    name = type_of(types, source)
    if source[name] == {}:
        return UnreadableSettings(values={}, reason="its settings cannot be read")
    return types.read_settings(name, {"collection_name": source.get("collection_name"), **json_object(source[name])})

"""`syncd collections`: what syncd writes, how much of it, and for whom."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from syncd.cli.answers import CollectionAnswer, StatusAnswer
from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, print_table
from syncd.cli.references import all_sources, name_or_place, settings_of
from syncd.errors import PermanentError
from syncd.json_types import JsonObject
from syncd.sources.type import SourceTypes


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("collections", parents=[common])
    parser.set_defaults(command=list_collections)


async def list_collections(args: argparse.Namespace) -> int:
    """Print every collection with its chunks and the sources that keep it. Raises PermanentError for a limited token."""
    async with connected(args) as client:
        daemon: StatusAnswer = await client.get("/api/v1/status")
        sources = await all_sources(client)
    found = daemon.get("collections")
    if found is None:
        raise PermanentError("a token that is limited to databases is not told of collections; use another one")
    rows = [(it, keepers(args.types, it, sources)) for it in found]
    if args.json:
        for collection, kept_by in rows:
            print_json({**collection, "kept_by": [source.get("name") or source["id"] for source in kept_by]})
        return 0
    table = [
        (
            it["collection_name"],
            it["database_name"],
            f"{it['chunks']:,}",
            ", ".join(name_or_place(args.types, source) for source in kept_by),
            condition(it),
        )
        for it, kept_by in rows
    ]
    columns = ("collection", "database", "chunks", "kept by", "state")
    print_table(columns, table, empty="no collections yet; sync a source first")
    return 0


def keepers(types: SourceTypes, collection: CollectionAnswer, sources: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the sources that keep a collection in sync."""
    place = (collection["database_name"], collection["collection_name"])
    return [
        source for source in sources if (source["database_name"], settings_of(types, source).kept_collection) == place
    ]


def condition(collection: CollectionAnswer) -> str:
    """Return what is going on with a collection; '' where nothing is."""
    filled = collection["filled"]
    return "" if filled is None else f"being filled from the store: {filled:.0%}"

"""`syncd documents`: list those of a collection, sync some again, delete some."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import TypedDict

from syncd.cli.client import LIST_PAGE_SIZE, Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, print_table
from syncd.cli.references import SOURCE_HELP, source_id
from syncd.cli.sync import ask
from syncd.cli.words import since
from syncd.json_types import JsonObject


class ListedAnswer(TypedDict):
    """A document of a collection."""

    key: str
    stage: str
    reason: str
    chunks: int
    at: str


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("documents").add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", parents=[common], help="list a collection's documents by key")
    listing.add_argument("collection")
    listing.add_argument("--database", default="default_database")
    listing.add_argument("--source", help=f"only of this source ({SOURCE_HELP})")
    listing.add_argument(
        "--stage", choices=("written", "prepared", "skipped", "failed"), help="only those at this stage"
    )
    listing.add_argument("--prefix", help="only those whose keys begin so")
    listing.set_defaults(command=list_documents)
    again = "fetch and prepare documents again, changed or not"
    gone = "delete documents from a collection that the source does not keep in step, uploaded ones above all"
    for verb, text in (("sync", again), ("delete", gone)):
        action = actions.add_parser(verb, parents=[common], help=text)
        action.add_argument("source", help=SOURCE_HELP)
        action.add_argument("keys", nargs="+", metavar="KEY", help="as `syncd documents list` shows it")
        action.add_argument("--collection", help="which has them (default: the source's own)")
        action.add_argument("--no-wait", action="store_true", help="print the invocation's id and exit")
        action.set_defaults(command=partial(change, verb))


async def list_documents(args: argparse.Namespace) -> int:
    """Print a collection's documents by key."""
    async with connected(args) as client:
        wanted = {
            "database_name": args.database,
            "collection_name": args.collection,
            "source_id": await source_id(client, args.types, args.source) if args.source else None,
            "stage": args.stage,
            "prefix": args.prefix,
        }
        found: list[ListedAnswer] = [it async for it in _every(client, wanted)]
    if args.json:
        for document in found:
            print_json(document)
        return 0
    rows = [(it["key"], it["stage"], it["chunks"], since(it["at"]), it["reason"]) for it in found]
    print_table(("document", "stage", "chunks", "age", "reason"), rows, empty="no such documents")
    return 0


async def _every(client: Client, wanted: Mapping[str, str | None]) -> AsyncGenerator[ListedAnswer]:
    """Yield every document, page by page, each by the key that the one before ended with: none is missed or shown twice while
    others come and go.
    """
    from_key, shown = "", 0
    while True:
        place = {"limit": LIST_PAGE_SIZE, "from_key": from_key or None, "offset": shown}
        page: list[ListedAnswer] = await client.get("/api/v1/documents", **place, **wanted)
        for document in page:
            shown = shown + 1 if document["key"] == from_key else 1
            from_key = document["key"]
            yield document
        if len(page) < LIST_PAGE_SIZE:
            return


async def change(verb: str, args: argparse.Namespace) -> int:
    """Ask for documents to be synced again or deleted, and follow the run to its end, unless told not to wait."""
    body: JsonObject = {"keys": args.keys, **({"target_collection_name": args.collection} if args.collection else {})}
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source)
        return await ask(client, f"/api/v1/sources/{ident}/documents/{verb}", body, args)

"""`syncd documents`: the documents of a collection."""

from __future__ import annotations

import argparse
from typing import TypedDict

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, print_table
from syncd.cli.references import SOURCE_HELP, source_id


class ListedAnswer(TypedDict):
    """A document of a collection."""

    key: str
    stage: str
    reason: str
    chunks: int
    at: str


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("documents", parents=[common])
    parser.add_argument("collection")
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--source", help=f"only of this source ({SOURCE_HELP})")
    parser.add_argument(
        "--stage", choices=("written", "prepared", "skipped", "failed"), help="only those at this stage"
    )
    parser.set_defaults(command=list_documents)


async def list_documents(args: argparse.Namespace) -> int:
    """Print a collection's documents by key."""
    async with connected(args) as client:
        wanted = {
            "database_name": args.database,
            "collection_name": args.collection,
            "source_id": await source_id(client, args.types, args.source) if args.source else None,
            "stage": args.stage,
        }
        found: list[ListedAnswer] = [it async for it in client.every("/api/v1/documents", **wanted)]
    if args.json:
        for document in found:
            print_json(document)
        return 0
    rows = [(it["key"], it["stage"], it["chunks"], it["at"], it["reason"]) for it in found]
    print_table(("document", "stage", "chunks", "since", "reason"), rows, empty="no such documents")
    return 0

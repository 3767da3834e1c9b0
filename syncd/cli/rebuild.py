"""`syncd rebuild`: recreate a collection in Chroma from what syncd has stored."""

from __future__ import annotations

import argparse

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json
from syncd.cli.words import some


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("rebuild", parents=[common])
    parser.add_argument("collection")
    parser.add_argument("--database", default="default_database")
    parser.set_defaults(command=rebuild)


async def rebuild(args: argparse.Namespace) -> int:
    """Rebuild the collection, wait for the end and print the number of chunks written."""
    body = {"database_name": args.database, "collection_name": args.collection}
    async with connected(args) as client:
        done = await client.post("/api/v1/rebuild", body, timeout_s=None)
    print_json(done) if args.json else out.print(f"{args.collection}: {some(done['chunks'], 'chunk')} written")
    return 0

"""`syncd related`: chunks like one chunk."""

from __future__ import annotations

import argparse

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, remark
from syncd.cli.search import SHOWN_HITS, print_hit
from syncd.cli.search_answers import SearchAnswer


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("related", parents=[common])
    parser.add_argument(
        "chunk", metavar="CHUNK_ID", help="the id of a hit (search --json); with --line, a document's key"
    )
    parser.add_argument("--line", type=int, metavar="N", help="the chunk with this line of the document")
    parser.add_argument("--collection", required=True)
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--limit", type=int, default=SHOWN_HITS)
    parser.add_argument("--path", action="append", metavar="PATTERN", help="only documents like these, as in a search")
    parser.add_argument("--content", choices=("code", "docs", "config"), help="only documents of this kind")
    parser.set_defaults(command=show_related)


async def show_related(args: argparse.Namespace) -> int:
    """Print the hits; exit status 1 if there are none."""
    chunk = {"chunk_id": args.chunk} if args.line is None else {"key": args.chunk, "line": args.line}
    body = {
        **chunk,
        "database_name": args.database,
        "collection_name": args.collection,
        "limit": args.limit,
        "paths": args.path,
        "content": args.content,
    }
    async with connected(args) as client:
        answer: SearchAnswer = await client.post("/api/v1/related", body)
    for hit in answer["hits"]:
        print_json(hit) if args.json else print_hit(hit)
    for notice in answer["notices"]:
        remark(notice)
    return 0 if answer["hits"] else 1

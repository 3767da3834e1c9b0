"""`syncd read`: a document's text, from the daemon's store."""

from __future__ import annotations

import argparse
import sys

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, remark
from syncd.cli.references import source_id
from syncd.cli.search_answers import ReadAnswer
from syncd.quoting import harmless


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("read", parents=[common])
    parser.add_argument("key", help="the document's key or, of a page of the web, its address")
    parser.add_argument("--collection", required=True)
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--source", help="whose document, where several sources have one of this key")
    parser.add_argument("--lines", type=line_range, default=(None, None), metavar="A-B")
    parser.add_argument("--pages", type=line_range, default=(None, None), metavar="A-B")
    parser.add_argument("--heading", default="", help="only the section of this title, or the definition of this name")
    parser.add_argument(
        "--first-byte", type=int, default=0, metavar="N", help="where the answer before says to read on"
    )
    parser.add_argument("--max-tokens", type=int, default=8000)
    parser.set_defaults(command=read_document)


def line_range(text: str) -> tuple[int | None, int | None]:
    """Return (first, last) of `7`, `7-9` or `7-`, which has no last. Raises ArgumentTypeError."""
    first, dash, last = text.partition("-")
    try:
        return int(first), int(last) if last else None if dash else int(first)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no range; write 7, 7-9 or 7-") from error


async def read_document(args: argparse.Namespace) -> int:
    """Print the text, and on standard error where to read on."""
    body = {
        "database_name": args.database,
        "collection_name": args.collection,
        # Hits show the address of a heading; a page's key is that of the page.
        "key": args.key.partition("#")[0] if args.key.startswith(("http://", "https://")) else args.key,
        "first_line": args.lines[0] or 1,
        "last_line": args.lines[1],
        "first_page": args.pages[0],
        "last_page": args.pages[1],
        "heading": args.heading,
        "first_byte": args.first_byte,
        "max_tokens": args.max_tokens,
    }
    async with connected(args) as client:
        source = await source_id(client, args.types, args.source) if args.source else None
        answer: ReadAnswer = await client.post("/api/v1/read", {**body, "source_id": source})
    if args.json:
        print_json(answer)
        return 0
    text = harmless(answer["text"]) if sys.stdout.isatty() else answer["text"]
    print(text, end="" if text.endswith("\n") else "\n")
    if answer["next_line"]:
        remark(f"more from line {answer['next_line']} on: add --first-byte {answer['next_byte']}")
    if answer["documents"] > 1:
        remark(f"{answer['documents']} sources have a document of this key; choose with --source")
    return 0

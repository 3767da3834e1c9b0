"""`syncd explain`: where a chunk comes from, and whether deriving it again gives the same."""

from __future__ import annotations

import argparse
from typing import TypedDict

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json

SOUND = ("matches", "not derived")


class DerivedAnswer(TypedDict):
    """What came of deriving a chunk again."""

    outcome: str
    reason: str


class ExplanationAnswer(TypedDict):
    """Where a chunk comes from."""

    chunk_id: str
    database_name: str
    collection_name: str
    source_id: str
    source_type: str
    source_name: str | None
    key: str
    version: str
    content_hash: str | None
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    page: int | None
    last_page: int | None
    cut_as: str
    model: str
    stage: str
    indexed_at: str | None
    in_chroma: str
    derived: DerivedAnswer


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("explain", parents=[common])
    parser.add_argument("chunk_id", help="as hits and Chroma have it")
    parser.add_argument("--collection", help="default: every collection that has it")
    parser.add_argument("--database")
    parser.set_defaults(command=explain)


async def explain(args: argparse.Namespace) -> int:
    """Print what is known of the chunk; exit status 0 if Chroma and the source have it as the store does, else 1."""
    async with connected(args) as client:
        found: list[ExplanationAnswer] = await client.get(
            "/api/v1/explain",
            chunk_id=args.chunk_id,
            collection_name=args.collection,
            database_name=args.database,
        )
    if args.json:
        print_json(found)
    else:
        for chunk in found:
            out.print(explanation_words(chunk))
    is_sound = all(chunk["derived"]["outcome"] in SOUND and chunk["in_chroma"] == "as stored" for chunk in found)
    return 0 if is_sound else 1


def explanation_words(chunk: ExplanationAnswer) -> str:
    """Return an explanation for people."""
    pages = f", page {chunk['page']}" if chunk["page"] else ""
    pages += f" to {chunk['last_page']}" if chunk["last_page"] else ""
    lines = (
        ("collection", f"{chunk['collection_name']} in {chunk['database_name']}"),
        ("source", f"{chunk['source_name'] or chunk['source_id']} ({chunk['source_type']})"),
        ("document", chunk["key"]),
        ("version", chunk["version"]),
        ("content", f"sha256 {chunk['content_hash']}" if chunk["content_hash"] else "not written yet"),
        (
            "place",
            f"bytes {chunk['start_byte']} to {chunk['end_byte']}, lines {chunk['start_line']} to {chunk['end_line']}{pages}",
        ),
        ("cut as", f"{chunk['cut_as']}, embedded with {chunk['model']}"),
        ("indexed", chunk["indexed_at"] or f"not yet: it is {chunk['stage']}"),
        ("in Chroma", chunk["in_chroma"]),
        ("now", f"{chunk['derived']['outcome']}: {chunk['derived']['reason']}"),
    )
    return "\n".join([chunk["chunk_id"], *(f"  {name:<11}{value}" for name, value in lines)])

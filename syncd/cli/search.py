"""`syncd search`: ask a collection."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from syncd.cli.client import connected
from syncd.cli.output import out, print_json

SNIPPET_LINES = 4
SNIPPET_WIDTH = 110


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("search", parents=[common], help="search a collection")
    parser.add_argument("query")
    parser.add_argument("--collection", required=True)
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--limit", type=int, default=5)
    parser.add_argument("--mode", choices=("dense", "sparse", "hybrid"), default="dense")
    parser.set_defaults(command=search)


async def search(args: argparse.Namespace) -> int:
    """Print the hits; 1 when there are none."""
    body = {
        "query": args.query,
        "database_name": args.database,
        "collection_name": args.collection,
        "limit": args.limit,
        "mode": args.mode,
    }
    async with connected(args) as client:
        answer = await client.post("/api/v1/search", body)
    for hit in answer["hits"]:
        print_json(hit) if args.json else print_hit(hit)
    return 0 if answer["hits"] else 1


def print_hit(hit: Mapping[str, Any]) -> None:
    """Print where a hit stands and how it begins."""
    metadata = hit["metadata"]
    name = metadata.get("symbol") or metadata.get("heading_path") or ""
    place = f"{metadata['key']}:{metadata['start_line']}-{metadata['end_line']}"
    out.print(f"[bold]{hit['score']:.3f}[/]  [cyan]{escape(place)}[/]  {escape(name)}")
    lines = [line for line in hit["text"].splitlines() if line.strip()][:SNIPPET_LINES]
    for line in lines:
        out.print(f"       {escape(line[:SNIPPET_WIDTH])}", style="dim")

"""`syncd search`: query a collection."""

from __future__ import annotations

import argparse
import json
import shlex

from rich.markup import escape
from rich.text import Text

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json, remark
from syncd.cli.references import source_id
from syncd.cli.search_answers import HitAnswer, SearchAnswer
from syncd.json_types import Json

SHOWN_HITS = 5
SNIPPET_LINES = 4
SNIPPET_WIDTH = 110


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("search", parents=[common])
    parser.add_argument("query")
    parser.add_argument("--collection", required=True, action="append", help="repeatable: hits are merged by rank")
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--limit", type=int, help="the most hits (default: 5, or as many as --max-tokens has room for)")
    parser.add_argument("--offset", type=int, default=0, help="skip the first N hits")
    parser.add_argument(
        "--mode",
        choices=("dense", "sparse", "hybrid", "phrase", "regex"),
        default="hybrid",
        help="semantic, keyword, or both; or the query letter by letter, or as a regular expression (RE2)",
    )
    parser.add_argument(
        "--path",
        action="append",
        metavar="PATTERN",
        help="only documents whose key starts with this, or matches it if it contains * or ?; repeatable",
    )
    parser.add_argument("--language", action="append", metavar="NAME", help="only chunks in this language; repeatable")
    parser.add_argument("--content", choices=("code", "docs", "config"), help="only documents of this kind")
    parser.add_argument(
        "--modified-after",
        metavar="TIME",
        help="only documents that changed since, as 2026-01-31T00:00:00Z, where their source says so",
    )
    parser.add_argument("--source", action="append", default=[], help="only this source; repeatable")
    parser.add_argument("--where", type=filter_of, metavar="JSON", help="a Chroma metadata filter, as JSON")
    parser.add_argument("--where-document", type=filter_of, metavar="JSON", help="a Chroma document filter, as JSON")
    parser.add_argument("--dense-weight", type=float, help="hybrid: weight of the semantic ranking")
    parser.add_argument("--sparse-weight", type=float, help="hybrid: weight of the keyword ranking")
    parser.add_argument("--k", type=int, help="hybrid: RRF constant; larger flattens the top ranks")
    parser.add_argument(
        "--rules",
        type=rule_names,
        metavar="NAMES",
        help="ranking rules for code: none, or some of them, with commas (default: all, but docs as far as they lack words)",
    )
    parser.add_argument(
        "--rerank",
        action=argparse.BooleanOptionalAction,
        help="have the configured reranker put the first hits in order, where they are prose (default: as rerank.always says)",
    )
    parser.add_argument(
        "--expand",
        type=lines_or_section,
        metavar="N|section",
        help="show hits whole, with N lines before and after, or the section or definition around",
    )
    parser.add_argument(
        "--max-tokens", type=int, metavar="N", help="show the best hits whole, as many as fit; the last one may be cut"
    )
    parser.add_argument("--group", action="store_true", help="show each document once")
    parser.set_defaults(command=search)


def filter_of(text: str) -> Json:
    """Return an option's JSON value. Raises ArgumentTypeError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON ({error}); quote it for the shell") from error


def lines_or_section(text: str) -> int | str:
    """Return an option's number of lines, or `section`. Raises ArgumentTypeError."""
    if text != "section" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of lines nor `section`")
    return text if text == "section" else int(text)


def rule_names(text: str) -> list[str]:
    """Return the names in an option's value; `none` is no name."""
    return [] if text == "none" else [name.strip() for name in text.split(",")]


async def search(args: argparse.Namespace) -> int:
    """Print the hits, or what to try where there are none, which is exit status 1."""
    body = {
        "query": args.query,
        "database_name": args.database,
        **({"collections": args.collection} if len(args.collection) > 1 else {"collection_name": args.collection[0]}),
        "limit": SHOWN_HITS if args.limit is None and args.max_tokens is None else args.limit,
        "offset": args.offset,
        "mode": args.mode,
        "paths": args.path,
        "languages": args.language,
        "content": args.content,
        "modified_after": args.modified_after,
        "where": args.where,
        "where_document": args.where_document,
        "expand": args.expand,
        "max_tokens": args.max_tokens,
        "group_by": "document" if args.group else None,
        "fusion": fusion_of(args),
        "rules": args.rules,
        "rerank": args.rerank,
    }
    whole = args.expand is not None or args.max_tokens is not None
    async with connected(args) as client:
        only = [await source_id(client, args.types, source) for source in args.source]
        answer: SearchAnswer = await client.post("/api/v1/search", {**body, "source_ids": only or None})
    for hit in answer["hits"]:
        print_json(hit) if args.json else print_hit(hit, whole=whole, named=len(args.collection) > 1)
    for notice in [*answer["notices"], *how_to_go_on(args, answer), *what_to_try(args, answer)]:
        remark(notice)
    return 0 if answer["hits"] else 1


def what_to_try(args: argparse.Namespace, answer: SearchAnswer) -> list[str]:
    """Return what may find something where nothing was found."""
    if answer["hits"]:
        return []
    filters = (
        args.path,
        args.language,
        args.content,
        args.modified_after,
        args.source,
        args.where,
        args.where_document,
    )
    more = ["fewer filters"] if any(filters) else []
    more += ["a smaller --offset"] if args.offset else []
    more += ["--mode hybrid"] if args.mode != "hybrid" else []
    ways = ", ".join([*more, "other words"])
    return [f"nothing was found in {', '.join(args.collection)}; try {ways}; `syncd status` says what is being indexed"]


def fusion_of(args: argparse.Namespace) -> dict[str, float] | None:
    """Return the fusion parameters that were given; None if none was."""
    given = {"dense_weight": args.dense_weight, "sparse_weight": args.sparse_weight, "k": args.k}
    return {name: value for name, value in given.items() if value is not None} or None


def how_to_go_on(args: argparse.Namespace, answer: SearchAnswer) -> list[str]:
    """Return how to get what an answer has no room for."""
    cut = [hit for hit in answer["hits"] if hit["cut"]]
    said = [f"{shown_place(hit)} is cut: read on with: {reading_on(args.database, hit)}" for hit in cut]
    more = answer["next_offset"]
    return said if more is None else [*said, f"more hits with --offset {more}"]


def reading_on(database: str, hit: HitAnswer) -> str:
    """Return the command that prints a cut hit's document from the last line shown on."""
    where = ["--collection", hit["collection_name"], "--database", database, "--lines", f"{hit['last_line'] or 1}-"]
    return shlex.join(["syncd", "read", str(hit["metadata"].get("key", "")), *where])


def shown_place(hit: HitAnswer) -> str:
    """Return a hit's document with its pages or lines; of a page of the web its address, which leads to the nearest heading."""
    metadata = hit["metadata"]
    place = str(metadata.get("key", hit["id"]))
    if place.startswith(("http://", "https://")):
        return str(metadata.get("url", place))
    page, last_page = (metadata.get(f"syncd_{name}", metadata.get(name)) for name in ("page", "last_page"))
    if isinstance(page, int):
        return f"{place} page {page}" if last_page in (None, page) else f"{place} pages {page}-{last_page}"
    first, last = hit["first_line"] or metadata.get("start_line"), hit["last_line"] or metadata.get("end_line")
    return f"{place}:{first}-{last}" if first else place


def print_hit(hit: HitAnswer, *, whole: bool = False, named: bool = False) -> None:
    """Print a hit's place and its `whole` text or the beginning of it, with the query's words in bold; `named`: with its collection."""
    metadata = hit["metadata"]
    name = str(metadata.get("symbol") or metadata.get("heading_path") or "")
    if hit["stage"] != "written":
        name += f" ({hit['stage']}, found by words)"
    if hit["indexed_at"]:
        name += f" (indexed {hit['indexed_at'][:16].replace('T', ' ')})"
    if named:
        name += f" ({hit['collection_name']})"
    more = f"  [dim]and {len(hit['also'])} more[/]" if hit["also"] else ""
    out.print(f"[bold]{hit['score']:.3f}[/]  [cyan]{escape(shown_place(hit))}[/]  {escape(name)}{more}", markup=True)
    text = Text(hit["text"], style="dim")
    for span in hit["highlights"]:
        text.stylize("bold not dim", span["start"], span["end"])
    if whole:
        out.print(text)
        return
    for line in [line for line in text.split("\n") if line.plain.strip()][:SNIPPET_LINES]:
        line.truncate(SNIPPET_WIDTH)
        out.print(Text("       ") + line)

"""`syncd sources`: list, show, add and remove sources."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncd.cli.client import Client, connected
from syncd.cli.output import out, print_json, print_table
from syncd.errors import NotFoundError

TYPES = ("github", "folder", "s3", "web_scrape", "file_upload")


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    actions = commands.add_parser("sources", help="list, show, add and remove sources").add_subparsers(
        required=True, metavar="ACTION"
    )
    listing = actions.add_parser("list", parents=[common], help="list all sources")
    listing.add_argument("--database")
    listing.set_defaults(command=list_sources)
    showing = actions.add_parser("show", parents=[common], help="show one source")
    showing.add_argument("source", help="its name or id")
    showing.set_defaults(command=show)
    removing = actions.add_parser(
        "remove", parents=[common], help="forget a source; its collection keeps what it holds"
    )
    removing.add_argument("source", help="its name or id")
    removing.set_defaults(command=remove)
    adding = actions.add_parser("add", help="add a source").add_subparsers(required=True, metavar="TYPE")
    add_github(adding, common)
    add_folder(adding, common)


def add_github(adding: Any, common: argparse.ArgumentParser) -> None:
    """Add `sources add github`."""
    parser = adding.add_parser("github", parents=[common], help="a GitHub repository")
    parser.add_argument("repository", help="owner/name")
    parser.add_argument("--app-id", help="GitHub App that may read it, for private repositories")
    parser.add_argument("--branch", help="branch to watch; the default branch when left out")
    parser.add_argument("--interval-s", type=int, default=300, help="how often to look at a watched branch")
    common_options(parser)
    parser.set_defaults(command=create, body=github_body)


def add_folder(adding: Any, common: argparse.ArgumentParser) -> None:
    """Add `sources add folder`."""
    parser = adding.add_parser("folder", parents=[common], help="a folder of the daemon's machine")
    parser.add_argument("path", type=Path)
    parser.add_argument("--exclude", action="append", metavar="GLOB", help="leave these out; may be repeated")
    common_options(parser)
    parser.set_defaults(command=create, body=folder_body)


def common_options(parser: argparse.ArgumentParser) -> None:
    """Add what every new source may be given."""
    parser.add_argument("--watch", metavar="COLLECTION", help="keep this collection in step from now on")
    parser.add_argument("--include", action="append", metavar="GLOB", help="only these; may be repeated")
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--model", help="embedding model; the daemon's default when left out")


def github_body(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a GitHub source."""
    watch = {"target_collection_name": args.watch, "branch": args.branch, "interval_s": args.interval_s}
    settings = {"repository": args.repository, "app_id": args.app_id, "include_globs": args.include}
    return {"github": {**settings, **({"watch": watch} if args.watch else {})}}


def folder_body(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a folder source."""
    settings = {"path": str(args.path.absolute()), "include_globs": args.include, "exclude_globs": args.exclude}
    return {"folder": {**settings, **({"watch": {"target_collection_name": args.watch}} if args.watch else {})}}


async def create(args: argparse.Namespace) -> int:
    """Create a source and print its id."""
    body = {"database_name": args.database, **args.body(args)}
    if args.model:
        body["embedding"] = {"dense": {"model": args.model}}
    async with connected(args) as client:
        created = await client.post("/api/v1/sources", body)
    print_json(created) if args.json else out.print(created["source_id"])
    return 0


async def list_sources(args: argparse.Namespace) -> int:
    """Print all sources."""
    async with connected(args) as client:
        found = await all_sources(client, args.database)
    if args.json:
        for source in found:
            print_json(source)
    else:
        rows = [(s["id"], s.get("name"), type_of(s), s["database_name"], place_of(s)) for s in found]
        print_table(("id", "name", "type", "database", "where"), rows)
    return 0


async def show(args: argparse.Namespace) -> int:
    """Print one source whole."""
    async with connected(args) as client:
        print_json(await client.get(f"/api/v1/sources/{await source_id(client, args.source)}"))
    return 0


async def remove(args: argparse.Namespace) -> int:
    """Delete one source."""
    async with connected(args) as client:
        await client.delete(f"/api/v1/sources/{await source_id(client, args.source)}")
    return 0


async def all_sources(client: Client, database: str | None = None) -> list[dict[str, Any]]:
    """Return every source that the token covers, oldest first."""
    return [it async for it in client.every("/api/v1/sources", database_name=database, order_by="ASC")]


async def source_id(client: Client, name_or_id: str) -> str:
    """Return the id of a source given by name or id. Raises NotFoundError."""
    for source in await all_sources(client):
        if name_or_id in (source["id"], source.get("name")):
            return source["id"]
    raise NotFoundError(f"no source is called {name_or_id!r}; see: syncd sources list")


def type_of(source: Mapping[str, Any]) -> str:
    """Return a source's type."""
    return next(name for name in TYPES if source.get(name) is not None)


def place_of(source: Mapping[str, Any]) -> str:
    """Return what a source points at."""
    settings = source[type_of(source)]
    return next((settings[k] for k in ("repository", "path", "starting_url", "bucket_name") if settings.get(k)), "")

"""`syncd sources`: list, show, add, edit, pause, rename and remove sources."""

from __future__ import annotations

import argparse
import json
import sys

import anyio

from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import POLL_S, out, print_json, print_table, remark
from syncd.cli.references import SOURCE_HELP, all_sources, settings_of, source_id, type_of
from syncd.cli.source_view import source_lines, standing
from syncd.errors import ConfigError
from syncd.json_types import Json, JsonObject, json_object
from syncd.quoting import told
from syncd.sources.type import AddCommand, SourceTypes

FIRST_RUN_LIMIT_S = 5.0
"""Longer than a look at a source takes that is there."""


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("sources").add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", parents=[common], help="list all sources")
    listing.add_argument("--database")
    listing.set_defaults(command=list_sources)
    showing = actions.add_parser("show", parents=[common], help="show one source")
    showing.add_argument("source", help=SOURCE_HELP)
    showing.set_defaults(command=show)
    removing = actions.add_parser(
        "remove",
        parents=[common],
        help="delete a source; what it has indexed stays in its collection unless told otherwise",
    )
    removing.add_argument("source", help=f"{SOURCE_HELP}; of one that is gone, its id")
    fates = removing.add_mutually_exclusive_group()
    fates.add_argument("--purge", action="store_true", help="delete what it has indexed")
    fates.add_argument("--hand-to", metavar="SOURCE", help="give what it has indexed to another source of its database")
    removing.set_defaults(command=remove)
    editing = actions.add_parser("edit", parents=[common], help="change the settings of a source made through the API")
    editing.add_argument("source", help=SOURCE_HELP)
    editing.add_argument(
        "settings", help='what to change, as JSON: \'{"include_globs": ["*.md"]}\'; "-" reads it from standard input'
    )
    editing.set_defaults(command=edit)
    add_controls(actions, common)
    adding = actions.add_parser("add", help="add a source").add_subparsers(required=True, metavar="TYPE")
    types: SourceTypes = common.get_default("types")
    for known in types:
        if known.add_command:
            add_type(adding, common, known.name, known.add_command)


def add_controls(actions: Commands, common: argparse.ArgumentParser) -> None:
    """Add `pause`, `resume` and `rename`."""
    for verb, words in (
        ("pause", "do nothing more of what is asked of a source; what is asked and what changes meanwhile is kept"),
        ("resume", "go on with a source that is paused"),
    ):
        parser = actions.add_parser(verb, parents=[common], help=words)
        parser.add_argument("source", help=SOURCE_HELP)
        parser.set_defaults(command=control, verb=verb)
    renaming = actions.add_parser("rename", parents=[common], help="give a source made through the API another name")
    renaming.add_argument("source", help=SOURCE_HELP)
    renaming.add_argument("name", help='unique in its database; "" for none')
    renaming.set_defaults(command=rename)


def add_type(adding: Commands, common: argparse.ArgumentParser, name: str, command: AddCommand) -> None:
    """Add `sources add NAME`, and the same under the shorter name, if it has one."""
    parsers = [adding.add_parser(name, parents=[common], help=command.help)]
    if command.alias:
        parsers.append(adding.add_parser(command.alias, parents=[common], help=f"the same as {name}"))
    for parser in parsers:
        command.add_arguments(parser)
        add_common(parser)
        parser.set_defaults(command=create, type=name, settings=command.settings)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what `sources add` takes of every type."""
    parser.add_argument("--watch", metavar="COLLECTION", help="keep this collection in sync from now on")
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--name", help="what to call the source, in place of its id")
    parser.add_argument("--model", help="embedding model (default: the daemon's)")
    parser.add_argument(
        "--dimensions", type=int, help="keep so many of each vector's leading dimensions in Chroma (matryoshka models)"
    )


async def create(args: argparse.Namespace) -> int:
    """Create a source and print its id, and on standard error why it has not run, if it should, and what to do next."""
    try:
        body = {"database_name": args.database, args.type: args.settings(args)}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"a file that an option names cannot be read ({told(error)}); correct its path") from error
    if args.dimensions and not args.model:
        raise ConfigError("--dimensions needs --model: say which model's vectors are shortened")
    if args.name is not None:
        body["name"] = args.name
    if args.model:
        short = {"dimensions": args.dimensions} if args.dimensions else {}
        body["embedding"] = {"dense": {"model": args.model, **short}}
    async with connected(args) as client:
        created = await client.post("/api/v1/sources", body)
        if args.json:
            print_json(created)
            return 0
        ident = created["source_id"]
        out.print(ident)
        if notice := created.get("notice"):
            remark(str(notice))
        if args.watch and (reason := await obstacle_of_first_run(client, ident)):
            remark(f"no run yet, it is tried again by itself: {reason}")
    called = args.name or ident
    print(f"next: syncd {f'watch {called}' if args.watch else f'sync {called} --collection NAME'}", file=sys.stderr)
    return 0


async def obstacle_of_first_run(client: Client, ident: str) -> str:
    """Wait for the first run of a new source and return why there is none; '' if there is, or nothing is known for a few seconds."""
    with anyio.move_on_after(FIRST_RUN_LIMIT_S):
        while not await client.get("/api/v1/invocations", source_id=ident, limit=1):
            found: JsonObject = await client.get(f"/api/v1/sources/{ident}")
            if reason := json_object(found.get("watch_state")).get("reason"):
                return str(reason)
            await anyio.sleep(POLL_S)
    return ""


async def list_sources(args: argparse.Namespace) -> int:
    """Print all sources."""
    async with connected(args) as client:
        found = await all_sources(client, args.database)
    if args.json:
        for source in found:
            print_json(source)
    else:
        rows = [row(args.types, source) for source in found]
        columns = ("id", "name", "type", "database", "where", "state")
        print_table(columns, rows, empty="no sources yet; add one with: syncd sources add TYPE …")
    return 0


async def show(args: argparse.Namespace) -> int:
    """Print how one source stands, with its latest run; as JSON all of its fields."""
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source)
        source: JsonObject = await client.get(f"/api/v1/sources/{ident}")
        latest = await client.get("/api/v1/invocations", source_id=ident, limit=1)
    if args.json:
        print_json(source)
    else:
        out.print("\n".join(source_lines(args.types, source, latest)))
    return 0


async def remove(args: argparse.Namespace) -> int:
    """Delete one source, do with its documents as told, and say what became of them."""
    async with connected(args) as client:
        removed = await source_id(client, args.types, args.source, may_be_gone=True)
        source = json_object(next((it for it in await all_sources(client) if it["id"] == removed), None))
        body: JsonObject = {"documents": "purge" if args.purge else "keep"}
        if args.hand_to:
            body = {"documents": "hand_over", "to": await source_id(client, args.types, args.hand_to)}
        await client.post(f"/api/v1/sources/{removed}/remove", body)
    if source.get("declared"):
        remark(f"{source['name']} is declared in the configuration file: take it out there, or it comes back")
    print_json({}) if args.json else out.print(f"removed: {fate_words(args)}")
    return 0


def fate_words(args: argparse.Namespace) -> str:
    """Return what becomes of the documents of a source that is removed."""
    if args.purge:
        return "what it has indexed is deleted in the background"
    if args.hand_to:
        return f"what it has indexed goes to {args.hand_to}"
    return "what it has indexed stays; give --purge to delete it, also now, by the source's id"


async def edit(args: argparse.Namespace) -> int:
    """Change the settings of one source; a run follows at once where the source keeps a collection in step."""
    text = sys.stdin.read() if args.settings == "-" else args.settings
    try:
        changes = json_object(json.loads(text))
    except ValueError as error:
        raise ConfigError(f"the settings are not a JSON object ({error}); quote them for the shell") from error
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source)
        name = type_of(args.types, await client.get(f"/api/v1/sources/{ident}"))
        print_json(await client.post(f"/api/v1/sources/{ident}/edit", {name: changes}))
    return 0


async def control(args: argparse.Namespace) -> int:
    """Pause a source, or resume it."""
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source)
        changed: JsonObject = await client.post(f"/api/v1/sources/{ident}/{args.verb}", None)
    if args.json:
        print_json(changed)
    elif args.verb == "pause":
        out.print(
            f"paused: what is asked of it is kept; go on with: syncd sources resume {changed.get('name') or ident}"
        )
    else:
        out.print("resumed")
    return 0


async def rename(args: argparse.Namespace) -> int:
    """Give a source another name, or none."""
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source)
        changed: JsonObject = await client.post(f"/api/v1/sources/{ident}/edit", {"name": args.name or None})
    print_json(changed) if args.json else out.print(f"called: {changed.get('name') or ident}")
    return 0


def row(types: SourceTypes, source: JsonObject) -> tuple[Json, ...]:
    """Return one source's row in the table."""
    place = settings_of(types, source).place
    kind = type_of(types, source)
    return source["id"], source.get("name"), kind, source["database_name"], place, standing(source)

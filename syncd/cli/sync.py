"""`syncd sync`: sync a source now and wait for the end."""

from __future__ import annotations

import argparse

from syncd.cli.answers import DocumentAnswer, InvocationMade
from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import follow, out, print_json, state_of, summary
from syncd.cli.references import SOURCE_HELP, settings_of, source_id, whole_source
from syncd.errors import PermanentError
from syncd.json_types import JsonObject


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("sync", parents=[common])
    add_target(parser)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--object-key", help="S3: sync this object")
    part.add_argument(
        "--backfill", action="store_true", help="S3: sync everything that is missing or changed; the default"
    )
    parser.add_argument("--no-wait", action="store_true", help="print the invocation's id and exit")
    parser.set_defaults(command=sync)


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the source, the collection and the commit."""
    parser.add_argument("source", help=SOURCE_HELP)
    parser.add_argument("--collection", help="target collection (default: the source's own)")
    ref = parser.add_mutually_exclusive_group()
    ref.add_argument("--branch", help="repositories: sync this branch's or tag's latest commit")
    ref.add_argument("--sha", help="repositories: sync this commit")


async def sync(args: argparse.Namespace) -> int:
    """Create an invocation and follow it to its end, unless told not to wait."""
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source)
        body = await request_body(client, ident, args)
        if args.object_key:
            body = {
                **{name: value for name, value in body.items() if name != "backfill"},
                "object_key": args.object_key,
            }
        return await ask(client, f"/api/v1/sources/{ident}/invocations", body, args)


async def ask(client: Client, path: str, body: JsonObject, args: argparse.Namespace) -> int:
    """Create an invocation and follow it to its end as `finish` does; with `--no-wait` print its id and return 0."""
    made: InvocationMade = await client.post(path, body)
    invocation_id = made["invocation_id"]
    if args.no_wait:
        print_json({"invocation_id": invocation_id}) if args.json else out.print(invocation_id)
        return 0
    return await finish(client, invocation_id, args.json)


async def finish(client: Client, invocation_id: str, as_json: bool) -> int:
    """Follow an invocation to its end, print its summary, and return 0 if it is complete, else 1."""
    invocation = await follow(client, invocation_id, quiet=as_json)
    if as_json:
        print_json(invocation)
    else:
        out.print(summary(invocation))
        await print_failures(client, invocation_id)
    return 0 if state_of(invocation) == "complete" else 1


async def print_failures(client: Client, invocation_id: str) -> None:
    """Print the first failed documents with their reasons."""
    failed: list[DocumentAnswer] = await client.get(
        f"/api/v1/invocations/{invocation_id}/documents", state="failed", limit=10
    )
    for document in failed:
        out.print(f"  failed: {document['key']}: {document['reason']}")


async def request_body(client: Client, ident: str, args: argparse.Namespace) -> JsonObject:
    """Return the body of the request that creates the invocation."""
    source = await client.get(f"/api/v1/sources/{ident}")
    collection = args.collection or settings_of(args.types, source).default_collection
    if not collection:
        raise PermanentError("say which collection to write with --collection")
    ref = {key: value for key, value in (("branch", args.branch), ("sha", args.sha)) if value}
    everything = whole_source(args.types, source)
    return {"target_collection_name": collection, **everything, **({"ref_identifier": ref} if ref else {})}

"""`syncd sync`: run a source now and wait for the end."""

from __future__ import annotations

import argparse

from syncd.cli.answers import DocumentAnswer, InvocationMade
from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import follow, out, print_json, state_of, summary
from syncd.cli.sources import settings_of, source_id
from syncd.errors import PermanentError
from syncd.json_types import JsonObject


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("sync", parents=[common], help="run a source now and wait for the end")
    add_target(parser)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--object-key", help="S3: sync this object")
    part.add_argument(
        "--backfill", action="store_true", help="S3: sync all that is missing or changed, as without an object"
    )
    parser.add_argument("--no-wait", action="store_true", help="print the invocation's id and exit")
    parser.set_defaults(command=sync)


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add what says what is synced into what."""
    parser.add_argument("source", help="its name or id")
    parser.add_argument(
        "--collection", help="target collection; by default the one the source watches or was declared with"
    )
    ref = parser.add_mutually_exclusive_group()
    ref.add_argument("--branch", help="GitHub: sync this branch's latest commit")
    ref.add_argument("--sha", help="GitHub: sync this commit")


async def sync(args: argparse.Namespace) -> int:
    """Create an invocation and, unless told not to, follow it."""
    async with connected(args) as client:
        ident = await source_id(client, args.source)
        one = {"object_key": args.object_key} if args.object_key else {}
        body = {**await request_body(client, ident, args), **one}
        made: InvocationMade = await client.post(f"/api/v1/sources/{ident}/invocations", body)
        invocation_id = made["invocation_id"]
        if args.no_wait:
            print_json({"invocation_id": invocation_id}) if args.json else out.print(invocation_id)
            return 0
        return await finish(client, invocation_id, args.json)


async def finish(client: Client, invocation_id: str, as_json: bool) -> int:
    """Follow an invocation to its end, print what it did, and return 0 if it is complete."""
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
    """Return the invocation to create."""
    source = await client.get(f"/api/v1/sources/{ident}")
    collection = args.collection or settings_of(args.types, source).default_collection
    if not collection:
        raise PermanentError("say which collection to write with --collection")
    ref = {key: value for key, value in (("branch", args.branch), ("sha", args.sha)) if value}
    return {"target_collection_name": collection, **({"ref_identifier": ref} if ref else {})}

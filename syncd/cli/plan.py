"""`syncd plan`: what a run would do, without doing it."""

from __future__ import annotations

import argparse

from syncd.cli.answers import DocumentAnswer, InvocationAnswer, InvocationMade
from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import follow, out, print_json, reason, state_of
from syncd.cli.references import source_id
from syncd.cli.sync import add_target, request_body
from syncd.cli.words import duration_words, some

CHANGE_MARKS = {"new": "+", "changed": "~"}


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("plan", parents=[common])
    add_target(parser)
    parser.add_argument("--list", action="store_true", help="list every document")
    parser.set_defaults(command=plan)


async def plan(args: argparse.Namespace) -> int:
    """Do a dry run and print what it found."""
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source)
        body = {**await request_body(client, ident, args), "dry_run": True}
        made: InvocationMade = await client.post(f"/api/v1/sources/{ident}/invocations", body)
        found = await follow(client, made["invocation_id"], quiet=args.json)
        if args.json:
            print_json(found)
        elif state_of(found) == "complete":
            await print_plan(client, found, args.list)
        else:
            out.print(f"{state_of(found)}{reason(found)}")
    return 0 if state_of(found) == "complete" else 1


async def print_plan(client: Client, found: InvocationAnswer, with_names: bool) -> None:
    """Print the totals, after the documents that would change if `with_names`."""
    new = 0
    async for document in client.every(f"/api/v1/invocations/{found['id']}/documents"):
        new += document["reason"] == "new"
        if with_names:
            out.print(line(document))
    out.print(sums(found, new))


def line(document: DocumentAnswer) -> str:
    """Return one document's line: + new, ~ changed, - deleted, ! skipped or failed (with the reason)."""
    if document["state"] == "indexed":
        return f"{CHANGE_MARKS[document['reason']]} {document['key']}  ({some(document['chunks'], 'chunk')})"
    return f"- {document['key']}" if document["state"] == "deleted" else f"! {document['key']}: {document['reason']}"


def sums(found: InvocationAnswer, new: int) -> str:
    """Return the plan's totals as one paragraph."""
    counts = found["counts"]
    documents = (
        f"{new} to add, {counts['indexed'] - new} to change, {counts['deleted']} to delete, "
        f"{counts['unchanged']} unchanged, {counts['skipped'] + counts['failed']} skipped or failed"
    )
    held = f"\n{some(counts['held_deletes'], 'delete')} would be held until confirmed" if counts["held_deletes"] else ""
    chunks = (
        f"{some(counts['chunks_written'], 'chunk')} to write, {counts['chunks_deleted']} to delete, "
        f"{counts['chunks_embedded']} to embed: about {counts['tokens']:,} tokens"
    )
    return f"{documents}{held}\n{chunks}{expected_duration(found)}"


def expected_duration(found: InvocationAnswer) -> str:
    """Return the expected duration at the speed of this machine's latest runs, or how to measure it."""
    if not found["counts"]["tokens"]:
        return ""
    if found["eta_s"] is None or found["tokens_per_s"] is None:
        return "; how long that takes, `syncd model bench` tells"
    return f", about {duration_words(found['eta_s'])} at the {found['tokens_per_s']:,.0f} tokens/s of the latest runs"

"""`syncd verify`: compare the source, the store and the collection, and repair what differs."""

from __future__ import annotations

import argparse

from syncd.cli.answers import DriftAnswer, InvocationAnswer, InvocationMade
from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import follow, out, print_json, state_of, summary
from syncd.cli.plan import print_plan
from syncd.cli.sources import all_sources, settings_of, type_of, whole_source

DIFFERENCES = ("missing", "different", "extra")
FOUND = (*DIFFERENCES, "damaged")
CHANGES = ("indexed", "deleted", "failed", "held_deletes")


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("verify", parents=[common])
    parser.add_argument("collection")
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--repair", action="store_true", help="repair what differs, and only that")
    parser.add_argument("--no-sources", action="store_true", help="compare only the collection and the store")
    parser.set_defaults(command=verify)


async def verify(args: argparse.Namespace) -> int:
    """Print the differences; exit status 0 if none are left, else 1."""
    body = {"database_name": args.database, "collection_name": args.collection, "repair": args.repair}
    async with connected(args) as client:
        drift: DriftAnswer = await client.post("/api/v1/verify", body, timeout_s=None)
        if not args.json:
            out.print(words(args.collection, drift))
        runs = [] if args.no_sources else await compare_sources(client, args)
    if args.json:
        print_json({"collection": drift, "invocations": runs})
    differs = drift["unreadable"] or any(map(drift.__getitem__, FOUND))
    left = drift["held_deletes"] or drift["orphans"] or (differs and not args.repair)
    return 1 if left or any(is_behind(run, args.repair) for run in runs) else 0


def words(collection: str, drift: DriftAnswer) -> str:
    """Return a line on how the collection differs from the store, and one for each run that holds deletes, each source that is gone."""
    found = ", ".join(f"{drift[name]} {name}" for name in DIFFERENCES)
    mended = " (repaired)" if drift["repaired"] and any(drift[name] for name in DIFFERENCES) else ""
    held = [
        f"\n{documents} deletes held, confirm with: syncd confirm-deletes {invocation_id}"
        for invocation_id, documents in drift["held_deletes"].items()
    ]
    orphans = [
        f"\n{left['documents']} documents are of source {left['name'] or left['source_id']}, which is gone: add it again, or run: "
        f"syncd sources remove {left['source_id']} --purge"
        for left in drift["orphans"]
    ]
    if drift["unreadable"]:
        done = "it was rebuilt" if drift["repaired"] else "it is being rebuilt"
        found = f"nothing can be compared ({drift['unreadable']}): {done} from the store"
    damaged = f"\n{drift['damaged']} chunks are damaged in the store{mended_by(drift)}" if drift["damaged"] else ""
    return f"{collection}: {drift['chunks']} chunks; in Chroma {found}{mended}{damaged}{''.join([*held, *orphans])}"


def mended_by(drift: DriftAnswer) -> str:
    """Return what became of damaged chunks, or is to be done."""
    return (
        ": their sources are asked for them again"
        if drift["repaired"]
        else "; --repair asks their sources for them again"
    )


async def compare_sources(client: Client, args: argparse.Namespace) -> list[InvocationAnswer]:
    """Run every source that keeps the collection in sync (a dry run unless repairing); return the runs."""
    runs: list[InvocationAnswer] = []
    keeping = [
        source
        for source in await all_sources(client, args.database)
        if settings_of(args.types, source).kept_collection == args.collection
    ]
    if not keeping and not args.json:
        out.print("no source keeps it in sync, so none was compared")
    body = {"target_collection_name": args.collection, "dry_run": not args.repair}
    for source in keeping:
        name = source.get("name") or source["id"]
        if args.types.facts_of(type_of(args.types, source)).no_dry_run and not args.repair:
            if not args.json:
                out.print(f"source {name} does not support dry runs; to compare it, run: syncd sync {name}")
            continue
        path = f"/api/v1/sources/{source['id']}/invocations"
        made: InvocationMade = await client.post(path, {**body, **whole_source(args.types, source)})
        run = await follow(client, made["invocation_id"], quiet=args.json)
        runs.append(run)
        if not args.json:
            out.print(f"source {name}:")
            await print_run(client, run)
    return runs


async def print_run(client: Client, run: InvocationAnswer) -> None:
    """Print a dry run's plan, or a real run's summary."""
    if run["dry_run"] and state_of(run) == "complete":
        await print_plan(client, run, with_names=True)
    else:
        out.print(summary(run))


def is_behind(run: InvocationAnswer, repaired: bool) -> bool:
    """Return whether a source and the collection still differ after the run."""
    left = ("failed", "held_deletes") if repaired else CHANGES
    return state_of(run) != "complete" or any(run["counts"][name] for name in left)

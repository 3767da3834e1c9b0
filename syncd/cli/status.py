"""`syncd status`: the daemon and its latest invocations, one invocation with its documents, or documents with warnings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from syncd.cli.answers import CollectionAnswer, DocumentAnswer, InvocationAnswer, StatusAnswer, WarnedAnswer
from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import age, moving, out, print_json, print_table, state_of, summary, waits_for
from syncd.cli.references import INVOCATION_HELP, SOURCE_HELP, all_sources, invocation_id, name_or_place, source_id
from syncd.cli.shadow import shadow_line
from syncd.cli.webhooks import webhook_problem
from syncd.cli.words import cut_short, some

BLOATED = 2.0
STORE_NAMES = {"chroma": "Chroma", "qdrant": "Qdrant"}
"""From here on the status mentions how much space a collection needs."""


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("status", parents=[common])
    parser.add_argument("invocation", nargs="?", help=f"{INVOCATION_HELP} (default: show the daemon)")
    parser.add_argument(
        "--state", choices=("indexed", "deleted", "skipped", "failed"), help="only documents in this state"
    )
    parser.add_argument(
        "--warnings", action="store_true", help="list documents of which something was guessed or left out"
    )
    parser.add_argument("--source", help=f"only runs, or warnings, of this source ({SOURCE_HELP})")
    parser.set_defaults(command=status)


async def status(args: argparse.Namespace) -> int:
    """Print the daemon's state and its latest invocations, one invocation, or documents with warnings."""
    async with connected(args) as client:
        ident = await source_id(client, args.types, args.source) if args.source else None
        if args.warnings:
            return await warnings(client, args.json, ident)
        if args.invocation:
            return await one(client, args)
        daemon: StatusAnswer = await client.get("/api/v1/status")
        latest: list[InvocationAnswer] = await client.get("/api/v1/invocations", limit=10, source_id=ident)
        sources = await all_sources(client)
    if args.json:
        print_json({"daemon": daemon, "invocations": latest})
        return 0
    names = {str(it["id"]): name_or_place(args.types, it) for it in sources}
    print_daemon(daemon, names)
    for source in sources:
        if source.get("paused_at"):
            out.print(f"source {names[str(source['id'])]}: paused since {source['paused_at']}")
    rows = [
        (it["id"], state_words(it), names.get(it["source_id"], "removed"), it["metadata"]["collection_name"], age(it))
        for it in latest
    ]
    print_table(
        ("invocation", "state", "source", "collection", "age"), rows, empty="no runs yet; see: syncd sources list"
    )
    for invocation in latest:
        for words in filter(None, (why_failed(invocation), moving(invocation), waits_for(invocation))):
            out.print(f"{invocation['id']}: {words}")
    return 0


def print_daemon(daemon: StatusAnswer, names: Mapping[str, str]) -> None:
    """Print how the daemon, its queues, sources and collections are; `names` are those of sources, by id."""
    chroma = daemon["chroma"]
    where = f" at {chroma['host']}:{chroma['port']}" if "host" in chroma and "port" in chroma else ""
    out.print(f"syncd {daemon['version']}; {STORE_NAMES[chroma['kind']]}{where}: {chroma['away'] or 'available'}")
    out.print(f"models: {', '.join(daemon['models']) or 'none in use yet'}")
    for name, places in daemon.get("models_elsewhere", {}).items():
        out.print(f"{name} is computed by: {'; '.join(places)}")
    if places := daemon.get("preparers_elsewhere"):
        out.print(f"documents are prepared by: {'; '.join(places)}")
    for name, obstacle in daemon["models_waiting"].items():
        out.print(f"{name} is waited for: {obstacle}")
    for problem in daemon["problems"]:
        out.print(f"not well: {problem}")
    for shortfall in daemon.get("degraded", ()):
        out.print(f"degraded: {shortfall}")
    for queue in daemon.get("queues", ()):
        if queue["problem"]:
            out.print(f"queue {queue['queue_url']} cannot be read: {queue['problem']}")
    for source in daemon.get("source_problems", ()):
        out.print(f"source {names.get(source['source_id'], source['source_id'])}: {source['problem']}")
    for webhook in daemon.get("webhooks", ()):
        if problem := webhook_problem(webhook):
            out.print(f"webhook {webhook['name']}: {problem}; {webhook['waiting']} notifications wait")
    for collection in daemon.get("collections", ()):
        print_collection(collection)
    for shadow in daemon.get("shadows", ()):
        out.print(shadow_line(shadow))
    for lag in daemon.get("lags", ()):
        figures = f"p50 {lag['p50_s']:.1f} s, p95 {lag['p95_s']:.1f} s, p99 {lag['p99_s']:.1f} s"
        name = names.get(lag["source_id"], lag["source_id"])
        out.print(f"{name}: from change to searchable {figures}, over the last {some(lag['documents'], 'document')}")


def print_collection(collection: CollectionAnswer) -> None:
    """Print what is not as it should be with a collection."""
    if collection["filled"] is not None:
        out.print(
            f"collection {collection['collection_name']} is being filled from the store: {collection['filled']:.0%}"
        )
    if collection["bloat"] >= BLOATED:
        space = f"{collection['bloat']:.1f} times the space of its rows"
        out.print(f"collection {collection['collection_name']} needs {space}: syncd rebuild frees it")


def state_words(invocation: InvocationAnswer) -> str:
    """Return an invocation's state, with what needs somebody's attention: held deletes, failures, incompleteness."""
    held, failed = (invocation["counts"]["held_deletes"], invocation["counts"]["failed"])
    more = [f"{some(held, 'delete')} held"] * bool(held) + [f"{failed} failed"] * bool(failed)
    incomplete = [f"incomplete: {reason}"] if (reason := invocation.get("incomplete")) else []
    return ", ".join([state_of(invocation), *more, *incomplete])


def why_failed(invocation: InvocationAnswer) -> str:
    """Return why an invocation failed, cut to a line or two; `syncd status` of it has the whole. '' if it did not."""
    status = invocation["status"]
    return (
        "" if isinstance(status, str) or "failed" not in status else f"failed: {cut_short(status['failed']['error'])}"
    )


async def warnings(client: Client, as_json: bool, ident: str | None) -> int:
    """Print the documents with warnings, of one source if there is an id."""
    found: list[WarnedAnswer] = [it async for it in client.every("/api/v1/documents/warnings", source_id=ident)]
    if as_json:
        for document in found:
            print_json(document)
        return 0
    rows = [
        (each["collection_name"], each["key"], warning["code"], warning["count"], warning["message"])
        for each in found
        for warning in each["warnings"]
    ]
    print_table(("collection", "document", "warning", "count", "first"), rows, empty="no document has warnings")
    return 0


async def one(client: Client, args: argparse.Namespace) -> int:
    """Print one invocation and its documents."""
    path = f"/api/v1/invocations/{await invocation_id(client, args.types, args.invocation)}"
    invocation: InvocationAnswer = await client.get(path)
    documents: list[DocumentAnswer] = [it async for it in client.every(f"{path}/documents", state=args.state)]
    if args.json:
        print_json({"invocation": invocation, "documents": documents})
        return 0
    out.print(summary(invocation))
    for words in filter(None, (moving(invocation), waits_for(invocation))):
        out.print(words)
    rows = [(d["state"], d["chunks"], d["key"], d["reason"] + tried_again(d)) for d in documents]
    print_table(("state", "chunks", "document", "reason"), rows, empty="no documents yet, or none changed")
    return 0


def tried_again(document: DocumentAnswer) -> str:
    """Return how often a document was tried and when it is tried again, '' where it is not."""
    tries, next_try_at = document.get("attempts"), document.get("next_try_at")
    return f" (attempt {tries}, the next {next_try_at or 'now'})" if tries else ""

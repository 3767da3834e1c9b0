"""`syncd quickstart`: the main job on a sample of this very checkout, with nothing configured."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import anyio
from anyio.abc import Process
from rich.markup import escape

from syncd.cli.answers import InvocationAnswer
from syncd.cli.client import ApiError, Client, open_client
from syncd.cli.commands import Commands
from syncd.cli.output import OVER, out, state_of, summary, time_left, until_over
from syncd.cli.questions import questions_about
from syncd.cli.sample import Sample, sample
from syncd.cli.search import print_hit
from syncd.cli.search_answers import HitAnswer, SearchAnswer
from syncd.cli.words import some
from syncd.errors import ConfigError, SyncdError
from syncd.runtime.state import DAEMON_FILE, LOG_FILE, SOCKET_FILE, TOKEN_FILE

COLLECTION = "quickstart"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
HITS = 3
START_LIMIT_S = 180.0
WORDS_PAUSE_S = 1.0
WORDS_LIMIT_S = 8.0
"""The first hits are shown when they stay as they are for a pause, and after this time as soon as there are enough."""
NARRATION_S = 10.0
"""How often a line tells of the progress where no bar can be drawn."""


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("quickstart")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="what to sync, whole; a sample of this folder when left out"
    )
    parser.add_argument("--state", type=Path, default=Path("state"), help="where to keep everything (default: ./state)")
    parser.add_argument("--keep", action="store_true", help="leave the daemon running until Ctrl-C, for the next steps")
    parser.set_defaults(command=quickstart)


async def quickstart(args: argparse.Namespace) -> int:
    """Start a daemon, sync, search three times, explain; everything lies in the state folder."""
    state, folder = args.state.absolute(), (args.folder or Path()).absolute()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name one, or none for a sample of the one that you are in")
    taken = sample(folder) if args.folder is None else None
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = state / "syncd.toml"
    config.write_text(configuration(state, folder, taken))
    (state / DAEMON_FILE).unlink(missing_ok=True)
    out.print(f"Everything this makes is in {state}; the daemon logs to {state / LOG_FILE}")
    if taken is not None:
        out.print(
            f"Taking a sample of {folder}: {some(taken.files, 'file')}, {taken.size_bytes // 1000} kB, documentation first, no tests. "
            "`syncd quickstart FOLDER` takes a folder whole."
        )
    out.print(
        "Starting the daemon, its Chroma server and the model (a few seconds; the first time the model is converted)"
    )
    since = datetime.now(UTC)
    with (state / LOG_FILE).open("ab") as log:
        daemon = await anyio.open_process(
            [sys.executable, "-m", "syncd", "run", "--config", str(config)], stdout=log, stderr=log, stdin=None
        )
        try:
            await ready(daemon, state)
            async with open_client(state) as client:
                status = await show(client, since, questions_about(folder))
            explain(state, config)
            if args.keep:
                out.print("The daemon runs until you press Ctrl-C.")
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                with suppress(ProcessLookupError):
                    daemon.terminate()
                await daemon.wait()
    return status


def configuration(state: Path, folder: Path, taken: Sample | None = None) -> str:
    """Return the configuration: one watched folder or a sample of it, a small model that came with the installation."""
    include = f"include_globs = {_toml(taken.globs)}\n" if taken is not None else ""
    return f"""# Made by `syncd quickstart`; `syncd config template` prints every key.
state_dir = {_toml(str(state))}

[api]
port = 0

[embedding]
default_model = "{MODEL}"

[[sources]]
name = "quickstart"
type = "folder"
path = {_toml(str(folder))}
collection = "{COLLECTION}"
{include}exclude_globs = ["/state/", ".venv/"]
"""


def _toml(value: str | Sequence[str]) -> str:
    """Return a string or an array of strings as TOML, of which JSON's are a part."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


async def ready(daemon: Process, state: Path) -> None:
    """Wait until the daemon has written its address. Raises SyncdError if it exits instead."""
    announcement = state / DAEMON_FILE
    with anyio.move_on_after(START_LIMIT_S), out.status("starting the daemon and its Chroma server"):
        while daemon.returncode is None:
            if announcement.exists():
                return
            await anyio.sleep(0.1)
    raise SyncdError(f"the daemon did not start; see {state / LOG_FILE}")


async def show(client: Client, since: datetime, queries: Sequence[str]) -> int:
    """Search by words while the sync goes on, and by meaning too when it is over."""
    invocation = await accompanied(client, await first_invocation(client, since), queries)
    out.print(summary(invocation))
    if state_of(invocation) != "complete":
        return 1
    print_searches(queries, await searches(client, queries, "hybrid"), "by meaning and by words")
    return 0


async def accompanied(client: Client, invocation_id: str, queries: Sequence[str]) -> InvocationAnswer:
    """Follow an invocation to its end, with the first hits as soon as there are any, and return it."""
    over: list[InvocationAnswer] = []
    try:
        async with anyio.create_task_group() as meanwhile:
            if queries:
                meanwhile.start_soon(first_hits, client, queries)
            if not out.is_terminal:
                meanwhile.start_soon(narrate, client, invocation_id)
            over.append(await until_over(client, invocation_id))
            meanwhile.cancel_scope.cancel()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return over[0]


async def first_hits(client: Client, queries: Sequence[str]) -> None:
    """Show what the searches find by words once each has its hits: words are found before a text is embedded."""
    before: list[list[str]] | None = None
    late_at = anyio.current_time() + WORDS_LIMIT_S
    while True:
        found = await searches(client, queries, "sparse")
        ids = [[hit["id"] for hit in hits] for hits in found]
        if min(map(len, ids)) == HITS and (ids == before or anyio.current_time() > late_at):
            break
        before = ids
        await anyio.sleep(WORDS_PAUSE_S)
    print_searches(queries, found, "by words alone, while the model reads on", "--mode sparse ")


async def searches(client: Client, queries: Sequence[str], mode: str) -> list[Sequence[HitAnswer]]:
    """Return the hits of each query; none while there is no collection yet."""
    found: list[Sequence[HitAnswer]] = []
    for query in queries:
        body = {
            "query": query,
            "database_name": "default_database",
            "collection_name": COLLECTION,
            "limit": HITS,
            "mode": mode,
        }
        try:
            answer: SearchAnswer = await client.post("/api/v1/search", body)
            found.append(answer["hits"])
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            found.append(())
    return found


def print_searches(queries: Sequence[str], found: Sequence[Sequence[HitAnswer]], how: str, option: str = "") -> None:
    """Print the queries with their hits."""
    out.print(f"\nSearches {how}:")
    for query, hits in zip(queries, found, strict=True):
        out.print(f"\n[bold]syncd search[/] {option}{escape(repr(query))}", markup=True)
        for hit in hits:
            print_hit(hit)


async def narrate(client: Client, invocation_id: str) -> None:
    """Print a line now and then on how far a run is, for pipes and log files."""
    while True:
        await anyio.sleep(NARRATION_S)
        invocation = await client.get(f"/api/v1/invocations/{invocation_id}")
        if state_of(invocation) not in OVER:
            counts: Mapping[str, int] = invocation.get("counts") or {}
            left = time_left(invocation) or "reading the files"
            out.print(
                f"syncing: {some(counts.get('indexed', 0), 'document')}, {some(counts.get('chunks_written', 0), 'chunk')}; {left}"
            )


async def first_invocation(client: Client, since: datetime) -> str:
    """Wait for the first invocation newer than `since` and return its id."""
    while True:
        for invocation in await client.get("/api/v1/invocations", limit=1):
            if datetime.fromisoformat(invocation["created_at"]) >= since:
                return invocation["id"]
        await anyio.sleep(0.2)


def explain(state: Path, config: Path) -> None:
    """Print the next steps."""
    syncd = f"{os.path.relpath(sys.executable).removesuffix('python').removesuffix('python3')}syncd"
    name = os.path.relpath(config)
    out.print(
        f"""
[bold]Next steps[/]
  run it        {syncd} run --config {name}          (then, in another terminal)
  search        {syncd} search "your question" --collection {COLLECTION} --config {name}
  a repository  {syncd} sources add github chroma-core/chroma --watch chroma-code --config {name}
  an upload     curl -H "x-chroma-token: $(cat {os.path.relpath(state / TOKEN_FILE)})" -H "x-upload-content-length: $(stat -c %s FILE)" \\
                  -F database_name=default_database -F collection_name=uploads -F file=@FILE \\
                  --unix-socket {os.path.relpath(state / SOCKET_FILE)} http://syncd/api/v1/add-file
  from Python   import chromadb
                token = open("{os.path.relpath(state / TOKEN_FILE)}").read().strip()
                client = chromadb.HttpClient(port=PORT, headers={{"X-Chroma-Token": token}})
                # PORT is "port" of "chroma" in {os.path.relpath(state / DAEMON_FILE)}
                client.get_collection("{COLLECTION}").query(query_texts=["your question"])
""",
        markup=True,
    )

"""`syncd quickstart`: sync and search this checkout, without any configuration."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from rich.markup import escape

from syncd.cli.client import Client, open_client
from syncd.cli.output import follow, out, state_of, summary
from syncd.cli.search import print_hit
from syncd.errors import SyncdError
from syncd.runtime.state import DAEMON_FILE, SOCKET_FILE, TOKEN_FILE

COLLECTION = "quickstart"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
QUERIES = (
    "where is a message acknowledged only after the work is done?",
    "how are chunk numbers kept when text is inserted?",
    "what happens when Chroma is not reachable?",
)
START_LIMIT_S = 180.0


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("quickstart", help="sync a folder, search it, and show the next steps")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), help="the folder to sync (default: the current one)"
    )
    parser.add_argument("--state", type=Path, default=Path("state"), help="where to keep all state (default: ./state)")
    parser.add_argument("--keep", action="store_true", help="keep the daemon running until Ctrl-C")
    parser.set_defaults(command=quickstart)


async def quickstart(args: argparse.Namespace) -> int:
    """Start a daemon, sync, search three times and print the next steps; all files are in the state folder."""
    state, folder = args.state.absolute(), args.folder.absolute()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = state / "syncd.toml"
    config.write_text(configuration(state, folder))
    (state / DAEMON_FILE).unlink(missing_ok=True)
    out.print(f"Everything is stored in {state}; the daemon logs to {state / 'daemon.log'}")
    since = datetime.now(UTC)
    with (state / "daemon.log").open("ab") as log:
        daemon = await anyio.open_process(
            [sys.executable, "-m", "syncd", "run", "--config", str(config)], stdout=log, stderr=log, stdin=None
        )
        try:
            await ready(daemon, state)
            async with open_client(state) as client:
                status = await show(client, since)
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


def configuration(state: Path, folder: Path) -> str:
    """Return the configuration: one watched folder, and a small model that was installed with syncd."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    own = str(state).replace("\\", "\\\\").replace('"', '\\"')
    return f"""# Made by `syncd quickstart`; see config/syncd.toml for every key.
state_dir = "{own}"

[api]
port = 0

[embedding]
default_model = "{MODEL}"

[[sources]]
name = "quickstart"
type = "folder"
path = "{quoted}"
collection = "{COLLECTION}"
exclude_globs = ["/state/", ".venv/"]
"""


async def ready(daemon: Process, state: Path) -> None:
    """Wait until the daemon has written its address. Raises SyncdError if it exits instead."""
    announcement = state / DAEMON_FILE
    with anyio.move_on_after(START_LIMIT_S), out.status("starting the daemon and its Chroma server"):
        while daemon.returncode is None:
            if announcement.exists():
                return
            await anyio.sleep(0.1)
    raise SyncdError(f"the daemon did not start; see {state / 'daemon.log'}")


async def show(client: Client, since: datetime) -> int:
    """Wait for the sync, then run the example searches; return the exit status."""
    invocation = await follow(client, await first_invocation(client, since))
    out.print(summary(invocation))
    if state_of(invocation) != "complete":
        return 1
    for query in QUERIES:
        out.print(f"\n[bold]syncd search[/] {escape(repr(query))}", markup=True)
        body = {"query": query, "database_name": "default_database", "collection_name": COLLECTION, "limit": 3}
        for hit in (await client.post("/api/v1/search", body))["hits"]:
            print_hit(hit)
    return 0


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
                client = chromadb.HttpClient(port=PORT)    # "port" of "chroma" in {os.path.relpath(state / DAEMON_FILE)}
                client.get_collection("{COLLECTION}").query(query_texts=["your question"])
""",
        markup=True,
    )

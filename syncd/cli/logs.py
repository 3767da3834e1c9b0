"""`syncd logs`: what the daemon logged, from the service's journal or the log file in its state folder."""

from __future__ import annotations

import argparse
import re
import subprocess
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from syncd.cli.answers import InvocationAnswer
from syncd.cli.client import UnreachableError, connected, daemons_state
from syncd.cli.commands import Commands
from syncd.cli.references import SOURCE_HELP, all_sources, name_or_place, source_id
from syncd.cli.service import BOOTED, UNIT
from syncd.config import load_config
from syncd.errors import NotFoundError
from syncd.runtime.state import LOG_FILE

FOUND_IN = 100
"""Of a source's lines those are looked for among so many times as many lines of all."""
RUNS = 100
"""Lines of its latest runs are a source's too."""
LONGEST_LINE_BYTES = 1 << 20


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("logs", parents=[common])
    parser.add_argument("--follow", "-f", action="store_true", help="go on as more is logged, until Ctrl-C")
    parser.add_argument("--lines", "-n", type=int, default=100, help="how many of the latest (default: 100)")
    parser.add_argument("--source", help=f"only what names this source or a run of it ({SOURCE_HELP})")
    parser.set_defaults(command=logs)


async def logs(args: argparse.Namespace) -> int:
    """Print the latest lines, as they were logged: one event each, as text or JSON. Raises NotFoundError where none are kept."""
    state = daemons_state(args, load_config(args.config, types=args.types))
    named = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in await names_of(args)))
    latest: deque[str] = deque(maxlen=max(args.lines, 0))
    async for line in lines_of(reader(state, args.lines * (FOUND_IN if args.source else 1), follow=args.follow)):
        if not named.search(line):
            continue
        if args.follow:
            print(line, flush=True)
        else:
            latest.append(line)
    for line in latest:
        print(line)
    return 0


async def names_of(args: argparse.Namespace) -> Sequence[str]:
    """Return what the wanted lines name, one of it: a source and its latest runs, as far as the daemon can be asked; nothing, for all lines.

    Raises NotFoundError.
    """
    if not args.source:
        return []
    with suppress(UnreachableError):
        async with connected(args) as client:
            ident = await source_id(client, args.types, args.source, may_be_gone=True)
            runs: list[InvocationAnswer] = await client.get("/api/v1/invocations", source_id=ident, limit=RUNS)
            names = [name_or_place(args.types, it) for it in await all_sources(client) if it["id"] == ident]
            return [ident, *names, *(run["id"] for run in runs)]
    return [args.source]


def reader(state: Path, lines: int, *, follow: bool) -> Sequence[str]:
    """Return the command that reads the log. Raises NotFoundError."""
    file = state / LOG_FILE
    if file.exists():
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), "--", str(file)]
    if BOOTED.exists() and Path("/", UNIT).exists():
        return [
            "journalctl",
            "--quiet",
            "--no-pager",
            "-u",
            "syncd",
            "-o",
            "cat",
            "-n",
            str(lines),
            *(["-f"] if follow else []),
        ]
    raise NotFoundError(
        f"no log is kept: the daemon logs to where it was started (a container's: docker logs); `syncd run 2>> {file}` keeps it "
        "where this command finds it, and so does `syncd service install`"
    )


async def lines_of(command: Sequence[str]) -> AsyncGenerator[str]:
    """Yield the lines that a command prints, until it ends. What it complains of goes to our own stderr."""
    async with await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=None) as process:
        assert process.stdout is not None
        stream = BufferedByteReceiveStream(process.stdout)
        try:
            while True:
                yield (await stream.receive_until(b"\n", LONGEST_LINE_BYTES)).decode(errors="replace")
        except (anyio.EndOfStream, anyio.IncompleteRead):
            return

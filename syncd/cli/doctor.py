"""`syncd doctor`: say of everything that a daemon needs, and of a running one's parts, that it is in order or what to do next; with
--recover, save what can be read of a damaged database.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio

from syncd.cli.client import connected, daemons_state, listens
from syncd.cli.commands import Commands
from syncd.cli.daemon_diagnoses import database, running_diagnoses, silent_diagnoses
from syncd.cli.diagnoses import Diagnosis, machine_diagnoses
from syncd.cli.output import out, print_json
from syncd.cli.words import some
from syncd.config import load_config
from syncd.model import Origin, Target
from syncd.runtime import durable
from syncd.runtime.state import DATABASE_FILE, state_folder
from syncd.sources.type import SourceTypes
from syncd.store.database import Database
from syncd.store.invocations import Invocations
from syncd.store.salvage import Salvaged, damage_of, salvage, take_place
from syncd.store.sources import Sources


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("doctor", parents=[common])
    parser.add_argument(
        "--recover",
        action="store_true",
        help="of a damaged database, save what can be read into a new one; the rest is synced again",
    )
    parser.set_defaults(command=doctor)


async def doctor(args: argparse.Namespace) -> int:
    """Print every diagnosis, one line each; exit status 1 if one is a problem. Nothing is changed, but with --recover.

    Raises ConfigError where the configuration cannot be read.
    """
    config = load_config(args.config, types=args.types)
    if args.recover:
        return await repair(args, config.state_folder)
    state = daemons_state(args, config)
    found = await machine_diagnoses(config, args.types, state)
    if args.url or listens(state):
        async with connected(args) as client:
            found += await running_diagnoses(client)
    else:
        found += await silent_diagnoses(config, state)
    return print_diagnoses(args.json, found)


def print_diagnoses(as_json: bool, found: Sequence[Diagnosis]) -> int:
    """Print the diagnoses and return the exit status."""
    for each in found:
        if as_json:
            print_json(asdict(each))
        else:
            out.print(
                f"PROBLEM  {each.about}: {each.problem}" if each.problem else f"ok       {each.about}: {each.said}"
            )
    return 1 if any(each.problem for each in found) else 0


async def repair(args: argparse.Namespace, folder: Path) -> int:
    """Put a new database in a damaged one's place and print what was saved. The daemon must not run: raises ConfigError."""
    with state_folder(folder) as state:
        path = state / DATABASE_FILE
        recovered, saved = state / f"{DATABASE_FILE}.recovered", None
        if not recovered.exists():
            if await anyio.to_thread.run_sync(damage_of, path) is None:
                return print_diagnoses(args.json, [await database(path)])
            saved = await recover(path, recovered, args.types)
        kept = take_place(path, recovered)
    if args.json:
        print_json({"kept": str(kept), "rows": saved and saved.rows, "damaged_tables": saved and saved.damaged})
        return 0
    for table, count in sorted(saved.rows.items()) if saved else ():
        out.print(
            f"{table}: {some(count, 'row')}{', not all that there were' if saved and table in saved.damaged else ''}"
        )
    out.print(
        f"recovered; the damaged file is {kept}. Start the daemon: it syncs what is missing and refills its collections."
    )
    return 0


async def recover(path: Path, recovered: Path, types: SourceTypes) -> Salvaged:
    """Make the database that takes the damaged one's place, with a run for every collection that a source keeps in step."""
    partly = path.with_name(f"{path.name}.partial")
    saved = await anyio.to_thread.run_sync(partial(salvage, path, partly, types.migrations))
    database = await Database.open(partly, types.migrations)
    try:
        sources, invocations = Sources(database, types), Invocations(database)
        for source in await sources.list(limit=1_000_000):
            if kept := source.settings.kept_collection:
                await invocations.create_or_join(source.id, Target(source.database, kept), Origin.SCHEDULE)
    finally:
        await database.close()
    durable.rename(partly, recovered)
    return saved

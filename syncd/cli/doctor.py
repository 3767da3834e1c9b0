"""`syncd doctor`: examine the state database of a daemon that does not run and this machine's jail, and save what can be read of a
damaged database.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import anyio

from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json
from syncd.config import load_config
from syncd.model import Origin, Target
from syncd.runtime import durable
from syncd.runtime.process import Child, python
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
        "--recover", action="store_true", help="save what can be read into a new one; the rest is synced again"
    )
    parser.set_defaults(command=doctor)


async def doctor(args: argparse.Namespace) -> int:
    """Print what is wrong with the database, what the jail of workers lacks here and, with --recover, what was saved; exit status 1
    if the database is left damaged.
    """
    lacks = await jail_gaps()
    with state_folder(load_config(args.config, types=args.types).state_folder) as state:
        path = state / DATABASE_FILE
        recovered, saved = state / f"{DATABASE_FILE}.recovered", None
        if not recovered.exists():
            damage = await anyio.to_thread.run_sync(damage_of, path)
            if damage is None or not args.recover:
                return report_damage(args.json, path, damage, lacks)
            saved = await recover(path, recovered, args.types)
        kept = take_place(path, recovered)
    if args.json:
        print_json({"kept": str(kept), "rows": saved and saved.rows, "damaged_tables": saved and saved.damaged})
        return 0
    for table, count in sorted(saved.rows.items()) if saved else ():
        out.print(f"{table}: {count} rows{', not all that there were' if saved and table in saved.damaged else ''}")
    out.print(
        f"recovered; the damaged file is {kept}. Start the daemon: it syncs what is missing and refills its collections."
    )
    return 0


async def jail_gaps() -> str:
    """Return what the jail of processes that touch untrusted bytes lacks on this machine, '' where it is whole."""
    child = await Child.spawn("jail", python("syncd.runtime.jail"))
    await child.wait()
    await child.end()
    return " ".join(filter(None, child.tail))


def report_damage(as_json: bool, path: Path, damage: str | None, lacks: str) -> int:
    """Print whether the database is damaged, and the jail whole; return the exit status."""
    if as_json:
        print_json({"path": str(path), "damage": damage, "jail_lacks": lacks})
    else:
        out.print(
            f"{path} is {'in good order' if damage is None else f'damaged: {damage}; run: syncd doctor --recover'}"
        )
        out.print(
            f"what parses documents and pages and computes models is {f'jailed, but {lacks}' if lacks else 'jailed'}"
        )
    return 0 if damage is None else 1


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

"""`syncd export` and `syncd import`: a state folder in one file, and a state folder of such a file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
from rich.progress import Progress

from syncd import __version__
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json
from syncd.config import load_config
from syncd.runtime.state import state_folder
from syncd.store.backup import Manifest, Moved, export_state
from syncd.store.restore import import_state


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the commands in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("export", parents=[common])
    parser.add_argument("file", type=Path, help="the file to write; it must not be there yet")
    parser.add_argument(
        "--with-secrets", action="store_true", help="include the credentials of sources, and the key to read them with"
    )
    parser.set_defaults(command=export_to_file)
    parser = commands.add_parser("import", parents=[common])
    parser.add_argument("file", type=Path, help="what `syncd export` wrote")
    parser.set_defaults(command=import_from_file)


async def export_to_file(args: argparse.Namespace) -> int:
    """Write the state folder into a file, whether a daemon runs on it or not."""
    state = load_config(args.config, types=args.types).state_folder
    with bars_of(args) as moved:
        work = partial(export_state, state, args.file, __version__, moved, with_secrets=args.with_secrets)
        manifest = await anyio.to_thread.run_sync(work)
    left_out = "credentials included: keep it secret" if manifest.with_secrets else "without credentials"
    say_done(args, manifest, f"exported to {args.file}, {left_out}. Keep the configuration file with it.")
    return 0


async def import_from_file(args: argparse.Namespace) -> int:
    """Make the state folder of a file, while no daemon runs on it."""
    with state_folder(load_config(args.config, types=args.types).state_folder) as state, bars_of(args) as moved:
        work = partial(import_state, args.file, state, args.types.migrations, moved)
        manifest = await anyio.to_thread.run_sync(work)
    missing = (
        "" if manifest.with_secrets else " Credentials were not exported: give them to the sources that need some."
    )
    say_done(
        args, manifest, f"imported into {state}. Start the daemon: it fills its collections from the store.{missing}"
    )
    return 0


def say_done(args: argparse.Namespace, manifest: Manifest, words: str) -> None:
    """Print what was done."""
    size_bytes = sum(file.size_bytes for file in manifest.files.values())
    if args.json:
        print_json({"created_at": manifest.created_at, "size_bytes": size_bytes, "with_secrets": manifest.with_secrets})
        return
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.created_at))
    out.print(f"{words} State of {made}, {size_bytes:,} bytes.")


@contextmanager
def bars_of(args: argparse.Namespace) -> Generator[Moved]:
    """Yield what shows the progress of the work, in a bar per step."""
    with Progress(console=out, disable=args.json) as bar:
        yield bars(bar)


def bars(bar: Progress) -> Callable[[str, int, int], None]:
    """Return what updates the bar of each step, which it adds when it hears of it."""
    known: dict[str, int] = {}

    def moved(what: str, done: int, total: int) -> None:
        if what not in known:
            known[what] = bar.add_task(what, total=total)
        bar.update(bar.task_ids[known[what]], completed=done, total=total)

    return moved

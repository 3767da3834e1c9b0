"""`syncd run`: the daemon itself, in the foreground."""

from __future__ import annotations

import argparse
from functools import partial

from syncd.cli.commands import Commands
from syncd.config import load_config
from syncd.log import configure


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("run", parents=[common])
    parser.set_defaults(command=run)


async def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    # Importing the daemon takes a second, which `syncd --help` should not have to wait for.
    from syncd.app import serve

    load = partial(load_config, args.config, types=args.types)
    config = load()
    configure(config.log.level, as_json=None if config.log.format == "auto" else config.log.format == "json")
    return await serve(config, load, types=args.types)

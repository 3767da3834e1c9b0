"""`syncd config`: check a configuration without running anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json
from syncd.config import load_config


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    actions = commands.add_parser("config", help="check a configuration").add_subparsers(
        required=True, metavar="ACTION"
    )
    checking = actions.add_parser(
        "check", parents=[common], help="say what is wrong with a configuration, or that it is fine"
    )
    checking.add_argument("file", nargs="?", type=Path)
    checking.set_defaults(command=check)


async def check(args: argparse.Namespace) -> int:
    """Print what the configuration amounts to; raises ConfigError, which is exit status 78."""
    # Knowing the models takes longer than other commands should wait.
    from syncd.app.models import catalog_of, check_models

    config = load_config(args.file or args.config, types=args.types)
    check_models(config, catalog_of(config))
    if args.json:
        print_json(config.model_dump(mode="json"))
    else:
        out.print(f"fine: {len(config.sources)} sources, state in {config.state_folder}")
    return 0

"""`syncd completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from syncd.cli import whole_parser
from syncd.cli.commands import Commands, actions_of
from syncd.cli.known_names import NAMED_LISTS

SHELLS = ("bash", "zsh", "fish")


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("completion", parents=[common])
    parser.add_argument(
        "shell", choices=SHELLS, help="bash: `source <(syncd completion bash)` in ~/.bashrc; see the README for others"
    )
    parser.set_defaults(command=completion)


async def completion(args: argparse.Namespace) -> int:
    """Print the script. Names of sources and collections are asked of the running daemon when somebody completes them."""
    import shtab  # only needed here

    whole = whole_parser(args.types)
    for action in actions_of(whole):
        if action.type is Path:
            action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue] - where shtab looks for it
        elif action.dest in NAMED_LISTS:
            names = shlex.join([sys.executable, "-P", "-m", "syncd.cli.known_names", action.dest])
            action.complete = shtab.cmd(names)  # pyright: ignore[reportAttributeAccessIssue]
    sys.stdout.write(shtab.complete(whole, shell=args.shell))
    return 0

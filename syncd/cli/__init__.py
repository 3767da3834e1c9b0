"""The command line. Everything but `run`, `completion`, `config`, `doctor`, `export`, `import`, `model`, `quickstart`, `service`, `s3 setup` and `s3 doctor`
talks to the running daemon through its API.

Exit status: 0 done; 1 the command failed; 2 usage error; 69 the daemon cannot be reached; 77 permission denied;
78 invalid configuration (in sysexits.h the last three are EX_UNAVAILABLE, EX_NOPERM and EX_CONFIG).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from syncd import __version__
from syncd.cli.commands import COMMANDS, EXIT_USAGE, CommandLine, OneLineParser, no_such_argument, no_such_command

if TYPE_CHECKING:
    from syncd.sources.type import SourceTypes


def main(arguments: Sequence[str] | None = None, types: SourceTypes | None = None) -> None:
    """Run one command and exit with its status. `types`: the source types it supports, by default all of syncd's."""
    given = sys.argv[1:] if arguments is None else arguments
    # What the terminal's encoding lacks, and names of files that are no text, are shown by their numbers.
    if set_up := getattr(sys.stdout, "reconfigure", None):
        set_up(errors="backslashreplace")
    if given and given[0] not in COMMANDS and not given[0].startswith("-"):
        print(f"syncd: {no_such_command(given[0])}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    known = parser(given, types)
    args, others = known.parse_known_args(given)
    if others:
        command = f"syncd {given[0]}"
        print(f"{command}: {no_such_argument(known, command, others[0])}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    from syncd.cli.execution import execute  # imports what only a command needs

    sys.exit(execute(args))


def parser(given: Sequence[str], types: SourceTypes | None = None) -> argparse.ArgumentParser:
    """Return the parser for arguments that begin as `given`: with the command that they name, or with a list of all, for which nothing
    is imported. Commands find the source types in `args.types`.
    """
    top = OneLineParser(prog="syncd", description="Keeps Chroma collections equal to their sources.")
    top.add_argument("--version", action="version", version=f"syncd {__version__}")
    commands = CommandLine(top)
    if given and given[0] in COMMANDS:
        commands.load(given[0], common_arguments(types))
    else:
        commands.list_all()
    return top


def whole_parser(types: SourceTypes) -> argparse.ArgumentParser:
    """Return the parser of all commands with their arguments."""
    top = argparse.ArgumentParser(prog="syncd")
    CommandLine(top).load_all(common_arguments(types))
    return top


def common_arguments(types: SourceTypes | None) -> argparse.ArgumentParser:
    """Return the arguments and defaults that most commands share."""
    from syncd.cli.client import SERVICE
    from syncd.sources.registry import TYPES

    common = argparse.ArgumentParser(add_help=False)
    common.set_defaults(types=types or TYPES, service=SERVICE)
    file = os.environ.get("SYNCD_CONFIG")
    common.add_argument(
        "--config",
        type=Path,
        default=Path(file) if file else None,
        help="configuration file (default: $SYNCD_CONFIG)",
    )
    common.add_argument("--url", help="address of the daemon's API (default: found through the state folder)")
    common.add_argument("--json", action="store_true", help="print JSON: one value, or one object per line")
    return common

"""The command line. Everything but `run`, `config`, `model` and `quickstart` talks to the running daemon through its API.

Exit status: 0 done; 1 the command failed; 2 usage error; 69 the daemon cannot be reached; 77 permission denied;
78 invalid configuration (in sysexits.h the last three are EX_UNAVAILABLE, EX_NOPERM and EX_CONFIG).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from syncd import __version__, log
from syncd.cli import (
    config,
    model,
    plan,
    quickstart,
    rebuild,
    reruns,
    run,
    s3,
    search,
    sources,
    status,
    sync,
    token,
    verify,
    watch,
)
from syncd.cli.client import SERVICE, ApiError, UnreachableError
from syncd.errors import ConfigError, SyncdError
from syncd.sources.registry import TYPES
from syncd.sources.type import SourceTypes

COMMANDS = (
    run,
    quickstart,
    sources,
    sync,
    plan,
    status,
    watch,
    reruns,
    search,
    verify,
    rebuild,
    token,
    config,
    model,
    s3,
)

EXIT_FAILED, EXIT_UNREACHABLE, EXIT_REFUSED, EXIT_CONFIG = 1, 69, 77, 78


def main(arguments: Sequence[str] | None = None, types: SourceTypes = TYPES) -> None:
    """Run one command and exit with its status. `types`: the source types it supports."""
    sys.exit(execute(parser(types).parse_args(arguments)))


def execute(args: argparse.Namespace) -> int:
    """Run the chosen command and return its exit status; an expected error becomes one line on stderr."""
    log.configure("warning")  # stdout belongs to the command's output; `run` logs as configured
    try:
        return anyio.run(args.command, args)
    except ConfigError as error:
        return complain(error, EXIT_CONFIG)
    except UnreachableError as error:
        return complain(error, EXIT_UNREACHABLE)
    except ApiError as error:
        return complain(error, EXIT_REFUSED if error.status in (401, 403) else EXIT_FAILED)
    except SyncdError as error:
        return complain(error, EXIT_FAILED)
    except KeyboardInterrupt:
        return 130


def complain(error: Exception, status: int) -> int:
    """Print an error as one line and return `status`."""
    print(f"syncd: {error}", file=sys.stderr)
    return status


def parser(types: SourceTypes = TYPES) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; commands find the source types in `args.types`."""
    common = argparse.ArgumentParser(add_help=False)
    common.set_defaults(types=types)
    given = os.environ.get("SYNCD_CONFIG")
    common.add_argument(
        "--config",
        type=Path,
        default=Path(given) if given else None,
        help="configuration file (default: $SYNCD_CONFIG)",
    )
    common.add_argument("--url", help="address of the daemon's API (default: found through the state folder)")
    common.set_defaults(service=SERVICE)
    common.add_argument("--json", action="store_true", help="print JSON: one value, or one object per line")
    top = argparse.ArgumentParser(prog="syncd", description="Keeps Chroma collections equal to their sources.")
    top.add_argument("--version", action="version", version=f"syncd {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands, common)
    return top

"""Runs a command whose arguments are known, and turns the errors that users expect into one line and an exit status."""

from __future__ import annotations

import argparse
import sys

import anyio

from syncd import log
from syncd.cli.client import ApiError, UnreachableError
from syncd.errors import ConfigError, SyncdError

EXIT_FAILED, EXIT_UNREACHABLE, EXIT_REFUSED, EXIT_CONFIG = 1, 69, 77, 78


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

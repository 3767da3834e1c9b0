"""Runs a command whose arguments are known, and turns the errors that users expect into one line and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from http import HTTPStatus

import anyio

from syncd import log
from syncd.cli.client import ApiError, NotPermittedError, UnreachableError
from syncd.errors import ConfigError, SyncdError
from syncd.quoting import harmless, told

EXIT_FAILED, EXIT_UNREACHABLE, EXIT_REFUSED, EXIT_CONFIG = 1, 69, 77, 78
EXIT_INTERRUPTED, EXIT_PIPE = 130, 141
"""What shells say of programs that SIGINT and SIGPIPE ended."""


def execute(args: argparse.Namespace) -> int:
    """Run the chosen command and return its exit status; an expected error becomes one line on stderr."""
    log.configure("warning")  # stdout belongs to the command's output; `run` logs as configured
    try:
        status = anyio.run(args.command, args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has enough; the interpreter would complain when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except ConfigError as error:
        return complain(error, EXIT_CONFIG)
    except UnreachableError as error:
        return complain(error, EXIT_UNREACHABLE)
    except NotPermittedError as error:
        return complain(error, EXIT_REFUSED)
    except ApiError as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            return complain(f"{error}; commands take it from SYNCD_TOKEN, or else the state folder's", EXIT_REFUSED)
        return complain(error, EXIT_REFUSED if error.status == HTTPStatus.FORBIDDEN else EXIT_FAILED)
    except SyncdError as error:
        return complain(error, EXIT_FAILED)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return complain(f"{place}{told(error)}; correct the path, or what this user may do there", EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def complain(error: Exception | str, status: int) -> int:
    """Print an error as one line and return `status`."""
    print(f"syncd: {harmless(str(error))}", file=sys.stderr)
    return status

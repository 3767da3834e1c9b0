"""Containment: an unexpected exception affects only the item being processed, never the others."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeGuard

import structlog

from syncd.errors import BugError, SyncdError

log = structlog.get_logger()

PACKAGE = "syncd"


@contextmanager
def contained(what: str, **where: object) -> Generator[None]:
    """Let errors of ours pass; log any other exception with its traceback, and raise a BugError in its place.

    For the edges where one thing among many is worked on: a run, a document, a message, a watch, a request. `what` names
    the kind, `where` which one. MemoryError and RecursionError are contained like any other. Cancellation,
    KeyboardInterrupt and SystemExit pass. A group, as a task group raises it, is a bug when any error in it is one;
    where all of them are ours, the first is raised. The caller tries a BugError again a few times, as it is retryable, and
    then gives up with its message.
    """
    try:
        yield
    except SyncdError:
        raise
    except Exception as error:
        bug = next((leaf for leaf in leaves(error) if not isinstance(leaf, SyncdError)), None)
        raise next(leaves(error)) if bug is None else report_failure(what, where, error, bug) from error


def report_failure(what: str, where: Mapping[str, object], error: Exception, bug: BaseException) -> BugError:
    """Log `error` with its traceback and return what to say of `bug`, the error in it that is to blame.

    The words name the place and not the error's text, which may quote what a stranger wrote, or a secret.
    """
    number = secrets.token_hex(4)
    log.error("bug.contained", what=what, report=number, **where, exc_info=error)
    return BugError(
        f"syncd met a bug of its own ({type(bug).__name__} in {place_of(bug)}): please report it with the traceback that "
        f"the daemon's log holds under bug.contained, report {number}; then try again",
        number,
    )


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that a group, or groups within it, consist of; an ordinary error is its own only one."""
    if is_group(error):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """Tell whether an error is a group of errors."""
    return isinstance(error, BaseExceptionGroup)


def place_of(error: BaseException) -> str:
    """Return the module and line of ours that the error came through last, or the last of all where none is ours."""
    places = [(str(frame.f_globals.get("__name__")), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [place for place in places if place[0].partition(".")[0] == PACKAGE and place[0] != __name__]
    module, line = (ours or places or [("an unknown place", 0)])[-1]
    return f"{module}, line {line}"

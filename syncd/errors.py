"""The whole error policy: an error's class names the next move.

Adapters translate foreign errors into these at their edge. Anything else is a bug: it is contained where one thing among many
is worked on, and becomes a BugError there; where it concerns the whole actor, that is restarted.
"""


class SyncdError(Exception):
    """Base of every error syncd raises on purpose; the message is one line and says what to do next."""


class ConfigError(SyncdError):
    """The configuration is wrong: the message names the key, its value and what is allowed. Exit status 78."""


class RetryableError(SyncdError):
    """The same call may succeed later: back off and try again. `retry_after_s` is the other side's wish, if it had one."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OvertakenError(RetryableError):
    """The document is no longer the one that was looked at: look again, then try again."""


class BugError(RetryableError):
    """Nobody foresaw this, so it is a bug of syncd: try again a few times, then give up; the message asks for a report.

    Made where the unforeseen is contained (runtime/containment.py), its traceback is in the log under the number `report`.
    """

    def __init__(self, message: str, report: str) -> None:
        super().__init__(message)
        self.report = report


class PermanentError(SyncdError):
    """Trying again changes nothing: record it on the document (or invocation) and go on with the rest."""


class Skipped(PermanentError):
    """The document is left out on purpose (binary, too large, not UTF-8); counted and listed with this reason."""


class MisconfiguredError(PermanentError):
    """A setting or credential is wrong, so nothing behind it works until somebody mends it; what nobody would ask for
    again waits for that.
    """


class NotFoundError(PermanentError):
    """A named thing (database, collection, source, ref) does not exist."""


class ConflictError(PermanentError):
    """The request contradicts what exists already."""


class CollectionCorrupt(PermanentError):
    """The vector store cannot read the collection any more; nothing of ours is lost: `syncd rebuild COLLECTION` mends it."""


class TargetRefusedError(PermanentError):
    """The vector store says that a request is wrong; or it, or what stands before it, refuses everything for a while."""

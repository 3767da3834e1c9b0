"""The error policy: an error's class says what to do next.

Adapters translate foreign errors into these. Anything else is a bug: where one of many items is processed it is contained
and becomes a BugError; where it concerns a whole actor, the actor is restarted.
"""


class SyncdError(Exception):
    """Base of every error syncd raises on purpose; the message is one line and says what to do next."""


class ConfigError(SyncdError):
    """The configuration is invalid: the message names the key, its value and what is allowed. Exit status 78."""


class RetryableError(SyncdError):
    """The same call may succeed later: back off and try again. `retry_after_s`: the delay the other side asked for, if any."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ChangingPlacesError(RetryableError):
    """The collection is changing places with another one: work waits, however long that takes, and is never given up for it."""


class CollectionCorrupt(RetryableError):
    """The vector store can no longer read the collection; nothing is lost: the index, once it is told, rebuilds it from the store."""


class StoreDamagedError(RetryableError):
    """The state database cannot be read or written, since its file is damaged: work waits until somebody has mended it."""


class OvertakenError(RetryableError):
    """The document has changed since it was checked: check it again, then retry."""


class BugError(RetryableError):
    """A bug in syncd: retry a few times, then give up; the message asks for a report.

    Created where unexpected exceptions are contained (runtime/containment.py); the log has its traceback under the number `report`.
    """

    def __init__(self, message: str, report: str) -> None:
        super().__init__(message)
        self.report = report


class PermanentError(SyncdError):
    """Retrying is pointless: record it on the document (or invocation) and go on with the rest."""


class PutOffError(PermanentError):
    """It failed for a reason that may pass, such as a process that is killed again and again: record it, go on with the rest,
    and ask for it again later.
    """


class Skipped(PermanentError):
    """The document is deliberately not indexed (binary, too large, not UTF-8); it is counted and listed with this reason."""


class NothingIndexedError(PermanentError):
    """A run found documents and could index none: before one of them changes, another would find the same."""


class MisconfiguredError(PermanentError):
    """A setting or credential is wrong, so nothing that needs it works until it is corrected; work that nobody would
    request again waits for that.
    """


class NotFoundError(PermanentError):
    """A named thing (database, collection, source, ref) does not exist."""


class ConflictError(PermanentError):
    """The request conflicts with what already exists."""


class TargetRefusedError(PermanentError):
    """The vector store rejected a request as invalid; or it, or a proxy in front of it, is rejecting everything for a while."""


class TooLargeError(TargetRefusedError):
    """The vector store, or a proxy in front of it, takes no request of that size: send less at once."""

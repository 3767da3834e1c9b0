"""What syncd logs, and how: one table of event names, secrets kept out, JSON under systemd.

An event is named `area.what_happened`: lower case, the area first, a state or a past participle after the dot. The name
is public (people alert on it) and constant; everything that varies is a key beside it. Log with

    log = structlog.get_logger()
    log.info("document.indexed", key=key, chunks=12)

and enter the name in `EVENTS`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Mapping
from typing import TextIO, TypeGuard

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from syncd.json_types import is_object
from syncd.redaction import HIDDEN, SECRET_NAME, redacted

EVENTS: Mapping[str, str] = {
    "qdrant.available": "Qdrant is available again",
    "qdrant.away": "Qdrant stopped answering, refuses our key or is too old; work waits",
    "ray.away": "the Ray cluster is out of reach; this machine does its work, and it is tried again",
    "ray.connected": "the Ray cluster answers, and is asked for workers",
    "ray.worker_joined": "a worker of the Ray cluster makes what this machine does, and gets work from now on",
    "ray.worker_lost": "a worker of the Ray cluster died, was silent for too long or did not start; what it had is done again",
    "ray.worker_refused": "a worker of the Ray cluster is not used, because it would make something else than this machine; why",
    "rerank.ready": "the reranker puts a question's answer first, and is used",
    "rerank.unavailable": "the reranker is unfit or away; searches keep their order, and it is tried again",
    "sparse.refused": "a sparse model cannot be used; its reason",
    "queries.refused": "a collection cannot record who embeds its queries; its reason",
    "queries.unrecorded": "collections record no embedding function: it is not known where clients reach the API",
    "sparse.isolating": "a sparse model's process died over a batch; its texts are tried one by one",
    "sparse.waiting": "sparse vectors cannot be made now; tried again",
    "sparse.filled": "sparse vectors of a collection are complete",
    "words.unwritten": "inverted lists could not be written to their file and stay in memory; why",
    "source.refused": "a source cannot be opened; its reason",
    "actor.crashed": "an actor ended with an error; its supervisor decides what follows",
    "actor.degraded": "a part that others do without keeps crashing; it is tried again from time to time",
    "actor.escalated": "a supervisor gave up on a child that keeps crashing",
    "actor.finished": "a temporary actor has done its work",
    "actor.starting": "an actor is being run",
    "actor.stuck": "an actor did not stop within its limit",
    "api.failed": "a request ended in an error of ours (5xx)",
    "api.listening": "the HTTP API accepts requests",
    "bug.contained": "a bug: an unexpected exception, which affects only what is named here; please report it",
    "cache.swept": "unused vectors were deleted from the cache",
    "chroma.available": "Chroma is available again",
    "chroma.away": "Chroma stopped answering; work waits",
    "chroma.leftover": "a server left from an earlier run still uses the folder; waiting for it to stop",
    "chroma.index_set_aside": "our own Chroma server died again and again of a collection's index files, which were moved away; it is rebuilt from the store",
    "chroma.open": "other people of this machine can reach our own Chroma server, which asks nobody who he is; why, and how to close it",
    "chroma.no_sparse": "the Chroma server has no sparse indexes; sparse vectors are kept beside its collections",
    "chroma.set_aside": "the database of our own Chroma server is damaged; its folder was moved aside, and collections are filled from the store",
    "chroma.started": "our own Chroma server answers",
    "chroma.swept": "what a deleted collection left behind in our own Chroma server's folder was deleted",
    "config.refused": "the changed configuration is invalid; the old one stays in force",
    "daemon.deadline_passed": "stopping took longer than allowed; the process exits now",
    "daemon.gave_up": "a required part keeps crashing; the process exits so that systemd can restart it",
    "daemon.ready": "the daemon serves",
    "daemon.reloading": "SIGHUP: the configuration is read again",
    "daemon.stopped_at_once": "a second signal: the process exits now",
    "daemon.stopping": "a first signal: the daemon drains",
    "index.collection_replaced": "somebody deleted, renamed or recreated a collection in Chroma; it is filled from the store",
    "index.compacting": "a collection needs many times the space of its rows; it is rebuilt from the store to free it",
    "index.corrupt": "Chroma cannot read a collection's index files; it is rebuilt from the store",
    "index.emptied": "all rows of a collection were deleted; it is made anew before it gets others, of which Chroma's index would lose some",
    "index.held": "a collection cannot be written at the moment; its changes wait, and other collections continue",
    "collection.reshaped": "a source wants other dimensions; its collection is made again from the whole vectors in the store",
    "index.lost_vectors": "stored vectors of a collection do not find themselves; they are written again or, if many, the collection is rebuilt",
    "index.mended": "a scheduled verification found rows that differ from the store, and mended them",
    "index.not_verified": "a collection cannot be verified now; tried again at the next time",
    "index.not_compacted": "a collection needs many times the space of its rows, and is not rebuilt, as it also holds rows that syncd did not write",
    "index.not_probed": "it cannot be asked now whether a collection's vectors find themselves; tried again",
    "index.rebuilt": "a collection was filled from the store",
    "index.recovering": "an earlier run ended in the middle of writes; they are repeated",
    "index.row_refused": "Chroma refuses a row while it accepts others; the row is omitted",
    "index.rows_lost": "somebody deleted rows of a collection in Chroma; they are written again from the store",
    "index.waiting": "a write failed temporarily and waits for Chroma",
    "embedding.not_counted": "tokens cannot be counted now; what is left is estimated until they are",
    "embedding.stopped": "a model's queue of wanted vectors met a bug; it is started again",
    "embedding.waiting": "vectors cannot be computed now; what wants them waits, and is tried again",
    "library.message": "a library logged a warning or an error",
    "leftovers.kept": "the source that was to get a removed one's documents is gone too; they stay where they are",
    "leftovers.settled": "what a removed source left was purged or handed over",
    "leftovers.waiting": "what a removed source left cannot be purged or handed over for now; it will be",
    "mailbox.handler_failed": "a bug: handling a message raised an unexpected exception",
    "model.died": "a model's process died; it is restarted when needed",
    "model.downloading": "a model's file is being downloaded",
    "model.lanes_measured": "how many processes a model is fastest with on this machine was measured",
    "model.lanes_not_measured": "so many processes of a model could not be tried; it goes on with those it has",
    "model.not_kept": "what was found out about a model's file could not be written; it is found out again at the next start",
    "model.not_started": "a model could not be started; it is tried again when it is needed",
    "model.probed": "the fastest correct way to run a model on this machine was found",
    "model.ready": "a model is ready to embed",
    "model.spare_process_ended": "one of a model's processes that share its work ended; the others go on alone",
    "model.server_lost": "a remote embedding server stopped answering",
    "model.server_refused": "a remote embedding server is not used, because its vectors are not the model's",
    "model.variant_failed": "one way to run a model crashed or was wrong in the start-up probe; another is used",
    "ocr.unavailable": "scans and pictures are not read, as no engine is installed; their documents get a warning",
    "parser.died": "a parser's process died while reading a document",
    "picture.undescribed": "the vision model could not describe a picture; its document is indexed without it",
    "prepared.damaged": "a prepared document is not what was stored; it is dropped, and prepared again from its source",
    "row.damaged": "a row of the state database is not what was stored, and cannot be set right; its table, and what follows is said there",
    "row.index_made_anew": "an index of the state database was not what its table is; it was made anew",
    "row.set_right": "a row of the state database had a flipped bit, which was set right",
    "runs.forgotten": "runs that ended long ago were deleted from the database",
    "prepared.full": "prepared documents take their share of the disk; preparing waits for vectors to catch up",
    "process.killed": "a child process ignored SIGTERM for too long and was killed",
    "process.output": "a line that a child process printed",
    "process.started": "a child process was started",
    "queue.foreign_bucket": "an event of a bucket that no source of ours reads",
    "queue.key_accepted": "a key that was refused can read its queue again",
    "queue.key_refused": "a source's key cannot read the queue it names; the keys of the queue's other sources are tried",
    "queue.not_acknowledged": "an event was handled but its message could not be deleted; it will be delivered again",
    "queue.note": "a message that requires no work, such as a test event",
    "queue.poison": "a message that cannot be understood",
    "queue.poll_failed": "a queue could not be read; retrying",
    "queue.postponed": "an event failed temporarily; its message is kept in flight and retried",
    "retry.waiting": "something failed and will be retried",
    "shadow.begun": "the sources of a collection are set to something else; it is built anew beside the one that answers",
    "shadow.discarded": "a collection that was being built beside another one is not wanted any more",
    "shadow.in_place": "a collection's documents are cut anew one after the other, as it cannot be built beside itself; the reason",
    "shadow.not_renamed": "a collection that was to change its name is gone from Chroma, or another one has the name; it is filled again",
    "shadow.not_switched": "two collections that were to change places at the last stop could not; tried again",
    "shadow.refused": "a collection that was built anew is not as good as the one that answers; somebody has to decide",
    "shadow.removed": "a collection beside the one that answers was deleted",
    "shadow.switched": "a collection that was built anew answers now; the former one is kept for a while",
    "shadow.waiting": "a collection beside the one that answers cannot be gone on with now; tried again",
    "source.created": "a source declared in the configuration was created",
    "source.notice": "a source's settings may mean something else than they seem to",
    "source.removed": "a source is no longer declared in the configuration and was removed",
    "source.updated": "a source's declaration changed",
    "state.was_open": "others could read the state folder, its database or its token; they are closed to them now",
    "store.damaged": "texts or vectors in the state database are not what was stored; their sources are asked for them again",
    "sync.deletes_held": "a run would delete too much; the deletes wait to be confirmed",
    "sync.interrupted": "an invocation ends in the middle, since the daemon stops or its source is paused; it is resumed",
    "sync.listener_failed": "a listener could not be notified of an invocation's end; the others were",
    "sync.postponed": "an invocation failed temporarily and will be retried",
    "sync.settled": "an invocation has ended",
    "sync.started": "an invocation is being worked on",
    "sync.unsettled": "an invocation's end could not be recorded; it will be retried later",
    "tracing.available": "the receiver of traces takes spans again",
    "tracing.away": "the receiver of traces does not take spans; they are dropped and counted, and nothing else waits",
    "upload.orphan_removed": "a file whose upload never became an invocation was removed",
    "watch.asked": "a watcher requested a run",
    "watch.failed": "a watcher could not check its source",
    "watch.failing": "a source cannot be looked at, or what was seen there cannot be brought",
    "watch.recovered": "a source that was failing is in order again",
    "web.crawl_delay_cut": "a site asks for longer pauses than configuration allows",
    "web.crawled": "a crawl has ended",
    "web.proxy_closed": "the browser's proxy closed a connection",
    "web.proxy_refused": "the browser's proxy refused an address that crawls may not reach",
    "web.robots_unreachable": "a site's robots.txt could not be read; nothing is fetched from it",
    "web.sitemap_unreadable": "a sitemap could not be read; its pages are found by links only",
    "webhook.failing": "a webhook cannot be told what it is to be told; tried again for a day",
    "webhook.given_up": "a notification could not be delivered for a day, or its receiver is gone; it is not tried again",
    "webhook.received": "a change was announced; how many runs it started",
    "webhook.recovered": "a webhook that was failing can be told again",
    "webhook.waiting": "what webhooks are told cannot be read or recorded now; tried again",
    "worker.jail_incomplete": "this machine lacks some of what confines the processes that read documents and pages and compute models",
}
"""Every event name and what it means."""

_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), 127] if code != 9} | {10: "\\n", 13: "\\r"}


def configure(level: str = "info", *, as_json: bool | None = None, stream: TextIO | None = None) -> None:
    """Set up logging of this process to `stream` (stderr). Twice is safe, the last call counts.

    `as_json` None: JSON under systemd, readable text elsewhere. Warnings of libraries come out as `library.message`.
    """
    output = stream or sys.stderr
    as_json = under_systemd() if as_json is None else as_json
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=output.isatty(), sort_keys=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


def under_systemd() -> bool:
    """Return whether systemd started this process."""
    return "JOURNAL_STREAM" in os.environ or "INVOCATION_ID" in os.environ


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return `event` without secrets and with control characters escaped, so that one event stays one line.

    Hidden are string values whose key names a secret, registered secrets anywhere, and user names and query strings of
    URLs. A traceback keeps its line breaks.
    """
    for key, value in event.items():
        event[key] = _clean_traceback(value) if key == "exception" else _clean_value(key, value)
    return event


def _clean_value(key: str, value: object) -> object:
    match value:
        case bool() | int() | float() | None:
            return value
        case str():
            return HIDDEN if value and SECRET_NAME.search(key) else redacted(value).translate(_CONTROL)
        case _ if is_object(value):
            return {_clean_value("", str(name)): _clean_value(str(name), inner) for name, inner in value.items()}
        case _ if _is_collection(value):
            return [_clean_value(key, inner) for inner in value]
        case _:
            return _clean_value(key, str(value))


def _is_collection(value: object) -> TypeGuard[Collection[object]]:
    return isinstance(value, list | tuple | set | frozenset)


def _clean_traceback(value: object) -> str:
    return "\n".join(redacted(line).translate(_CONTROL) for line in str(value).split("\n"))


class _Forward(logging.Handler):
    """Hands what libraries log to structlog, and so through `clean`."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger().bind(library=record.name, message=record.getMessage())
        log.log(record.levelno, "library.message", exc_info=record.exc_info)

"""The program, keeping a journal of what each stage begins and has durable, that kills itself at a moment of your choice.

    python -m tests.crash.journalled JOURNAL MOMENT[:TIMES] [MISTAKE] run --config FILE

It dies the so-many-th time that it comes to the moment; of '-' it never does. See `tests.crash.journal` for what is made of it.
"""

import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from functools import wraps

import anyio

from syncd.chroma.client import Chroma
from syncd.cli import main
from syncd.index.flush import OutboxFlush
from syncd.model import NOTHING, DocumentState
from syncd.pipeline import in_hand
from syncd.pipeline.embed.process import ModelProcess
from syncd.pipeline.embedding_queue import EmbeddingQueue
from syncd.pipeline.embedding_stage import EmbeddingStage
from syncd.pipeline.preparation import Draft
from syncd.runtime.mailbox import settled_reply
from syncd.store import marks
from syncd.store.invocations import Invocations
from syncd.store.outbox import Outbox
from syncd.store.prepared import Prepared
from syncd.sync.handover import Handover
from tests.crash.journal import PREPARED, REPLIED, VECTORS, WRITTEN, Moment, line, row_key


class Journal:
    """Appends lines that survive the process, and ends it at its moment."""

    def __init__(self, path: str, dies_at: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._moment, _, times = dies_at.partition(":")
        self._times = int(times or 1)
        self._come: Counter[str] = Counter()

    def write(self, stage: str, event: str, keys) -> None:
        os.write(self._file, "".join(line(stage, event, key) for key in keys).encode())

    def come(self, moment: Moment) -> None:
        self._come[moment] += 1
        if self.is_due(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    def is_due(self, moment: Moment, after: int = 0) -> bool:
        """Return whether death comes at this moment, when it has come so many times more."""
        return self._moment == moment and self._come[moment] + after == self._times


def instead(owner, name: str):
    """Put the decorated function in place of a method; it is given the method first."""
    real = getattr(owner, name)

    def put(function):
        @wraps(real)
        def call(*args, **options):
            return function(real, *args, **options)

        setattr(owner, name, call)

    return put


def keep(journal: Journal) -> None:
    """Let every stage write into the journal."""
    keep_prepared(journal)
    keep_vectors(journal)
    keep_written(journal)
    keep_replies(journal)


def keep_prepared(journal: Journal) -> None:
    @instead(Draft, "make")
    async def make(real, self, file, in_hand):
        document = self._job.document
        journal.write(PREPARED, "begun", [f"{document.key}@{document.version}"])
        await real(self, file, in_hand)
        journal.come(Moment.PREPARING)

    @instead(Prepared, "put")
    async def put(real, self, change, model, urgency):
        document = await real(self, change, model, urgency)
        journal.write(PREPARED, "durable", [f"{change.key}@{change.version}"])
        journal.come(Moment.PREPARED)
        return document


def keep_vectors(journal: Journal) -> None:
    @instead(EmbeddingQueue, "_embed")
    async def embed(real, self, texts, task, refuse, *, is_urgent):
        journal.write(VECTORS, "begun", [text.key.hex() for text in texts])
        await real(self, texts, task, refuse, is_urgent=is_urgent)

    @instead(ModelProcess, "vectors")
    async def vectors(real, self, windows):
        rows = await real(self, windows)
        journal.come(Moment.EMBEDDING)
        return rows

    @instead(Prepared, "embedded")
    async def embedded(real, self, vectors, tokens):
        complete = await real(self, vectors, tokens)
        journal.write(VECTORS, "durable", [key.hex() for key in vectors])
        journal.come(Moment.EMBEDDED)
        return complete


def keep_written(journal: Journal) -> None:
    rows: dict[str, str] = {}

    @instead(Chroma, "write")
    async def write(real, self, target, delete_ids, add, update_metadata):
        for row_id, text in zip(add.ids, add.documents, strict=True):
            rows[row_id] = row_key(row_id, text)
        journal.write(WRITTEN, "begun", [rows[row_id] for row_id in add.ids])
        if journal.is_due(Moment.WRITING, after=1):
            await real(self, target, [], add.chosen(range(len(add.ids) // 2)), NOTHING)
        journal.come(Moment.WRITING)
        await real(self, target, delete_ids, add, update_metadata)
        journal.come(Moment.WRITTEN)

    @instead(Outbox, "clear")
    async def clear(real, self, collection_id, entries, **options):
        await real(self, collection_id, entries, **options)
        ids = [entry.chunk_id for entry in entries]
        journal.write(WRITTEN, "durable", [rows.pop(row_id) for row_id in ids if row_id in rows])
        journal.come(Moment.RECORDED)


def keep_replies(journal: Journal) -> None:
    @instead(Handover, "_count")
    def count(real, self, result):
        real(self, result)
        if result.state is DocumentState.INDEXED:
            journal.write(REPLIED, "durable", [result.key])
            journal.come(Moment.REPLIED)

    @instead(Invocations, "settle")
    async def settle(real, self, *args):
        settled = await real(self, *args)
        journal.come(Moment.SETTLED)
        return settled


def reply_early() -> None:
    """Reply after preparing, with a model that never gets around to anything."""

    @instead(EmbeddingQueue, "_embed")
    async def embed(_real, _self, *_texts, **_options):
        await anyio.sleep_forever()

    @instead(EmbeddingStage, "bring")
    async def bring(real, self, change, embedder, urgency, waiter):
        await real(self, change, embedder, urgency, waiter)
        return settled_reply(replace(waiter[1], state=DocumentState.INDEXED))


def record_first() -> None:
    """Record that the vector store has it before it has."""

    @instead(OutboxFlush, "flush")
    async def flush(_real, self, record, chunk_ids):
        waiting = await self._store.outbox.waiting(record.id, chunk_ids)
        await self._store.outbox.clear(record.id, waiting)
        await self._write(record, waiting)


def forget_prepared() -> None:
    """Prepare again what is prepared."""

    @instead(Prepared, "get")
    async def get(_real, _self, *_owner):
        return None


MISTAKES = {"replies-early": reply_early, "records-first": record_first, "forgets-prepared": forget_prepared}


if __name__ == "__main__":
    path, dies_at = sys.argv.pop(1), sys.argv.pop(1)
    # One document may be in hand at several kills in a row; it is not to blame for them, as one that kills the daemon would be.
    marks.DEATHS_MAX = in_hand.DEATHS_MAX = sys.maxsize
    if sys.argv[1] in MISTAKES:
        MISTAKES[sys.argv.pop(1)]()
    keep(Journal(path, dies_at))
    main()

"""What a daemon's stages have begun and made durable, over all its lives; and what must be true of it.

A stage may begin anew what it had in hand at a death: what it had begun and nothing durable of. What was durable it may not
begin again.
"""

import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from tests.daemon import Daemon

PREPARED = "prepared"
"""Documents, by key and version."""
VECTORS = "vectors"
"""Texts, by the keys of their vectors."""
WRITTEN = "written"
"""Rows of the vector store, by id and text. Durable when the intent is cleared."""
REPLIED = "replied"
"""Documents whose run has heard that they are indexed, by key. These begin with nothing."""


class Moment(StrEnum):
    """Where death comes, in the order of a document's way."""

    PREPARING = "preparing"
    """Parsed and split; nothing is durable."""
    PREPARED = "prepared"
    EMBEDDING = "embedding"
    """A batch of a request is computed; no vector is durable."""
    EMBEDDED = "embedded"
    """Vectors are durable; nothing is handed on."""
    WRITING = "writing"
    """The vector store has half of the rows."""
    WRITTEN = "written"
    """It has all of them; the intent stands."""
    RECORDED = "recorded"
    """The intent is cleared; nobody has heard."""
    REPLIED = "replied"
    SETTLED = "settled"


def line(stage: str, event: str, key: str) -> str:
    """Return a line of the journal."""
    return json.dumps([stage, event, key]) + "\n"


def row_key(row_id: str, text: str) -> str:
    """Return what stands in the journal for a row of the vector store."""
    return f"{row_id}@{sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Stage:
    """What one stage has begun and has durable, each with how often."""

    begun: Counter[str]
    durable: Counter[str]
    begun_too_often: tuple[str, ...]
    """What was begun again although it was durable."""

    @property
    def in_hand(self) -> set[str]:
        """What is begun and not durable."""
        return set(self.begun) - set(self.durable)


@dataclass(frozen=True)
class Journal:
    """The file that `tests.crash.journalled` writes."""

    path: Path

    def died(self, daemon: Daemon) -> None:
        """Note what is durable at a death: the line about what was committed last may not have been written."""
        documents = "SELECT key || '@' || version FROM prepared UNION SELECT key || '@' || version FROM documents WHERE state = 'indexed'"
        written = (
            "SELECT d.prefix || '-' || c.number, c.text FROM chunks c JOIN documents d ON d.id = c.document_id WHERE NOT EXISTS "
            "(SELECT 1 FROM outbox o WHERE o.collection_id = d.collection_id AND o.chunk_id = d.prefix || '-' || c.number)"
        )
        durable = {
            PREPARED: [key for (key,) in daemon.rows(documents)],
            VECTORS: [key.hex() for (key,) in daemon.rows("SELECT key FROM vectors")],
            WRITTEN: [row_key(*row) for row in daemon.rows(written)],
        }
        with self.path.open("a") as file:
            for name, keys in durable.items():
                known = self.stage(name).durable
                file.writelines(line(name, "durable", key) for key in keys if key not in known)

    def stage(self, name: str) -> Stage:
        """Read what happened in a stage so far."""
        begun, durable, too_often = Counter[str](), Counter[str](), list[str]()
        for text in self.path.read_text().splitlines():
            stage, event, key = json.loads(text)
            if stage != name:
                continue
            if event == "durable":
                durable[key] += 1
            else:
                too_often += [key] if key in durable else []
                begun[key] += 1
        return Stage(begun, durable, tuple(too_often))

    def assert_nothing_twice(self) -> None:
        """Fail where a stage has begun again what it had durable."""
        for name in (PREPARED, VECTORS, WRITTEN):
            stage = self.stage(name)
            assert not stage.begun_too_often, f"what was {name} is begun again: {stage.begun_too_often[:5]}"
            assert set(stage.durable.values()) <= {1}, f"done twice: {name} {stage.durable.most_common(5)}"


def journalled(journal: Journal, dies_at: str = "-", *mistake: str) -> tuple[str, ...]:
    """Return the program that keeps this journal, and kills itself at that moment."""
    return ("tests.crash.journalled", str(journal.path), dies_at, *mistake)

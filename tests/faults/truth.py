"""What a daemon's collections hold, against what those of an undisturbed daemon hold; counted in the terms of the table of faults."""

import fcntl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from chromadb.api import ClientAPI
from chromadb.errors import ChromaError, NotFoundError
from httpx import TransportError

from syncd.index.self_probe import TOLERATED_SHARE
from tests.daemon import Daemon, Held, client_at, held

AMONG_NEAREST = 10
QUERIES = 200
"""Vectors asked for at once."""
SAME = 1 - 1e-4


@dataclass(frozen=True)
class Difference:
    """Chunks of a collection that are not as they should be."""

    lost: int = 0
    doubled: int = 0
    """That should not be there, such as those of an earlier version beside a later one's."""
    stale: int = 0
    """With another text or other metadata."""
    damaged: int = 0
    """With another vector, or not found by their own."""
    unreadable: int = 0
    """Collections that cannot be read at all."""
    examples: tuple[str, ...] = field(default=(), compare=False)

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the numbers, in the order above."""
        return self.lost, self.doubled, self.stale, self.damaged, self.unreadable

    def __bool__(self) -> bool:
        return any(self.counts)

    def plus(self, other: "Difference") -> "Difference":
        """Return both together."""
        counts = (one + more for one, more in zip(self.counts, other.counts, strict=True))
        return Difference(*counts, examples=(*self.examples, *other.examples))


Places = dict[tuple[str, int], list[str]]
"""(key, place in the document) -> ids of the rows that say so."""


def places(held: Held) -> Places:
    """Return the rows by what they are about. Their ids say which of a document's chunks came first, so they depend on which of its
    versions a daemon has seen.
    """
    found: Places = {}
    for row, (_, metadata) in held.rows.items():
        found.setdefault((metadata["key"], metadata["chunk_index"]), []).append(row)
    return found


def difference(found: Held, wanted: Held, needed: Collection[str] | None = None) -> Difference:
    """Compare what is found with what should be there; what is not of a `needed` key may be missing."""
    there, right = places(found), places(wanted)
    common = [(there[place][0], right[place][0]) for place in there.keys() & right.keys()]
    stale = [(one, other) for one, other in common if found.rows[one] != wanted.rows[other]]
    wrong = [place for place in there.keys() ^ right.keys() if needed is None or place[0] in needed]
    return Difference(
        lost=sum(place not in there and (needed is None or place[0] in needed) for place in right),
        doubled=sum(len(rows) - (place in right) for place, rows in there.items()),
        stale=len(stale),
        damaged=sum(float(np.dot(found.vectors[one], wanted.vectors[other])) < SAME for one, other in common),
        examples=(
            *map(str, wrong[:2]),
            *(f"{found.rows[one]} is to be {wanted.rows[other]}" for one, other in stale[:1]),
        ),
    )


def client_of(daemon: Daemon) -> ClientAPI:
    chroma = daemon.announced()["chroma"]
    return client_at(chroma["host"], chroma["port"])


def held_by(daemon: Daemon, name: str) -> Held:
    """Return what a collection holds; nothing where there is none."""
    chroma = daemon.announced()["chroma"]
    try:
        return held(chroma["host"], chroma["port"], name)
    except NotFoundError:
        return Held({}, {})


def unfindable(client: ClientAPI, name: str, wanted: Held) -> int:
    """Count the chunks whose vector does not find them."""
    collection, missed = client.get_collection(name), 0
    ids = sorted(wanted.vectors)
    for start in range(0, len(ids), QUERIES):
        some = ids[start : start + QUERIES]
        found = collection.query([wanted.vectors[i] for i in some], n_results=AMONG_NEAREST, include=[])
        missed += sum(one not in near for one, near in zip(some, found["ids"], strict=True))
    return missed


def look(
    daemon: Daemon, name: str, wanted: Held, needed: Collection[str] | None = None, *, same_ids: bool = False
) -> Difference:
    """Compare a collection with what it should hold, and ask each of its vectors for its neighbours. `same_ids`: both daemons have
    seen the same versions of everything.
    """
    try:
        found = held_by(daemon, name)
        compared = difference(found, wanted, needed)
        if same_ids and not compared:
            compared = Difference(stale=len(found.rows.keys() - wanted.rows.keys()))
        if compared or not found.rows:
            return compared
        # A sound index finds nearly everything: so much is missed by chance.
        missed = unfindable(client_of(daemon), name, found)
        return Difference(damaged=missed if missed > max(1, TOLERATED_SHARE * len(found.rows)) else 0)
    except (ChromaError, ValueError, TransportError):
        return Difference(unreadable=1)


def still(daemon: Daemon, limit_s: float) -> None:
    """Wait until every source has run and nothing is left to do."""
    asked = "SELECT count(*) FROM sources WHERE id NOT IN (SELECT source_id FROM invocations)"
    daemon.wait_until(lambda: daemon.rows(asked)[0][0] == 0 and not daemon.unsettled(), limit_s)


@contextmanager
def restarted(daemon: Daemon) -> Iterator[bool]:
    """Start a daemon; yield whether it serves. At the end it is killed and its Chroma is gone."""
    daemon.launch()
    try:
        yield daemon.is_ready_or_dead()
    finally:
        killed(daemon)


def killed(daemon: Daemon) -> None:
    """Kill a daemon and wait until its Chroma, which is told so, has ended as well."""
    daemon.kill()
    lock = daemon.state / "chroma.lock"
    if lock.exists():
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)

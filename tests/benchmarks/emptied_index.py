"""How many vectors Chroma's index loses that are added while no other is alive: `python -m tests.benchmarks.emptied_index [--turns 20]`.

Random vectors that mostly lie in some directions, as those of texts do, are added to a new Chroma in four ways, and each is asked whether
it is among the ten nearest to itself. Printed for each way: collections, those that lost any, and vectors lost at most, of how many.
"""

import argparse
import tempfile
from collections.abc import Callable

import chromadb
import numpy as np

from tests.benchmarks.search import DIMENSIONS, DIRECTIONS

ROWS = 300


class Rows:
    """Rows of a collection with a vector each, written as the daemon does it: as many at once as one write has."""

    def __init__(self, collection: chromadb.Collection, seed: int) -> None:
        random = np.random.default_rng(seed)
        along = random.standard_normal((2 * ROWS, len(DIRECTIONS)), np.float32) @ DIRECTIONS
        self.vectors = along + 0.5 * random.standard_normal((2 * ROWS, DIMENSIONS), np.float32)
        self._collection = collection

    def add(self, places: range) -> None:
        self._collection.add([str(place) for place in places], self.vectors[places])

    def delete(self, places: range) -> None:
        self._collection.delete([str(place) for place in places])

    def lost(self) -> int:
        """Return how many of the first rows do not find themselves."""
        near = self._collection.query(self.vectors[:ROWS], n_results=10, include=[])["ids"]
        return sum(str(place) not in found for place, found in enumerate(near))


FIRST, OTHERS = range(ROWS), range(ROWS, 2 * ROWS)


def new(rows: Rows) -> None:
    rows.add(FIRST)


def emptied(rows: Rows) -> None:
    rows.add(OTHERS)
    rows.delete(OTHERS)
    rows.add(FIRST)


def replaced(rows: Rows) -> None:
    rows.add(FIRST)
    rows.delete(FIRST)
    rows.add(FIRST)


def replaced_by_halves(rows: Rows) -> None:
    rows.add(FIRST)
    for half in (FIRST[::2], FIRST[1::2]):
        rows.delete(half)
        rows.add(half)


def measure(way: Callable[[Rows], None], turns: int) -> None:
    lost: list[int] = []
    for seed in range(turns):
        with tempfile.TemporaryDirectory() as folder:
            client = chromadb.PersistentClient(folder, chromadb.Settings(anonymized_telemetry=False))
            rows = Rows(client.create_collection("rows", configuration={"hnsw": {"space": "cosine"}}), seed)
            way(rows)
            lost.append(rows.lost())
    name = way.__name__.replace("_", " ")
    print(f"| {name} | {turns} | {sum(map(bool, lost))} | {max(lost)} of {ROWS} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    given = parser.parse_args()
    for way in (new, emptied, replaced, replaced_by_halves):
        measure(way, given.turns)

"""Rows written to and read from a vector store, and the shape of its collections: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from syncd.model.texts import SparseVector
from syncd.model.values import Metadata, Scalar, Vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QueryProtocol = Literal["huggingface", "ollama", "openai"]
RowMetadata = Mapping[str, Scalar | Sequence[Scalar] | None]
"""Metadata to write. In an update, None removes the key."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What to write, one entry per row.

    `sparse` vectors (None: it has none) go under `sparse_key` where the collection indexes them there, else nowhere.
    """

    ids: Sequence[str]
    metadatas: Sequence[RowMetadata]
    documents: Sequence[str] = ()
    vectors: Vectors | Sequence[NDArray[np.float32]] = ()
    sparse: Sequence[SparseVector | None] = ()
    sparse_key: str = ""

    def chosen(self, places: Sequence[int]) -> Rows:
        """Return the rows at these places, without their sparse vectors."""
        return Rows(
            [self.ids[place] for place in places],
            [self.metadatas[place] for place in places],
            [self.documents[place] for place in places],
            [self.vectors[place] for place in places],
        )


NOTHING = Rows((), ())


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was read. `distance` is set by queries; `document` and `vector` if they were requested.

    A store may normalise vectors again: they come back within one unit in the last place.
    """

    id: str
    metadata: Metadata
    document: str | None = None
    vector: NDArray[np.float32] | None = None
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class QueryFunction:
    """Where queries of a collection are embedded: `protocol` spoken at `url`. Recorded in the collection, for its clients.

    `huggingface` needs nothing more in Python; `ollama` one package in Python or JavaScript; `openai` one and a key
    variable. `key_variable`: the client's environment variable that holds a token, where one is needed.
    """

    protocol: QueryProtocol
    url: str
    model: str = ""
    key_variable: str | None = None


@dataclass(frozen=True, slots=True)
class SparseIndex:
    """Sparse vectors of `model` under the metadata key `key`."""

    key: str
    model: str


@dataclass(frozen=True, slots=True)
class CollectionShape:
    """The shape of a new collection; a server without sparse indexes creates it without one."""

    queries: QueryFunction | None = None
    sparse: SparseIndex | None = None


PLAIN_COLLECTION = CollectionShape()


@dataclass(frozen=True, slots=True)
class NamedCollection:
    """A collection as its database lists it: its name now, and its own metadata."""

    name: str
    metadata: Mapping[str, Scalar]

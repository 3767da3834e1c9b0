"""The program, whose Chroma keeps few chunks out of its index files, so that these are written and read in small collections, too.

python -m tests.faults.indexed_early run --config FILE
"""

from typing import Any

from syncd.chroma import transport
from syncd.chroma.shape import CollectionShape, configuration_of
from syncd.cli import main
from syncd.pipeline.embed import engines
from tests.pipeline.embed.hash_engine import ENGINE

INDEXED_FROM = 60
"""Records between two writes of an index's files (hnsw:sync_threshold); 1,000 in Chroma 1.5.9."""


def prepare() -> None:
    """Change what is imported. Vectors may be hashes of texts."""
    engines.ENGINES = (*engines.ENGINES, ENGINE)
    transport.configuration_of = _indexed_early  # pyright: ignore


def _indexed_early(shape: CollectionShape) -> dict[str, Any]:
    configuration: dict[str, Any] = configuration_of(shape)
    return {**configuration, "hnsw": {**configuration["hnsw"], "sync_threshold": INDEXED_FROM, "batch_size": 20}}


if __name__ == "__main__":
    prepare()
    main()

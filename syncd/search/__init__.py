"""Search over synced collections: by meaning, by words, or both."""

from syncd.search.query import Fusion, Hit, Query
from syncd.search.search import Search

__all__ = ["Fusion", "Hit", "Query", "Search"]

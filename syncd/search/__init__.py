"""Search over synced collections: semantic, keyword, or hybrid."""

from syncd.search.query import Fusion, Mode, Query, SearchHit
from syncd.search.search import Search

__all__ = ["Fusion", "Mode", "Query", "Search", "SearchHit"]

"""Search over synced collections: semantic, keyword, or hybrid."""

from syncd.search.query import Answer, Fusion, Mode, Query, SearchHit
from syncd.search.search import Search

__all__ = ["Answer", "Fusion", "Mode", "Query", "Search", "SearchHit"]

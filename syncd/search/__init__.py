"""Search over synced collections: semantic, keyword, or hybrid."""

from syncd.search.fuse import Fusion
from syncd.search.options import SearchOptions
from syncd.search.query import Answer, Mode, Query, SearchHit
from syncd.search.rules import RuleName
from syncd.search.search import Search

__all__ = ["Answer", "Fusion", "Mode", "Query", "RuleName", "Search", "SearchHit", "SearchOptions"]

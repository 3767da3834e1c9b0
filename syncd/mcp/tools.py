"""The tools: what each does, for whom it may do it, and its reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from syncd.api.services import Services
from syncd.errors import NotFoundError, PermanentError
from syncd.mcp.arguments import ListArguments, ReadArguments, RelatedArguments, SearchArguments
from syncd.mcp.replies import MAX_TOKENS, READ_TOKENS, ToolReply, fitting, found_reply, list_reply, read_reply
from syncd.mcp.snippets import snippet
from syncd.model import Target
from syncd.schema import guess
from syncd.search import Query
from syncd.search.passages import Selection
from syncd.search.rankings import pattern_of
from syncd.search.reading import chunk_at, read_text
from syncd.search.several import MAX_COLLECTIONS
from syncd.store.collections import CollectionRecord

DEFAULT_HITS = 5
MAX_HITS = 50


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of one caller. `databases`: those that the caller may access; None: all.

    All raise NotFoundError, PermanentError and RetryableError, whose messages say what to do next.
    """

    services: Services
    databases: frozenset[str] | None

    async def search(self, asked: SearchArguments) -> ToolReply:
        """Return the best hits of all collections, merged by rank."""
        records = await self._collections(asked.database, asked.collections)
        if len(records) > MAX_COLLECTIONS:
            raise PermanentError(
                f"there are {len(records)} collections; name at most {MAX_COLLECTIONS} in `collections`"
            )
        limit = asked.limit or (DEFAULT_HITS if asked.max_tokens is None else MAX_HITS)
        targets = [record.target for record in records]
        answer = await self.services.search_several(query_of_tool(asked, targets[0], limit), targets)
        lines = asked.lines if asked.expand is None else None
        shown = [snippet(hit, lines) for hit in answer.hits]
        places = [hit.place for hit in answer.hits]
        return found_reply(shown, answer.notices, asked.max_tokens or MAX_TOKENS, places, answer.next_offset)

    async def related(self, asked: RelatedArguments) -> ToolReply:
        """Return what is like one place of a document."""
        target = (await self._collection(asked.database, asked.collection)).target
        chunk_id = await chunk_at(self.services.store, target, asked.key, asked.line)
        answer = await self.services.related(Query(target, "", limit=asked.limit), chunk_id)
        shown = [snippet(hit, asked.lines) for hit in answer.hits]
        return found_reply(shown, answer.notices)

    async def read(self, asked: ReadArguments) -> ToolReply:
        """Return a part of a document."""
        record = await self._collection(asked.database, asked.collection)
        wanted = Selection(
            asked.first_line, asked.last_line, asked.first_page, asked.last_page, asked.heading, asked.first_byte
        )
        found = await read_text(self.services.store, record.target, asked.key, wanted, READ_TOKENS)
        return read_reply(found, asked.collection)

    async def list(self, asked: ListArguments) -> ToolReply:
        """Return collections, or the keys of one's documents."""
        if asked.collection is None:
            return await self._list_collections(asked)
        keys: dict[str, None] = {}
        patterns = [pattern_of(asked.path)] if asked.path else []
        for record in await self._collections(asked.database, [asked.collection]):
            found = await self.services.store.chunks.matching(record.id, (), patterns)
            keys |= dict.fromkeys(sorted(found.keys))
        page = list(keys)[asked.offset : asked.offset + asked.limit]
        page = page[: fitting(page)]
        end = asked.offset + len(page)
        values = {"collection": asked.collection, "documents": page, "total": len(keys)}
        return list_reply(page, values, end if page and end < len(keys) else None)

    async def _list_collections(self, asked: ListArguments) -> ToolReply:
        records = await self._collections(asked.database, [])
        page = [await self._described(record) for record in records[asked.offset : asked.offset + asked.limit]]
        kept = fitting([line for line, _ in page])
        end = asked.offset + kept
        values = {"collections": [values for _, values in page[:kept]], "total": len(records)}
        return list_reply([line for line, _ in page[:kept]], values, end if kept and end < len(records) else None)

    async def _described(self, record: CollectionRecord) -> tuple[str, dict[str, object]]:
        """Return a collection as a line and as values: what it holds, of which sources, and how fresh it is."""
        store, target = self.services.store, record.target
        holdings = await store.texts.holdings(record.id)
        sources = [(held, await store.sources.get(held.source_id)) for held in holdings]
        names = [f"{source.name or source.id} ({source.type})" for _, source in sources if source]
        documents = sum(held.documents for held in holdings)
        newest = max((held.recorded_at for held in holdings), default=None)
        moment = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d %H:%MZ") if newest else "never"
        line = f"- **{target.collection}** ({target.database}): {documents} documents of {', '.join(names) or 'no source'}; newest indexed {moment}"
        values: dict[str, object] = {"collection": target.collection, "database": target.database}
        return line, {**values, "documents": documents, "sources": names, "newest_indexed": moment}

    async def _collection(self, database: str | None, name: str) -> CollectionRecord:
        """Return the caller's one collection of this name. Raises NotFoundError, PermanentError."""
        (record, *others) = await self._collections(database, [name])
        if others:
            names = ", ".join(sorted(one.target.database for one in [record, *others]))
            raise PermanentError(f"several databases have a collection {name!r}: give `database`, one of {names}")
        return record

    async def _collections(self, database: str | None, names: Sequence[str]) -> Sequence[CollectionRecord]:
        """Return the caller's collections of these names (none: all). Raises NotFoundError, which lists those there are."""
        records = [
            record
            for record in await self.services.store.collections.answering()
            if (self.databases is None or record.target.database in self.databases)
            and database in (None, record.target.database)
        ]
        known = {record.target.collection for record in records}
        if missing := [name for name in names if name not in known] or ([] if known else ["any"]):
            likely = guess(missing[0], known)
            there = (
                f"{likely}there are: {', '.join(sorted(known))}" if known else "there are none yet; sync a source first"
            )
            raise NotFoundError(f"no collection {missing[0]!r} here; {there}")
        return [record for record in records if not names or record.target.collection in names]


def query_of_tool(asked: SearchArguments, target: Target, limit: int) -> Query:
    """Return the query that the arguments ask, of a collection."""
    return Query(
        target=target,
        text=asked.query,
        mode=asked.mode,
        limit=limit,
        offset=asked.offset,
        paths=asked.paths,
        languages=[name.casefold() for name in asked.languages],
        content=asked.content,
        expand=asked.expand,
    )

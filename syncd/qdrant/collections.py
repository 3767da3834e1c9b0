"""Collections of Qdrant: aliases that can be moved, of collections that cannot be renamed (`names.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import anyio
from qdrant_client import models

from syncd.errors import ConflictError, NotFoundError
from syncd.model import PLAIN_COLLECTION, CollectionShape, NamedCollection, QueryFunction, Scalar, Target
from syncd.qdrant.connection import QdrantConnection, QdrantSettings
from syncd.qdrant.names import (
    alias_of,
    can_have_database,
    id_of,
    is_left_over,
    name_to_begin_with,
    name_with,
    target_of,
)

_INDEXED = ("key", "source_id")
"""Metadata that searches and their paths filter by; whatever else somebody filters by is looked up in the rows."""


class QdrantCollections(QdrantConnection):
    """What can be asked of databases and collections as wholes; what its methods raise, see Qdrant.

    Qdrant wants to know how long vectors are when a collection is made, which is known with the first one that is written:
    until then an empty collection without vectors holds the name, the metadata and the id.
    """

    frees_deleted: bool = True
    """Its vacuum optimizer merges segments of which a fifth was deleted."""
    looks_into_lists: bool = True

    def __init__(self, settings: QdrantSettings) -> None:
        super().__init__(settings)
        self._writing = anyio.Semaphore(1)

    async def database_exists(self, name: str) -> bool:
        """Return whether collections can be named as those of such a database; Qdrant has no databases."""
        return can_have_database(name)

    async def create_database(self, name: str) -> None:
        """Do nothing: each database is there that can be named."""

    async def open_collection(self, target: Target, shape: CollectionShape = PLAIN_COLLECTION) -> str:
        """Make sure that the collection exists and return its id. Twice is safe. Of `shape` Qdrant keeps nothing.

        Raises NotFoundError if Qdrant cannot name the database, ConflictError if it has a collection of this name that syncd did not make.
        """
        alias = alias_of(target)
        async with self._writing:
            aliases = await self._aliases()
            self._names[target] = aliases.get(alias) or await self._made(target, alias, frozenset(aliases.values()))
            return id_of(self._names[target])

    async def _made(self, target: Target, alias: str, named: frozenset[str]) -> str:
        """Return a new collection that the alias stands for; killed before it does, the next call takes what was made.

        What was left over beside one with vectors, of its id, is deleted: that one may have another name by now, and rows.
        """
        names = await self._listed()
        if alias in names:
            raise ConflictError(
                f"Qdrant has a collection {alias} that syncd did not make, and to which it writes nothing: choose another name"
            )
        with_id = Counter(map(id_of, names))
        left_over = [name for name in names if is_left_over(name, alias) and name not in named]
        for name in left_over:
            if with_id[name] > 1:
                await self._call(target, self._client.delete_collection(name))
        name = next((name for name in left_over if with_id[name] == 1), None)
        if name is None:
            name = name_to_begin_with(alias)
            await self._create(target, name, {})
        await self._change_aliases(target, [_standing_for(alias, name)])
        return name

    async def _with_vectors(self, target: Target, name: str, dimensions: int) -> str:
        """Put a collection for vectors in the place of an empty one, under its id. Killed at any point, it is safe to repeat."""
        wanted = name_with(dimensions, name)
        if not await self._call(target, self._client.collection_exists(wanted)):
            vectors = models.VectorParams(
                size=dimensions, distance=models.Distance.COSINE, on_disk=self.settings.on_disk or None
            )
            await self._create(target, wanted, vectors, await self._metadata_of(target, name))
        for key in _INDEXED:
            index = self._client.create_payload_index(wanted, f"metadata.{key}", models.PayloadSchemaType.KEYWORD)
            await self._call(target, index)
        aliases = [alias for alias, named in (await self._aliases()).items() if named == name]
        await self._change_aliases(target, [_standing_for(alias, wanted) for alias in aliases])
        await self._call(target, self._client.delete_collection(name))
        self._names[target] = wanted
        return wanted

    async def _create(
        self,
        target: Target,
        name: str,
        vectors: models.VectorParams | Mapping[str, models.VectorParams],
        metadata: Mapping[str, Scalar] | None = None,
    ) -> None:
        making = self._client.create_collection(
            name,
            vectors_config=vectors,
            shard_number=self.settings.shards,
            replication_factor=self.settings.replicas,
            # Qdrant Cloud's default refuses filters by metadata without an index, and syncd's users filter by any.
            strict_mode_config=models.StrictModeConfig(enabled=False),
            metadata=dict(metadata) if metadata else None,
        )
        await self._call(target, making)

    async def record_queries(self, target: Target, queries: QueryFunction) -> None:
        """Do nothing: Qdrant's collections have no functions."""

    async def collection_id(self, target: Target) -> str | None:
        """Return the collection's id, or None when it does not exist."""
        try:
            return id_of(await self._fresh(target))
        except NotFoundError:
            return None

    async def renamed(self, database: str, collection_id: str) -> NamedCollection | None:
        """Return the collection with this id under the name it has now, or None when it does not exist."""
        for alias, name in sorted((await self._aliases()).items()):
            target = target_of(alias)
            if id_of(name) == collection_id and target.database == database:
                return NamedCollection(target.collection, await self._metadata_of(target, name))
        return None

    async def rename(self, target: Target, collection_id: str) -> None:
        """Have the alias of `target`, which no other one may have, stand for the collection with this id. Twice is safe.

        Whatever other aliases the collection had are gone.
        """
        alias = alias_of(target)
        async with self._writing:
            aliases = await self._aliases()
            former = [one for one, name in aliases.items() if id_of(name) == collection_id]
            if not former:
                raise NotFoundError(f"no collection of Qdrant has the id {collection_id}")
            name = aliases[former[0]]
            if aliases.get(alias, name) != name:
                raise ConflictError(f"Qdrant has another collection {alias}")
            if former != [alias]:
                removed = [_no_longer(one) for one in former if one != alias]
                # Qdrant saves them one by one: killed in between, the collection has two names, and the next call removes one.
                await self._change_aliases(target, [_standing_for(alias, name), *removed])

    def forget(self, target: Target) -> None:
        """Ask anew what the alias stands for when it is next used."""
        self._names.pop(target, None)

    async def metadata(self, target: Target) -> Mapping[str, Scalar]:
        """Return the collection's own metadata."""
        return await self._metadata_of(target, await self._fresh(target))

    async def set_metadata(self, target: Target, changes: Mapping[str, Scalar]) -> None:
        """Merge `changes` into the collection's own metadata. Twice is safe."""
        async with self._writing:
            name = await self._fresh(target)
            await self._call(target, self._client.update_collection(name, metadata=dict(changes)))

    async def delete_collection(self, target: Target) -> None:
        """Delete the collection and everything in it. Twice is safe."""
        self._names.pop(target, None)
        async with self._writing:
            name = (await self._aliases()).get(alias_of(target))
            if name is None:
                return
            # The alias goes with what it stands for, which therefore goes last.
            others = [one for one in await self._listed() if id_of(one) == id_of(name) and one != name]
            for one in (*others, name):
                await self._call(target, self._client.delete_collection(one))

    async def _name(self, target: Target) -> str:
        """Return what Qdrant calls the collection. Raises NotFoundError."""
        return self._names.get(target) or await self._fresh(target)

    async def _fresh(self, target: Target) -> str:
        name = (await self._aliases()).get(alias_of(target))
        if name is None:
            self._names.pop(target, None)
            raise NotFoundError(f"collection {target.collection} in database {target.database} does not exist")
        self._names[target] = name
        return name

    async def _listed(self) -> list[str]:
        """Return the names of all collections, which are no aliases."""
        found = await self._call("the list of collections", self._client.get_collections())
        return [one.name for one in found.collections]

    async def _aliases(self) -> Mapping[str, str]:
        """Return what each alias stands for."""
        found = await self._call("the list of aliases", self._client.get_aliases())
        return {one.alias_name: one.collection_name for one in found.aliases}

    async def _change_aliases(self, target: Target, changes: list[models.AliasOperations]) -> None:
        await self._call(target, self._client.update_collection_aliases(changes))

    async def _metadata_of(self, target: Target, name: str) -> Mapping[str, Scalar]:
        info = await self._call(target, self._client.get_collection(name))
        return dict(info.config.metadata or {})


def _standing_for(alias: str, name: str) -> models.AliasOperations:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=alias))


def _no_longer(alias: str) -> models.AliasOperations:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))

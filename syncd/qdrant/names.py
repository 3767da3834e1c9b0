"""How databases and collections are named in Qdrant, which has no databases and renames no collection. Pure.

People call a collection by an alias: its name, after `DATABASE@` unless the database is the default one, which every Qdrant has.
What the alias stands for is named by syncd: `syncd-` with a digest of the first alias and a random part, which is the collection's
id, and then the number of dimensions. Without one it is empty, as nothing was written yet from which to know it.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

from syncd.errors import NotFoundError, PermanentError
from syncd.model import Target

DEFAULT_DATABASE = "default_database"
_MAX_CHARACTERS = 255
# Qdrant's lib/common/common/src/validation.rs (1.19): what a file system might not take. The last one is ours.
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f\ud800-\udfff@]')
_OURS = re.compile(r"(syncd-[0-9a-f]{12}-[0-9a-f]{16})(-[0-9]+)?")


def can_have_database(name: str) -> bool:
    """Return whether collections of a database of this name can be named."""
    return 0 < len(name) < _MAX_CHARACTERS and not _NOT_IN_NAMES.search(name)


def alias_of(target: Target) -> str:
    """Return the collection's alias. Raises NotFoundError if Qdrant could not name its database, PermanentError if itself."""
    if not can_have_database(target.database):
        raise NotFoundError(f"there can be no database {target.database!r} in Qdrant")
    alias = target.collection if target.database == DEFAULT_DATABASE else f"{target.database}@{target.collection}"
    if len(alias) > _MAX_CHARACTERS or _NOT_IN_NAMES.search(target.collection):
        raise PermanentError(
            f"collection {target.collection} of database {target.database} cannot be named in Qdrant, which takes {_MAX_CHARACTERS} "
            "characters for both: choose a shorter name"
        )
    return alias


def target_of(alias: str) -> Target:
    """Return which collection has this alias."""
    database, _, name = alias.rpartition("@")
    return Target(database or DEFAULT_DATABASE, name)


def name_to_begin_with(alias: str) -> str:
    """Return a name that no collection has had, for a new one that holds nothing."""
    return f"{_begin(alias)}{secrets.token_hex(8)}"


def is_left_over(name: str, alias: str) -> bool:
    """Return whether an empty collection was made for this alias: if none stands for it, its making was interrupted."""
    return name.startswith(_begin(alias)) and not has_vectors(name)


def has_vectors(name: str) -> bool:
    """Return whether the number of dimensions was known when the collection was made; of one that is not ours, it was."""
    found = _OURS.fullmatch(name)
    return found is None or found[2] is not None


def name_with(dimensions: int, name: str) -> str:
    """Return the name of what takes the place of an empty collection, for vectors of so many dimensions."""
    return f"{name}-{dimensions}"


def id_of(name: str) -> str:
    """Return the collection's id, which stays when it gets its vectors."""
    found = _OURS.fullmatch(name)
    return name if found is None else found[1]


def _begin(alias: str) -> str:
    return f"syncd-{sha256(alias.encode()).hexdigest()[:12]}-"

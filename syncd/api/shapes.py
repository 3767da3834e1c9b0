"""The API's models of sources, built from the registered source types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from aiohttp import web
from pydantic import ConfigDict

from syncd.api.errors import bad_request
from syncd.api.schema import CreateSourceBase, SourceBase
from syncd.api.schema_jobs import IndexJobMetadata, JobStatus
from syncd.schema import Model, Uuid, made_model
from syncd.sources.type import SourceTypes

Parameters = TypeVar("Parameters", bound=Model)
SOURCE_DESCRIPTION = """A source, with the `status` and `metadata` of its latest invocation (pending if there was none).

The published API describes the items of this list as invocations; they satisfy both descriptions.
"""


@dataclass(frozen=True, slots=True)
class SourceShapes:
    """Models of sources as created, shown and listed; each type's settings are in a field with the type's name."""

    types: SourceTypes
    create: type[CreateSourceBase]
    source: type[SourceBase]
    item: type[SourceBase]

    @classmethod
    def of(cls, types: SourceTypes) -> SourceShapes:
        """Return the models for these types."""
        one_type = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in types.names]})
        fields: dict[str, Any] = {known.name: (known.shape | None, None) for known in types}
        status: dict[str, Any] = {
            "source_id": (Uuid, ...),
            "status": (JobStatus, ...),
            "metadata": (IndexJobMetadata, ...),
        }
        additions: Any = (
            ClassVar[frozenset[str]],
            frozenset({"name", *(known.name for known in types if not known.is_published)}),
        )
        create = made_model(
            "CreateSourcePayload",
            CreateSourceBase,
            CreateSourceBase.__doc__,
            {"ADDITIONS": additions, **fields},
            one_type,
        )
        source = made_model("Source", SourceBase, SourceBase.__doc__, fields, one_type)
        item = made_model("SourceListItem", source, SOURCE_DESCRIPTION, status)
        return cls(types, create, source, item)

    def query(self, base: type[Parameters]) -> type[Parameters]:
        """Return `base` with `source_type` limited to the registered types, for the OpenAPI document."""
        names: Any = Literal[self.types.names]
        limited: dict[str, Any] = {"source_type": (names | None, None)}
        return made_model(base.__name__, base, base.__doc__, limited)

    def known(self, name: str | None) -> str | None:
        """Return the source type that a query names, None if it names none. Raises RefusedError (400) for an unknown type."""
        if name is not None and name not in self.types.names:
            raise bad_request(f"source_type: must be one of {', '.join(self.types.names)}")
        return name


SHAPES = web.AppKey("shapes", SourceShapes)
"""Where handlers find them: `request.app[SHAPES]`."""

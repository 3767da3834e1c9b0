"""The configuration file and the environment, checked once at the edge.

TOML, overridden by `SYNCD_<SECTION>__<KEY>` variables (`SYNCD_API__PORT=9000`), then validated by pydantic: an unknown key
or a bad value is a ConfigError that names the key, the value and what is allowed. Only app/ and the command line read this.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import Field, ValidationError, model_validator

from syncd.config.documents import DocumentsSection
from syncd.config.mistakes import describe_errors
from syncd.config.models import EmbeddingSection, ModelSection, RerankSection, SearchSection
from syncd.config.stores import CareTable, ChromaSection, Port, QdrantSection, Seconds
from syncd.config.tracing import TracingSection
from syncd.config.webhooks import IncomingWebhookTable, WebhookTable
from syncd.config.workers import WorkersSection
from syncd.errors import ConfigError
from syncd.json_types import is_object
from syncd.schema import Table, made_model
from syncd.sources.registry import TYPES
from syncd.sources.table import SourceTable
from syncd.sources.type import SourceTypes

ENV_PREFIX = "SYNCD_"
VERBATIM = "api_key"
"""The last part of names whose values are text, whatever they look like."""
NOT_SETTINGS = frozenset({"SYNCD_CONFIG", "SYNCD_TOKEN", "SYNCD_PARENT_PID"})

WorkerCount = Annotated[int, Field(ge=1, le=1024)]


class ApiSection(Table):
    """The daemon's own HTTP API."""

    host: str = "127.0.0.1"
    port: Port = 8787
    max_uploads: WorkerCount = 4
    max_sources: Annotated[int, Field(ge=0)] = 200
    """How many there may be in the databases of a token that is limited to some, for that token to make another."""
    max_watched_sources: Annotated[int, Field(ge=0)] = 50

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class LogSection(Table):
    """Where and how much to log; `auto` is JSON under systemd, readable text otherwise."""

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class SyncSection(Table):
    """Limits of concurrent work, and when deletes are held."""

    runs: WorkerCount = 4
    ingesters: WorkerCount = 64
    max_text_in_flight_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    prepared_disk_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    disk_reserve_bytes: Annotated[int, Field(ge=0)] = 256 << 20
    """Work waits while less than this is free on the disk of the state folder."""
    delete_guard_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    delete_guard_minimum: Annotated[int, Field(ge=0)] = 20
    cache_unused_days: Annotated[int, Field(ge=1)] = 90
    """Cached vectors that no chunk has used for this long are deleted."""
    keep_runs_days: Annotated[int, Field(ge=1)] = 90
    """Runs that ended longer ago are forgotten, but for those that somebody may still ask for: see `RunHistory`."""


class Config(Table):
    """The whole configuration; every key has a default, so an empty file is a valid one.

    `config_model` adds what the source types define: the tables of their sources, and a table for each type.
    """

    state_dir: Path = Path("~/.local/state/syncd")
    stop_deadline_s: Seconds = 30.0
    api: ApiSection = ApiSection()
    log: LogSection = LogSection()
    chroma: ChromaSection = ChromaSection()
    qdrant: QdrantSection = QdrantSection()
    embedding: EmbeddingSection = EmbeddingSection()
    models: tuple[ModelSection, ...] = ()
    workers: WorkersSection = WorkersSection()
    documents: DocumentsSection = DocumentsSection()
    search: SearchSection = SearchSection()
    rerank: RerankSection = RerankSection()
    sync: SyncSection = SyncSection()
    tracing: TracingSection = TracingSection()
    webhooks: tuple[WebhookTable, ...] = ()
    incoming_webhooks: tuple[IncomingWebhookTable, ...] = ()
    sources: tuple[SourceTable, ...] = ()

    @model_validator(mode="after")
    def unique_names(self) -> Config:
        """Check that names of sources, models and webhooks are unique."""
        for kind in ("sources", "models", "webhooks", "incoming_webhooks"):
            names: list[str] = [table.name for table in getattr(self, kind)]
            if twice := {name for name, times in Counter(names).items() if times > 1}:
                raise ValueError(f"{kind}: the name {sorted(twice)[0]!r} is used twice; names must be unique")
        return self

    @model_validator(mode="after")
    def distinct_sources(self) -> Config:
        """Check that no two sources bring the same documents: everything would be there, and found, twice."""
        # Only within one place and collection: there may be ten thousand sources, and each pair takes long to compare.
        alike: dict[tuple[str, str, str, str], list[SourceTable]] = {}
        for source in self.sources:
            place = (source.source_type, source.database, source.settings().place, source.collection)
            before = alike.setdefault(place, [])
            before.append(source)
            for earlier in before[:-1]:
                if source.repeats(earlier):
                    both = f"{earlier.name!r} and {source.name!r}"
                    raise ValueError(
                        f"sources: {both} bring the same documents into the same collection; remove one of them"
                    )
        return self

    @model_validator(mode="after")
    def complete_sources(self) -> Config:
        """Check that the declared sources fit the other tables, and stay out of the daemon's own state."""
        for source in self.sources:
            source.check_beside(self.sections, self.state_folder)
        return self

    @model_validator(mode="after")
    def reachable_queries(self) -> Config:
        """Check that clients can send a token if one is needed; Ollama's cannot."""
        if self.embedding.queries == "ollama" and not self.api.loopback and self.embedding.queries_url is None:
            raise ValueError(
                "embedding.queries 'ollama' cannot send a token, which is required because api.host is not loopback; use 'huggingface', or put "
                "a proxy that adds it into embedding.queries_url"
            )
        return self

    @model_validator(mode="after")
    def one_store(self) -> Config:
        """Check that one vector store is named."""
        if self.qdrant.url is not None and self.chroma != ChromaSection():
            raise ValueError(
                "qdrant.url and [chroma] name two vector stores, and a daemon writes to one: remove either"
            )
        return self

    @property
    def care(self) -> CareTable:
        """How the collections of the chosen vector store are looked after."""
        return self.chroma if self.qdrant.url is None else self.qdrant

    @property
    def sections(self) -> Mapping[type[Table], Table]:
        """The source types' tables, by model."""
        own = type(self).model_fields.keys() - Config.model_fields.keys()
        return {type(table): table for table in (getattr(self, name) for name in own)}

    @property
    def state_folder(self) -> Path:
        """The state folder; systemd's STATE_DIRECTORY wins over the default."""
        given = os.environ.get("STATE_DIRECTORY")
        if given and "state_dir" not in self.model_fields_set:
            return Path(given.split(":")[0])
        return self.state_dir.expanduser().absolute()


@cache
def config_model(types: SourceTypes) -> type[Config]:
    """Return the model of a configuration in which sources of these types can be declared."""
    tables = tuple(known.table for known in types if known.table)
    declared: Any = Annotated[Union[tables], Field(discriminator="type")]  # noqa: UP007 - a union made at run time
    sections = {name: (model, model()) for known in types for name, model in known.sections.items()}
    fields: dict[str, Any] = {"sources": (tuple[declared, ...], ()), **sections}
    return made_model("Config", Config, Config.__doc__, fields)


def load_config(file: Path | None, environment: Mapping[str, str] | None = None, types: SourceTypes = TYPES) -> Config:
    """Read and check the configuration; `file` None means defaults and environment only. Raises ConfigError."""
    values = read_toml(file) if file else {}
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS:
            override(values, name, text)
    model = config_model(types)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_errors(error, file, model)) from None


def read_toml(file: Path) -> dict[str, object]:
    """Return the file's tables. Raises ConfigError if it is missing or not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist; `syncd config template` prints one to start from") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); give a file that this user may read") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}; correct it there") from None


def override(values: dict[str, object], name: str, text: str) -> None:
    """Set one environment variable in `values`; its text is read as a TOML value if it is one, else as a string. A key to a server
    is text always: it may look like a number.
    """
    *sections, key = name.removeprefix(ENV_PREFIX).lower().split("__")
    table = values
    for section in sections:
        inner = table.setdefault(section, {})
        if not is_object(inner):
            raise ConfigError(f"{name} does not name a configuration key; write SYNCD_SECTION__KEY")
        table = inner
    if key == VERBATIM:
        table[key] = text
        return
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        table[key] = text

"""The configuration file and the environment, checked once at the edge.

TOML, then `SYNCD_<SECTION>__<KEY>` variables over it (`SYNCD_API__PORT=9000`), then pydantic: an unknown key or a bad value
is a ConfigError that names the key, the value and what is allowed. Only app.py and the command line read this.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from syncd.config.documents import DocumentsSection
from syncd.config.models import EmbeddingSection, ModelSection
from syncd.config.sources import DeclaredSource, FolderTable, OwnPath, S3Table, own_path
from syncd.errors import ConfigError

ENV_PREFIX = "SYNCD_"
NOT_SETTINGS = frozenset({"SYNCD_CONFIG", "SYNCD_TOKEN", "SYNCD_PARENT_PID"})

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=1024)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ApiSection(Section):
    """The daemon's own HTTP API."""

    host: str = "127.0.0.1"
    port: Port = 8787
    max_uploads: Count = 4

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class LogSection(Section):
    """Where and how much to log; `auto` is JSON under systemd, readable text otherwise."""

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class ChromaSection(Section):
    """The Chroma that is written: our own child (`local`), an existing server, or Chroma Cloud."""

    mode: Literal["local", "server", "cloud"] = "local"
    host: str = "127.0.0.1"
    port: Port = 0
    """`local`: 0 takes a free port at each start. `server`: required."""
    ssl: bool = False
    headers: dict[str, SecretStr] = {}
    tenant: str = "default_tenant"
    api_key: SecretStr | None = None

    @model_validator(mode="after")
    def complete(self) -> ChromaSection:
        """Check that the chosen mode has what it needs."""
        if self.mode == "server" and self.port == 0:
            raise ValueError("chroma.mode 'server' needs chroma.port (a Chroma server listens on 8000 by default)")
        if self.mode == "cloud" and self.api_key is None:
            raise ValueError("chroma.mode 'cloud' needs chroma.api_key (or SYNCD_CHROMA__API_KEY) and chroma.tenant")
        return self


class GithubAppSection(Section):
    """A GitHub App that reads private repositories."""

    app_id: str
    private_key_file: OwnPath


class GithubSection(Section):
    """GitHub, or a GitHub Enterprise server."""

    base_url: str = "https://github.com"
    api_url: str = "https://api.github.com"
    max_file_size_bytes: Annotated[int, Field(ge=1)] = 1 << 20
    apps: tuple[GithubAppSection, ...] = ()


class FolderSection(Section):
    """Folder sources."""

    allowed_roots: tuple[Path, ...] = ()
    """Folders below which `folder` sources may be made through the API; none by default."""
    max_file_size_bytes: Annotated[int, Field(ge=1)] = 1 << 20

    @property
    def real_roots(self) -> tuple[Path, ...]:
        """The allowed roots by their real paths, as they are now."""
        return tuple(Path(os.path.realpath(root.expanduser())) for root in self.allowed_roots)


class WebSection(Section):
    """How sites are crawled."""

    contact: str = ""
    """A URL or mail address for site owners, told in the user agent."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests in flight to one host."""
    rate_per_s: Annotated[float, Field(ge=0)] = 10.0
    """Requests a second to one host; 0: as fast as it answers."""
    allow_private_addresses: tuple[str, ...] = ()
    """Networks or addresses that may be crawled although they are not public: '10.0.0.0/8', '127.0.0.1:8000'."""


class SearchSection(Section):
    """Search by words."""

    sparse_default: Literal["syncd/Code-BM25", "Chroma/BM25", "prithivida/Splade_PP_en_v1", "none"] = "syncd/Code-BM25"
    """The sparse model of collections whose source names none; `none` keeps no sparse vectors for them."""
    splade_dir: OwnPath | None = None
    """Where SPLADE's model.onnx and tokenizer.json are; by default fetched into the models folder when first asked for."""


class S3Section(Section):
    """S3 sources."""

    queue_url: str | None = None
    """Where the events of sources arrive that name no queue of their own, such as those made through the API."""
    visibility_s: Annotated[int, Field(ge=1, le=43_200)] = 120
    """How long a message stays hidden after each heartbeat; those of a killed daemon come back after it."""
    allowed_endpoints: tuple[Annotated[str, Field(pattern=r"^https?://[^/?#@]+/?$")], ...] = ()
    """What sources made through the network API may name as `endpoint_url` beside AWS; none by default."""


class SyncSection(Section):
    """How much goes on at once, and when to hold back."""

    runs: Count = 4
    ingesters: Count = 64
    max_text_in_flight_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    delete_guard_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    delete_guard_minimum: Annotated[int, Field(ge=0)] = 20
    cache_unused_days: Annotated[int, Field(ge=1)] = 90
    """Vectors that no chunk has used for so long are dropped from the cache."""


class Config(Section):
    """The whole configuration; every key has a default, so an empty file is a valid one."""

    state_dir: Path = Path("~/.local/state/syncd")
    stop_deadline_s: Seconds = 30.0
    api: ApiSection = ApiSection()
    log: LogSection = LogSection()
    chroma: ChromaSection = ChromaSection()
    embedding: EmbeddingSection = EmbeddingSection()
    models: tuple[ModelSection, ...] = ()
    documents: DocumentsSection = DocumentsSection()
    github: GithubSection = GithubSection()
    folder: FolderSection = FolderSection()
    web: WebSection = WebSection()
    s3: S3Section = S3Section()
    search: SearchSection = SearchSection()
    sync: SyncSection = SyncSection()
    sources: tuple[DeclaredSource, ...] = ()

    @model_validator(mode="after")
    def unique_names(self) -> Config:
        """Check that source and model names are unique."""
        for kind, names in (("sources", [s.name for s in self.sources]), ("models", [m.name for m in self.models])):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{kind}: the name {sorted(twice)[0]!r} is used twice; names must be unique")
        return self

    @model_validator(mode="after")
    def event_queues(self) -> Config:
        """Check that sources that follow events have a queue, their own or the common one."""
        for source in self.sources:
            if (
                isinstance(source, S3Table)
                and source.auto_sync != "none"
                and not (source.queue_url or self.s3.queue_url)
            ):
                raise ValueError(
                    f"sources: auto_sync of {source.name!r} needs queue_url, there or in [s3]; `syncd s3 setup` makes the "
                    "queue and prints its URL"
                )
        return self

    @model_validator(mode="after")
    def closed_state(self) -> Config:
        """Check that no source reads the daemon's own state."""
        state = Path(os.path.realpath(self.state_folder))
        for source in self.sources:
            if isinstance(source, FolderTable) and Path(os.path.realpath(own_path(source.path))).is_relative_to(state):
                raise ValueError(
                    f"sources: path of {source.name!r} lies in the state folder {state}, which is never read; name a folder "
                    "outside it"
                )
        return self

    @model_validator(mode="after")
    def reachable_queries(self) -> Config:
        """Check that clients can show a token where one is needed: Ollama's cannot."""
        if self.embedding.queries == "ollama" and not self.api.loopback and self.embedding.queries_url is None:
            raise ValueError(
                "embedding.queries 'ollama' cannot show a token, which api.host needs off loopback; use 'huggingface', or put "
                "a proxy that adds it into embedding.queries_url"
            )
        return self

    @property
    def state_folder(self) -> Path:
        """The state folder; systemd's STATE_DIRECTORY wins over the default."""
        given = os.environ.get("STATE_DIRECTORY")
        if given and "state_dir" not in self.model_fields_set:
            return Path(given.split(":")[0])
        return self.state_dir.expanduser().absolute()


def load_config(file: Path | None, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the configuration; `file` None means defaults and environment only. Raises ConfigError."""
    values = read_toml(file) if file else {}
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS:
            override(values, name, text)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe(error, file)) from None


def read_toml(file: Path) -> dict[str, Any]:
    """Return the file's tables. Raises ConfigError when it is missing or not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist; start from config/syncd.toml or give another --config") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from None


def override(values: dict[str, Any], name: str, text: str) -> None:
    """Put one environment variable over `values`; its text is read as a TOML value, or else taken as a string."""
    *sections, key = name.removeprefix(ENV_PREFIX).lower().split("__")
    table = values
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{name} does not name a configuration key; write SYNCD_SECTION__KEY")
        table = cast("dict[str, Any]", table)
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = text


def describe(error: ValidationError, file: Path | None) -> str:
    """Return one line that names every wrong key, its value and what is allowed."""
    lines: list[str] = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"] if not str(part).startswith("function-"))
        if item["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key; see config/syncd.toml for all keys")
        elif item["type"] == "value_error":
            lines.append(
                f"{key}: {item['msg'].removeprefix('Value error, ')}"
                if key
                else item["msg"].removeprefix("Value error, ")
            )
        else:
            lines.append(f"{key} = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}")
    return f"{file or 'the environment'}: " + "; ".join(lines)

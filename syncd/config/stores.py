"""The tables of the vector store: Chroma, or Qdrant where its address is given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from syncd.config.secret import HeaderSecret, OptionalSecret
from syncd.schema import Table, http_parts

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]

HEEDED_BY = {
    "host": ("server",),
    "port": ("local", "server"),
    "ssl": ("server",),
    "headers": ("server",),
    "api_key": ("cloud",),
}
"""The keys of `[chroma]` that say where it is and who we are, and the modes that they mean something to."""


class CareTable(Table):
    """How collections are looked after, in whichever store they are."""

    check_interval_s: Seconds = 8.0
    """How often it is checked that every collection is still there, with all its rows."""
    probe_interval_s: Seconds = 600.0
    """How often a sample of every collection's vectors is asked for, to see whether they find themselves."""
    verify_interval_s: Annotated[float, Field(ge=0)] = 3600.0
    """How often some thousand chunks of every collection are verified and mended; 0: never. Not with `cloud`, which bills for it."""
    keep_former_days: Annotated[float, Field(ge=0)] = 7.0
    """How long `syncd rollback` can go back to a collection whose place one with other settings has taken."""


class ChromaSection(CareTable):
    """The Chroma to write to: our own child process (`local`), an existing server, or Chroma Cloud."""

    mode: Literal["local", "server", "cloud"] = "local"
    host: str = "127.0.0.1"
    port: Port = 0
    """`local`: 0 keeps the server to the daemon, where the kernel allows it; any other opens it on loopback. `server`: required."""
    ssl: bool = False
    headers: dict[HeaderName, HeaderSecret] = Field(default_factory=dict[str, SecretStr])
    tenant: str = "default_tenant"
    api_key: OptionalSecret = None
    compact_above: Annotated[float, Field(gt=1)] = 5.0
    """A collection that needs more than so many times the space of its rows is rebuilt from the store; not with `cloud`."""

    @model_validator(mode="after")
    def complete(self) -> ChromaSection:
        """Check that the chosen mode's required keys are given."""
        if self.mode == "server" and self.port == 0:
            raise ValueError("chroma.mode 'server' needs chroma.port (a Chroma server listens on 8000 by default)")
        if self.mode == "cloud" and self.api_key is None:
            raise ValueError("chroma.mode 'cloud' needs chroma.api_key (or SYNCD_CHROMA__API_KEY) and chroma.tenant")
        return self

    @model_validator(mode="after")
    def heeded(self) -> ChromaSection:
        """Check that no key is given that the mode has no use for: whoever gave it means another Chroma than would be written to."""
        unsaid = ChromaSection.model_construct()
        for key, modes in HEEDED_BY.items():
            if self.mode not in modes and getattr(self, key) != getattr(unsaid, key):
                given, needed = f"chroma.{key} (or SYNCD_CHROMA__{key.upper()})", " or ".join(map(repr, modes))
                raise ValueError(f"{given} needs chroma.mode {needed}, not {self.mode!r}")
        return self


class QdrantSection(CareTable):
    """The Qdrant to write to, instead of Chroma if `url` is given."""

    url: str | None = None
    api_key: OptionalSecret = None
    """It has to be allowed to manage: collections are made and deleted."""
    shards: Annotated[int, Field(ge=1)] | None = None
    replicas: Annotated[int, Field(ge=1)] | None = None
    on_disk: bool = False

    @field_validator("url")
    @classmethod
    def whole(cls, url: str | None) -> str | None:
        """Check that the address is one of HTTP, without credentials."""
        if url is not None:
            parts = http_parts(url)
            if parts is None or parts.username or parts.query:
                raise ValueError(
                    "qdrant.url is no address such as http://127.0.0.1:6333 (without a port, 6333); a key goes into qdrant.api_key"
                )
        return url

    @model_validator(mode="after")
    def somewhere(self) -> QdrantSection:
        """Check that the other keys have an address to go with."""
        if self.url is None and self != QdrantSection.model_construct():
            raise ValueError("qdrant needs qdrant.url, such as http://127.0.0.1:6333")
        return self

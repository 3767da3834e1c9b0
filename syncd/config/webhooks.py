"""`[[webhooks]]` and `[[incoming_webhooks]]` in the configuration file: who is told of what, and who tells of changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator

from syncd.config.secret import check_secret, read_secret
from syncd.errors import ConfigError
from syncd.model.notifications import NotifiedEvent
from syncd.schema import Table, VariableName, with_place

SHORTEST_SECRET = 16
"""Characters. Whoever gets a message can try secrets as fast as a machine computes."""
WebhookName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
WebhookUrl = Annotated[str, Field(pattern=r"^https?://[^/@\s]+(/\S*)?$", max_length=2000), AfterValidator(with_place)]


class SharedSecret(Table):
    """A secret that signs messages, known to both sides."""

    name: WebhookName
    """What it is called in the status, and in the address of those that come in."""
    secret: SecretStr | None = None
    secret_env: VariableName | None = None
    """The environment variable that holds it; names beginning with SYNCD_ are configuration keys."""
    secret_file: Path | None = None
    """The file that holds it; a bare name is one of systemd's credentials."""

    @model_validator(mode="after")
    def one_secret(self) -> SharedSecret:
        """Check that the secret is given, in one way."""
        if self.secret is None and self.secret_env is None and self.secret_file is None:
            raise ValueError(
                f"{self.name!r} needs secret_env, secret_file or secret; make one with: openssl rand -hex 32"
            )
        check_secret("secret", self.secret, self.secret_env, self.secret_file)
        return self

    def read(self, table: str) -> str:
        """Return the secret. Raises ConfigError if it cannot be read or is short."""
        found = read_secret((table, self.name), self.secret, self.secret_env, self.secret_file) or ""
        if len(found) < SHORTEST_SECRET:
            raise ConfigError(
                f"{table}: the secret of {self.name} is shorter than {SHORTEST_SECRET} characters; make one with: openssl rand -hex 32"
            )
        return found


class WebhookTable(SharedSecret):
    """`[[webhooks]]`: a receiver of notifications. Private addresses are fine: they are the operator's."""

    url: WebhookUrl
    events: tuple[NotifiedEvent, ...] = ()
    """Which it is told; all when empty."""
    databases: tuple[str, ...] = ()
    """Of which databases; of all when empty."""
    sources: tuple[str, ...] = ()
    """Of which sources, by name or id; of all when empty."""


class IncomingWebhookTable(SharedSecret):
    """`[[incoming_webhooks]]`: who may announce, at `/hooks/NAME`, that sources changed."""

    databases: tuple[str, ...] = ()
    """Whose sources; all when empty."""

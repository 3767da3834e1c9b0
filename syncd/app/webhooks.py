"""The webhooks of the configuration: who is told of what, and who may announce what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncd.api.incoming_signatures import IncomingWebhook
from syncd.config import Config
from syncd.config.webhooks import SharedSecret
from syncd.errors import ConfigError
from syncd.model.notifications import WebhookFilter
from syncd.redaction import register_secret
from syncd.sync.webhook_sender import Webhook
from syncd.sync.webhook_signature import signing_key


def webhooks_of(config: Config) -> Sequence[Webhook]:
    """Return who is told of what happens. Raises ConfigError if a secret cannot be used."""
    return [Webhook(table.name, table.url, signing_key(_secret("webhooks", table))) for table in config.webhooks]


def webhook_filters(config: Config) -> Sequence[WebhookFilter]:
    """Return what each webhook is told."""
    return [WebhookFilter(table.name, table.events, table.databases, table.sources) for table in config.webhooks]


def incoming_of(config: Config) -> Mapping[str, IncomingWebhook]:
    """Return who may announce changes, by name. Raises ConfigError if a secret cannot be used."""
    return {
        table.name: IncomingWebhook(table.name, _secret("incoming_webhooks", table), frozenset(table.databases))
        for table in config.incoming_webhooks
    }


def _secret(key: str, table: SharedSecret) -> str:
    """Return a secret, from now on kept out of messages."""
    register_secret(found := table.read(key))
    try:
        signing_key(found)
    except ValueError as error:
        raise ConfigError(f"{key}: the secret of {table.name} cannot be used: {error}") from None
    return found

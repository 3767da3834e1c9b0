"""Opens sources in Google Cloud Storage."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import urlsplit

from typing_extensions import override

from syncd.errors import MisconfiguredError, PermanentError
from syncd.model import SourceRecord
from syncd.schema import Model
from syncd.sources.factory import Machine
from syncd.sources.gcs.bucket import GCS_URL, GcsBucket
from syncd.sources.gcs.credentials import GoogleTokens, TokenRequest, asking_by_file, asking_by_login
from syncd.sources.gcs.errors import gcs_error
from syncd.sources.gcs.keys import PUBSUB_SCOPE, STORAGE_SCOPE, TOKEN_URL, ServiceAccountKey, read_google_key
from syncd.sources.gcs.naming import check_gcs_bucket, check_subscription
from syncd.sources.gcs.settings import GcsSection, GcsSource, GcsSourceSettings
from syncd.sources.gcs.subscription import SUBSCRIPTIONS, Subscription, pubsub_error
from syncd.sources.objects.endpoints import check_secrecy
from syncd.sources.objects.factory import ObjectStoreFactory
from syncd.sources.objects.http import Anonymous, Asking, HttpConnection, Signer

_PUBSUB = re.compile(r"https://(?:[a-z0-9-]+-)?pubsub\.googleapis\.com/")


class GcsFactory(ObjectStoreFactory[GcsSourceSettings]):
    """The open GCS sources."""

    def __init__(self, machine: Machine) -> None:
        section = machine.section(GcsSection)
        super().__init__(machine, "gcs", section, SUBSCRIPTIONS)
        self._token_hosts = {origin_of(TOKEN_URL), *(url.rstrip("/") for url in section.allowed_endpoints)}

    def endpoint(self, settings: GcsSourceSettings) -> str:
        """Return Google's API, or the one that is named in its place."""
        return (settings.endpoint_url or GCS_URL).rstrip("/")

    @override
    async def examine(self, record: SourceRecord[GcsSourceSettings]) -> None:
        """Read the key, too, and sign with it."""
        await super().examine(record)
        if not record.settings.anonymous:
            await self._own_asking(record.settings)(STORAGE_SCOPE)

    def check(self, settings: GcsSourceSettings) -> None:
        """Check the bucket's name. Raises PermanentError."""
        check_gcs_bucket(settings.bucket_name)
        if settings.queue_url is not None:
            check_subscription(settings.queue_url)

    def given_secret(self, given: Model) -> str | None:
        """Return the key in a request to the API, if there is one."""
        return given.service_account_key if isinstance(given, GcsSource) else None

    def stored_signer(self, settings: GcsSourceSettings, value: str) -> Signer:
        """Return the service account whose key the safe holds. Raises PermanentError."""
        return self._tokens(settings, self._stored_asking(value))

    def own_signer(self, settings: GcsSourceSettings, *, is_declared: bool) -> Signer:
        """Return who the configuration names, or whom this machine is logged in as; nobody, for sources of the API."""
        if not is_declared or settings.anonymous:
            return Anonymous()
        return self._tokens(settings, self._own_asking(settings))

    def store(self, settings: GcsSourceSettings, signer: Signer) -> GcsBucket:
        """Return the bucket; never waits."""
        connection = HttpConnection(self.client, signer, gcs_error)
        return GcsBucket(settings.bucket_name, self.endpoint(settings), connection)

    def is_own_queue(self, settings: GcsSourceSettings, queue_url: str) -> bool:
        """Return whether a subscription is at Google's, perhaps at one of its regional addresses."""
        del settings
        return bool(_PUBSUB.match(queue_url))

    def queue(self, record: SourceRecord[GcsSourceSettings], queue_url: str, secret: str | None) -> Subscription:
        """Return the subscription, read with tokens of its own: those for the bucket are not good for it. Raises PermanentError."""
        is_declared = record.is_declared
        if secret is None and (not is_declared or record.settings.anonymous):
            raise MisconfiguredError("queue_url needs a credential: nobody may read a subscription anonymously")
        asking = self._own_asking(record.settings) if secret is None else self._stored_asking(secret)
        tokens = GoogleTokens(self.client, asking, PUBSUB_SCOPE, queue_url)
        return Subscription(queue_url, HttpConnection(self.client, tokens, pubsub_error))

    def _stored_asking(self, value: str) -> TokenRequest:
        key = self._read_stored(value)

        async def asking(scope: str) -> Asking:
            return key.asking(scope)

        return asking

    def _own_asking(self, settings: GcsSourceSettings) -> TokenRequest:
        file = settings.credential_file
        return partial(asking_by_file, file) if file else asking_by_login

    def _tokens(self, settings: GcsSourceSettings, asking: TokenRequest) -> GoogleTokens:
        check_secrecy(self.endpoint(settings), "an access token")
        return GoogleTokens(self.client, asking, STORAGE_SCOPE, settings.place)

    def _read_stored(self, text: str) -> ServiceAccountKey:
        """Return a key that came through the API: it must not have requests sent to a host of the caller's choice."""
        key = read_google_key(text, "service_account_key")
        if not isinstance(key, ServiceAccountKey):
            raise MisconfiguredError("service_account_key holds somebody's own login; give a service account's key")
        if origin_of(key.token_uri) not in self._token_hosts:
            raise PermanentError(
                f"the key's token_uri {key.token_uri!r} is not {TOKEN_URL}; name its host under gcs.allowed_endpoints"
            )
        return key


def origin_of(url: str) -> str:
    """Return a URL's scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

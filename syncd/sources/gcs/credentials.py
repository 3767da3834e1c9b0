"""Access tokens for Google Cloud Storage: from a key, or from the machine's own login.

Application Default Credentials, in Google's order: the file that GOOGLE_APPLICATION_CREDENTIALS names, gcloud's login, the metadata
server of Google's machines ("How Application Default Credentials works").
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import to_thread
from pydantic import BaseModel, Field, ValidationError
from yarl import URL

from syncd.errors import MisconfiguredError, RetryableError
from syncd.runtime.headers import retry_after_s
from syncd.sources.gcs.keys import AccessToken, read_google_key
from syncd.sources.objects.factory import secret_in
from syncd.sources.objects.http import REFUSAL_MAX_BYTES, Asking, HttpClient, bounded_body, exchange

RENEW_BEFORE_S = 300.0
"""A request that starts with a token must have ended when the token does."""
ANOTHER_AFTER_S = 60.0
"""A token that is refused so soon after it was made is no stale one: another would be refused, too."""
METADATA_HOST = "metadata.google.internal"
METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
GCLOUD_LOGIN = Path(".config/gcloud/application_default_credentials.json")


TokenRequest = Callable[[str], Awaitable[Asking]]
"""Returns the request for an access token for a scope; may raise MisconfiguredError."""


class GrantedToken(BaseModel):
    """The answer of a token endpoint or of the metadata server."""

    access_token: str = Field(repr=False)
    expires_in: float = 3600.0


class GoogleTokens:
    """Signs requests with access tokens, each used until shortly before it ends; a `Signer`."""

    def __init__(self, client: HttpClient, asking: TokenRequest, scope: str, what: str) -> None:
        """`asking` is given the scope; `what` is read with the tokens, for messages."""
        self._client = client
        self._asking = asking
        self._scope = scope
        self._what = f"the access token for {what}"
        self._token: AccessToken | None = None
        self._renewing = anyio.Lock()

    async def signed(self, asking: Asking) -> Asking:
        """Return the request with a token; waits for the network unless one is there.

        Raises MisconfiguredError if the key cannot be used, RetryableError.
        """
        async with self._renewing:
            if self._token is None or self._token.ends_at - RENEW_BEFORE_S < time.monotonic():
                self._token = await self._another()
            token = self._token.value
        return replace(asking, headers={**asking.headers, "Authorization": f"Bearer {token}"})

    def forget(self) -> bool:
        """Forget the token; return whether another one may be better."""
        token, self._token = self._token, None
        return token is not None and time.monotonic() - token.made_at > ANOTHER_AFTER_S

    async def _another(self) -> AccessToken:
        asking = await self._asking(self._scope)
        what = f"{self._what} from {asking.url.host}"
        async with exchange(self._client, asking, what) as response:
            body = await bounded_body(response, what, REFUSAL_MAX_BYTES)
            if response.status == 429 or response.status >= 500:
                wait_s = retry_after_s(response.headers.get("Retry-After"))
                raise RetryableError(f"{what}: the service failed ({response.status})", wait_s)
            if response.status != 200:
                raise MisconfiguredError(
                    f"{what} was refused ({response.status}): the key is deleted or disabled, or the clock is wrong; "
                    "create a new key"
                )
        try:
            granted = GrantedToken.model_validate_json(body)
        except ValidationError:
            raise RetryableError(f"{what}: unexpected answer") from None
        now = time.monotonic()
        return AccessToken(granted.access_token, now, now + granted.expires_in)


async def asking_by_file(file: str, scope: str) -> Asking:
    """Return the request for a token with the key in a file, read each time. Raises MisconfiguredError."""
    return read_google_key(await secret_in(file), f"credential_file {file!r}").asking(scope)


async def asking_by_login(scope: str) -> Asking:
    """Return the request for a token of whoever this machine is logged in as. Raises MisconfiguredError."""
    if named := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return await asking_by_file(named, scope)
    login = Path.home() / GCLOUD_LOGIN
    if await to_thread.run_sync(login.is_file):
        return await asking_by_file(str(login), scope)
    host = os.environ.get("GCE_METADATA_HOST") or METADATA_HOST
    return Asking(URL(f"http://{host}{METADATA_PATH}"), {"Metadata-Flavor": "Google"})

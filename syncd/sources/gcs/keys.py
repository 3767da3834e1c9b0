"""Google's credential files: what they hold, and the request that turns each into an access token. Pure, but for the clock.

Sources: RFC 7523 and Google's "Using OAuth 2.0 for Server to Server Applications" for service accounts; RFC 6749 section 6 for what
`gcloud auth application-default login` leaves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import jwt
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from yarl import URL

from syncd.errors import MisconfiguredError
from syncd.schema import http_parts
from syncd.sources.objects.http import Asking

STORAGE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
PUBSUB_SCOPE = "https://www.googleapis.com/auth/pubsub"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE_S = 3600
"""Google's maximum."""


class ServiceAccountKey(BaseModel):
    """A service account's key file, as the Google Cloud console makes it."""

    type: Literal["service_account"]
    client_email: str
    private_key: str = Field(repr=False)
    private_key_id: str | None = None
    token_uri: str = TOKEN_URL

    def asking(self, scope: str) -> Asking:
        """Return the request for an access token. Raises MisconfiguredError for a damaged key."""
        now = int(time.time())
        claims = {"iss": self.client_email, "scope": scope, "aud": self.token_uri, "iat": now}
        try:
            signed = jwt.encode(
                {**claims, "exp": now + ASSERTION_LIFE_S},
                self.private_key,
                algorithm="RS256",
                headers={"kid": self.private_key_id} if self.private_key_id else None,
            )
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise MisconfiguredError(
                f"the key of {self.client_email} is damaged: its private_key is no RSA key; create a new one"
            ) from error
        return Asking(URL(self.token_uri), method="POST", body={"grant_type": JWT_GRANT, "assertion": signed})


class UserLogin(BaseModel):
    """What `gcloud auth application-default login` leaves."""

    type: Literal["authorized_user"]
    client_id: str
    client_secret: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_uri: str = TOKEN_URL

    def asking(self, scope: str) -> Asking:
        """Return the request for an access token; the login decided what for, whatever `scope`."""
        del scope
        return Asking(
            URL(self.token_uri),
            method="POST",
            body={
                "grant_type": "refresh_token",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "refresh_token": self.refresh_token,
            },
        )


GoogleKey: TypeAlias = "ServiceAccountKey | UserLogin"
_KEYS: TypeAdapter[GoogleKey] = TypeAdapter(ServiceAccountKey | UserLogin)


def read_google_key(text: str, where: str) -> GoogleKey:
    """Return the key that a credential file's text holds; `where` names it in messages. Raises MisconfiguredError."""
    try:
        key = _KEYS.validate_json(text)
    except (ValidationError, ValueError):
        # Without the cause: it quotes what it was given.
        raise MisconfiguredError(
            f"{where} is neither a service account's key in JSON nor a login of gcloud; other kinds are not read"
        ) from None
    if http_parts(key.token_uri) is None:
        raise MisconfiguredError(f"{where}: its token_uri is no URL")
    return key


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and when it ends, on the monotonic clock."""

    value: str = field(repr=False)
    made_at: float
    ends_at: float

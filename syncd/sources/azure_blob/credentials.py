"""Signs requests to Azure Storage: with an account key, or by a SAS token.

Sources: Azure Storage REST API, "Authorize with Shared Key" (version 2015-02-21 and later), "Create a service SAS", "Configure Azure
Storage connection strings".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from hashlib import sha256

from yarl import URL

from syncd.errors import MisconfiguredError
from syncd.sources.objects.endpoints import check_secrecy
from syncd.sources.objects.factory import secret_in
from syncd.sources.objects.http import Asking, Signer

API_VERSION = "2023-11-03"
READ_AGAIN_S = 60.0
"""How often a refused credential is read again, because its file may have been corrected."""


@dataclass(frozen=True, slots=True)
class SharedKey:
    """An account key; a `Signer`."""

    account: str
    key: bytes = field(repr=False)

    async def signed(self, asking: Asking) -> Asking:
        """Return the request, signed now; never waits."""
        headers = {**asking.headers, "x-ms-version": API_VERSION, "x-ms-date": formatdate(usegmt=True)}
        text = string_to_sign(self.account, asking.method, asking.url, headers)
        signature = base64.b64encode(hmac.digest(self.key, text.encode(), sha256)).decode()
        return replace(asking, headers={**headers, "Authorization": f"SharedKey {self.account}:{signature}"})

    def forget(self) -> bool:
        """Return False: another signature would be the same."""
        return False


@dataclass(frozen=True, slots=True)
class SasToken:
    """A token that stands in the URL; a `Signer`. '' for containers that anybody may read."""

    query: str = field(repr=False)

    async def signed(self, asking: Asking) -> Asking:
        """Return the request with the token; never waits."""
        url = str(asking.url)
        if self.query:
            url += ("&" if asking.url.query_string else "?") + self.query
        return replace(asking, url=URL(url, encoded=True), headers={**asking.headers, "x-ms-version": API_VERSION})

    def forget(self) -> bool:
        """Return False: there is only this token."""
        return False


class FoundSigner:
    """Whoever a file or a variable says, read again when that was refused; a `Signer`."""

    def __init__(self, account: str, endpoint: str, file: str | None, variable: str | None) -> None:
        self._account = account
        self._endpoint = endpoint
        self._file = file
        self._variable = variable
        self._found: Signer | None = None
        self._read_at = 0.0

    async def signed(self, asking: Asking) -> Asking:
        """Return the request, signed. Raises MisconfiguredError if the credential is missing or damaged."""
        if self._found is None:
            self._found = read_credential(await self._text(), self._account, self._endpoint)
            self._read_at = time.monotonic()
        return await self._found.signed(asking)

    def forget(self) -> bool:
        """Read the credential again; return whether another one may be there."""
        self._found = None
        return time.monotonic() - self._read_at > READ_AGAIN_S

    async def _text(self) -> str:
        if self._file:
            return await secret_in(self._file)
        if text := os.environ.get(self._variable or "", "").strip():
            return text
        raise MisconfiguredError(f"credential_env {self._variable!r} is not set in the daemon's environment")


def read_credential(text: str, account: str, endpoint: str) -> Signer:
    """Return who may read an account at an endpoint by a key, a SAS token or a connection string.

    Raises MisconfiguredError if it is none of these, or is for another account or endpoint.
    """
    if "AccountName=" in text or "SharedAccessSignature=" in text:
        return _connected(text, account, endpoint)
    if "sig=" in text:
        check_secrecy(endpoint, "a SAS token")
        return SasToken(text.lstrip("?"))
    try:
        return SharedKey(account, base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        # Without the cause and the text: it may be a secret all the same.
        raise MisconfiguredError(
            f"the credential for account {account} is neither an account key (base64) nor a SAS token (…sig=…) nor a "
            "connection string (AccountName=…)"
        ) from None


def _connected(text: str, account: str, endpoint: str) -> Signer:
    said = dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)
    if said.get("AccountName", account) != account:
        raise MisconfiguredError(f"the connection string is not for account {account}; correct account_name")
    suffix = said.get("EndpointSuffix", "core.windows.net")
    usual = f"{said.get('DefaultEndpointsProtocol', 'https')}://{account}.blob.{suffix}"
    named = said.get("BlobEndpoint", usual).rstrip("/")
    if named != endpoint:
        raise MisconfiguredError(f"the connection string is for {named!r}; name that as endpoint_url")
    secret = said.get("SharedAccessSignature") or said.get("AccountKey")
    if not secret:
        raise MisconfiguredError(
            f"the connection string for account {account} has neither AccountKey nor SharedAccessSignature"
        )
    return read_credential(secret, account, endpoint)


def string_to_sign(account: str, method: str, url: URL, headers: Mapping[str, str]) -> str:
    """Return what the signature of a request without a body is made of."""
    own = sorted((name.lower(), said) for name, said in headers.items() if name.lower().startswith("x-ms-"))
    # Content-Encoding, -Language, -Length, -MD5, -Type, Date, If-Modified-Since, If-Match, If-None-Match, If-Unmodified-Since, Range.
    usual = ["", "", "", "", "", "", "", headers.get("If-Match", ""), "", "", ""]
    query = sorted((name.lower(), said) for name, said in url.query.items())
    return "\n".join(
        [
            method,
            *usual,
            *(f"{name}:{said}" for name, said in own),
            f"/{account}{url.raw_path}" + "".join(f"\n{name}:{said}" for name, said in query),
        ]
    )

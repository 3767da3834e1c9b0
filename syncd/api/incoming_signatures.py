"""How those who announce changes prove who they are: all ways of all hosts, each with the same secret. Compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from syncd.sync.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature, signing_key

HEX_HEADERS = {
    "X-Hub-Signature-256": "sha256=",
    "X-Hub-Signature": "sha256=",
    "X-Gitea-Signature": "",
    "X-Forgejo-Signature": "",
}
"""HMAC-SHA256 of the body in hexadecimal digits, behind this: as GitHub, Bitbucket, Gitea and Forgejo send it."""
GITLAB_HEADER = "X-Gitlab-Token"
"""Has the secret itself."""
TOLERATED_S = 300.0
"""How old a message that says when it was sent may be, and how far in our future."""


@dataclass(frozen=True, slots=True)
class IncomingWebhook:
    """Who may announce changes of sources, in these databases (none named: in all)."""

    name: str
    secret: str = field(repr=False)
    databases: frozenset[str] = frozenset()

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether a message was signed with the secret."""
        key = self.secret.encode()
        digits = hmac.new(key, body, hashlib.sha256).hexdigest()
        proofs = [(headers.get(name), prefix + digits) for name, prefix in HEX_HEADERS.items()]
        proofs += [(headers.get(GITLAB_HEADER), self.secret)]
        # All are compared, so that how long it takes says nothing of which would do.
        found = [hmac.compare_digest(_bytes(given), expected.encode()) for given, expected in proofs if given]
        return any([*found, self._signed_as_the_standard_has_it(headers, body)])

    def _signed_as_the_standard_has_it(self, headers: Mapping[str, str], body: bytes) -> bool:
        ident, sent_at = headers.get(ID_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
        if not (sent_at.isascii() and sent_at.isdigit() and len(sent_at) < 12):
            return False
        expected = signature(signing_key(self.secret), ident, sent_at, body).encode() if ident.isascii() else b""
        given = headers.get(SIGNATURE_HEADER, "").split(" ")[:10]
        found = [hmac.compare_digest(_bytes(one), expected) for one in given]
        return any(found) and abs(time.time() - int(sent_at)) <= TOLERATED_S


def _bytes(header: str) -> bytes:
    # Bytes that are not UTF-8 arrive as lone surrogates.
    return header.encode("utf-8", "surrogateescape")

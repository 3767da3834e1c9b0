"""Who may ask Azure Storage for something, checked as Microsoft's REST reference says: Shared Key, and SAS tokens of the account."""

import base64
import hmac
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from urllib.parse import parse_qsl, quote

from aiohttp import web

ACCOUNT = "devacct"
KEY = base64.b64encode(bytes(range(64))).decode()
SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
CLOCK_SKEW_S = 900
ACCOUNT_SAS = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")
"""What the signature of an account's token covers, behind the account's name."""


def key_refusal(request: web.Request, authorization: str) -> web.Response | None:
    """Refuse a request whose signature by the account's key is wrong or old."""
    at = parsedate_to_datetime(request.headers["x-ms-date"])
    if abs((datetime.now(UTC) - at).total_seconds()) > CLOCK_SKEW_S:
        return failure(403, "AuthenticationFailed")
    lines = [request.method, *(request.headers.get(name, "") for name in SIGNED_HEADERS)]
    # Since version 2015-02-21 a length of nothing is none.
    lines = ["" if line == "0" else line for line in lines]
    own = sorted(name.lower() for name in request.headers if name.lower().startswith("x-ms-"))
    lines += [f"{name}:{request.headers[name]}" for name in own]
    path, _, query = request.raw_path.partition("?")
    resource = f"/{ACCOUNT}{path}"
    for name, value in sorted(parse_qsl(query, keep_blank_values=True)):
        resource += f"\n{name.lower()}:{value}"
    expected = f"SharedKey {ACCOUNT}:{mac(chr(10).join([*lines, resource]))}"
    return None if hmac.compare_digest(authorization, expected) else failure(403, "AuthenticationFailed")


def account_sas(services: str, permissions: str, expires: str = "2199-01-01T00:00:00Z") -> str:
    """Return a token of the account for services ('b', 'q') and what they may be asked for."""
    said = {"sp": permissions, "ss": services, "srt": "sco", "se": expires, "sv": "2023-11-03"}
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in {**said, "sig": account_mac(said)}.items())


def account_mac(said: dict[str, str]) -> str:
    return mac("\n".join([ACCOUNT, *(said.get(name, "") for name in ACCOUNT_SAS), ""]))


def account_sas_refusal(request: web.Request, service: str, needed: str) -> web.Response | None:
    """Refuse a request whose token of the account is forged, has ended, or allows something else."""
    said = {name: request.query[name] for name in ACCOUNT_SAS if name in request.query}
    is_genuine = hmac.compare_digest(request.query["sig"], account_mac(said))
    if not is_genuine or datetime.fromisoformat(said["se"]) < datetime.now(UTC):
        return failure(403, "AuthenticationFailed")
    if service not in said["ss"]:
        return failure(403, "AuthorizationServiceMismatch")
    return None if needed in said["sp"] else failure(403, "AuthorizationPermissionMismatch")


def mac(text: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), sha256)).decode()


def failure(status: int, code: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}. Signed was: …</Message></Error>'
    return web.Response(
        status=status,
        body="\ufeff".encode() + text.encode(),
        content_type="application/xml",
        headers={"x-ms-error-code": code},
    )

"""Keeps secrets out of what the process says to anybody: its log, and the messages in its answers.

A server's error may echo the key that it was sent, and a URL may carry one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from syncd.json_types import Json

HIDDEN = "***"
SECRET_NAME = re.compile(
    r"(^|[-_.])(token|secret|password|passphrase|api[-_]?key|private[-_]?key|access[-_]?key|authorization|cookie|jwt)$",
    re.IGNORECASE,
)
"""Names of keys whose values are secrets."""
_URL_USER = re.compile(r"(?<=://)[^/\s@'\"]+@")
_URL_QUERY = re.compile(r"(\bhttps?://[^\s?#'\"]+)(\?[^\s#'\"]+)?")
_TOKEN = re.compile(
    r"\b(?:gh[pousr]_|github_pat_|glpat-|sk_[0-9a-f]{12}_)[\w-]{16,}|(?<=\bBasic )[\w+/=-]{8,}|(?<=\bBearer )[\w+/=.~-]{8,}"
)
"""Tokens of GitHub (its Apps' live for an hour), GitLab and our own, and what stands in an Authorization header."""
_SHORTEST_SECRET = 6  # shorter ones would blank out ordinary words

_secrets: set[str] = set()


def register_secret(value: str) -> None:
    """Hide `value` from now on, wherever it occurs, also as URLs, JSON and Python's errors write it. Values under 6 characters are ignored."""
    if len(value) >= _SHORTEST_SECRET:
        data = value.encode("utf-8", "surrogatepass")
        _secrets.update({value, quote(data, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1], repr(data)[2:-1]})


def register_secrets_in(values: Mapping[str, str]) -> None:
    """Hide those values whose names say that they are secrets."""
    for name, value in values.items():
        if SECRET_NAME.search(name):
            register_secret(value)


def redacted(text: str) -> str:
    """Return `text` without registered secrets, tokens of known forms, and what URLs carry beyond their path."""
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    text = _TOKEN.sub(HIDDEN, text)
    text = _URL_USER.sub(f"{HIDDEN}@", text)
    return _URL_QUERY.sub(lambda url: f"{url[1]}?{HIDDEN}" if url[2] else url[1], text)


def redacted_json(value: Json) -> Json:
    """Return `value` with every string in it redacted, but for the names of fields."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {name: redacted_json(inner) for name, inner in value.items()}
    if isinstance(value, Sequence):
        return [redacted_json(inner) for inner in value]
    return value

"""Makes response headers safe to store, compare and send back, whatever bytes the server sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multidict import CIMultiDict

ADDRESSES = frozenset({"location", "link"})
VALIDATORS = frozenset({"etag", "last-modified"})
MAX_VALIDATOR_CHARS = 200

_LONE_BYTE = re.compile("[\udc80-\udcff]")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def readable(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return `headers` with the bytes that were no UTF-8, which aiohttp hands over as lone surrogates, made characters.

    In addresses such a byte is percent-encoded, as browsers do. A validator with one is left out: it could not be sent
    back as it came.
    """
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        lower = name.lower()
        if lower in VALIDATORS and not is_sendable(value):
            continue
        as_text = percent_encoded if lower in ADDRESSES else latin
        kept.add(name, _HALF_CHARACTER.sub("\ufffd", _LONE_BYTE.sub(as_text, value)))
    return kept


def is_sendable(validator: str) -> bool:
    """Return whether a validator can be stored and sent back as it came."""
    return len(validator) <= MAX_VALIDATOR_CHARS and validator.isprintable()


def percent_encoded(found: re.Match[str]) -> str:
    """Return a lone byte as a URL writes it."""
    return f"%{ord(found[0]) - 0xDC00:02X}"


def latin(found: re.Match[str]) -> str:
    """Return a lone byte as the character it is in ISO 8859-1, the old encoding of headers."""
    return chr(ord(found[0]) - 0xDC00)

"""Parses numbers, dates and delays in headers: any text in, a plain value or None out, never an error."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SERVICE_WAIT_S = 300.0
"""The longest Retry-After honoured for a service we depend on; a longer one is cut to this."""
EARLIEST_YEAR, LATEST_YEAR = 1970, 9998
"""Outside them lie the zero dates of other systems (0001-01-01, 9999-12-31), which say nothing and overflow in sums."""
HEADER_MAX_CHARS = 100

_ANCIENT = re.compile(r"(?<= )0[0-9]{3}(?= )")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?")


def number(text: str | None) -> float | None:
    """Return a number of decimal digits that a header holds, at most 1e100; None where it holds none."""
    found = _NUMBER.fullmatch(text.strip()) if text else None
    return min(float(found[0]), 1e100) if found else None


def http_date(text: str | None) -> datetime | None:
    """Return the moment that a header such as Last-Modified names, in UTC; None where it names none that can be."""
    # The standard library takes the year 0001 for 2001, as if it were of two digits.
    if not text or len(text) > HEADER_MAX_CHARS or _ANCIENT.search(text):
        return None
    try:
        return plausible_date(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def plausible_date(moment: datetime) -> datetime | None:
    """Return `moment` in UTC, which it is taken for without a time zone, or None where its year cannot be meant."""
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def retry_after_s(text: str | None, longest_s: float = SERVICE_WAIT_S) -> float | None:
    """Return the seconds a Retry-After (RFC 9110 section 10.2.3: seconds or a date) asks to wait, at most `longest_s`.

    None where it asks for nothing that can be understood; 0 for a date that is past.
    """
    wait_s = number(text)
    if wait_s is None and (moment := http_date(text)):
        wait_s = moment.timestamp() - time.time()
    return None if wait_s is None else min(max(0.0, wait_s), longest_s)


def storable(text: str) -> str:
    """Return `text` with lone surrogates, which neither SQLite nor JSON can hold, as question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def bounded(value: float, most: float) -> float:
    """Return a foreign number limited to 0 … `most`; NaN counts as 0."""
    return min(value, most) if value > 0 else 0.0

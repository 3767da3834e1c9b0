"""Limits how often a caller may try tokens that are not good.

Nobody guesses 256 random bits; but each guess costs a look into the store, and many of them are a sign that somebody tries.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from hashlib import sha256
from typing import TypeVar

from syncd.api.errors import RefusedError

K = TypeVar("K")
V = TypeVar("V")

BURST = 10
"""Wrong tokens that an address may send at once."""
REFILL_PER_S = 1.0
"""How many more it may send per second."""
MAX_REMEMBERED = 4096
"""Of addresses, and of tokens, the latest that are remembered; so what a flood of either can take is bounded."""


class WrongTokens:
    """Counts wrong tokens by address. Callers whose token was good go on while others at their address, or behind their proxy, guess."""

    def __init__(self) -> None:
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By address: what it has spent of its burst, and when that was counted."""
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def require_room(self, address: str, token: str) -> None:
        """Raise RefusedError (429) if too many wrong tokens came from an address, unless this one is known to be good."""
        if _digest(token) not in self._good and (spent := self._spent_by(_place(address))) > BURST - 1:
            wait_s = max(1, round((spent - BURST + 1) / REFILL_PER_S))
            raise RefusedError(429, "too many wrong tokens; wait and send the right one", {"Retry-After": str(wait_s)})

    def note_good(self, token: str) -> None:
        """Remember that a token is good."""
        _remember(self._good, _digest(token), None)

    def note_wrong(self, address: str, token: str) -> None:
        """Count a wrong token."""
        self._good.pop(_digest(token), None)
        place = _place(address)
        _remember(self._spent, place, (self._spent_by(place) + 1, time.monotonic()))

    def _spent_by(self, place: str) -> float:
        spent, at = self._spent.get(place, (0.0, 0.0))
        return max(0.0, spent - (time.monotonic() - at) * REFILL_PER_S)


def _remember(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MAX_REMEMBERED:
        kept.popitem(last=False)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def _place(address: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the 64 bits of an IPv6 address that a network is given."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))

"""Decides which IP addresses may be dialled, from the address itself at the moment a socket is created for it.

A filter in front of the resolver never sees IP literals, and a check before the request may resolve to another
address than the connection (DNS rebinding); a socket factory sees every address dialled, redirects and happy eyeballs
included.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from syncd.errors import PermanentError

Address = IPv4Address | IPv6Address
AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]

# What Python's is_global allows, or did in some version: RFC 6598, 6890, 2544, 1112, 6052, 8215, 3056,
# 2928/4380, 3879, 4193, 4291.
NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/23",
        "fec0::/10",
        "fc00::/7",
        "fe80::/10",
    )
)


class RefusedAddressError(OSError):
    """The address may not be dialled; an OSError, so that a connector tries the host's next address."""


@dataclass(frozen=True, slots=True)
class AddressRule:
    """One entry of the allow-list: a network, with one port or all."""

    network: IPv4Network | IPv6Network
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> AddressRule:
        """Read `10.0.0.0/8`, `127.0.0.1`, `127.0.0.1:8080` or `[::1]:8080`. Raises PermanentError naming it."""
        host, port = text, None
        if text.startswith("["):
            host, _, rest = text[1:].partition("]")
            port = rest.removeprefix(":") or None
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        try:
            return cls(ip_network(host, strict=False), int(port) if port else None)
        except ValueError as error:
            raise PermanentError(
                f"allow_private_addresses: {text!r} is neither a network (10.0.0.0/8) nor an address and port "
                f"(127.0.0.1:8080)"
            ) from error

    def covers(self, address: Address, port: int) -> bool:
        """Return whether this entry allows `address` and `port`."""
        return address in self.network and self.port in (None, port)


def check_network(text: str) -> str:
    """Return `text` if it names addresses that may be allowed. Raises PermanentError."""
    AddressRule.parse(text)
    return text


class AddressGuard:
    """Decides about one address and port; pure, so safe to share."""

    def __init__(self, allowed: Iterable[str] = (), ports: Iterable[int] = (80, 443)) -> None:
        self._rules = tuple(AddressRule.parse(text) for text in allowed)
        self._ports = frozenset(ports)

    def refusal(self, host: str, port: int) -> str | None:
        """Return why `host` (an IP literal) and `port` may not be dialled, or None where they may."""
        try:
            address = plain_address(host)
        except ValueError:
            return f"{host} is not an IP address"
        if any(rule.covers(address, port) for rule in self._rules):
            return None
        if not is_public(address):
            return f"{address} is not a public address; allow_private_addresses can allow it"
        if port not in self._ports:
            return f"port {port} is not an allowed port"
        return None

    def check(self, host: str, port: int) -> None:
        """Raise RefusedAddressError where `refusal` has a reason."""
        if reason := self.refusal(host, port):
            raise RefusedAddressError(f"refused to connect: {reason}")

    def socket_factory(self) -> Callable[[AddrInfo], socket.socket]:
        """Return the factory for aiohttp's TCPConnector: it makes sockets for allowed addresses only."""

        def factory(info: AddrInfo) -> socket.socket:
            family, kind, protocol, _, sockaddr = info
            if family not in (socket.AF_INET, socket.AF_INET6):
                raise RefusedAddressError("refused to connect: not an IP address")
            self.check(str(sockaddr[0]), int(str(sockaddr[1])))
            made = socket.socket(family, kind, protocol)
            made.setblocking(False)
            return made

        return factory


def plain_address(host: str) -> Address:
    """Parse an IP literal, without zone, and unwrap IPv4 inside IPv6. Raises ValueError."""
    address = ip_address(host.partition("%")[0].strip("[]"))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_public(address: Address) -> bool:
    """Return whether `address` belongs to the public unicast internet."""
    return (
        address.is_global
        and not address.is_multicast
        and not any(address.version == network.version and address in network for network in NEVER)
    )

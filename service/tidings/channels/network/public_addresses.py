"""Restricts requests to public addresses: checks the address connected to, never the name.

A name is resolved once and the connection uses that result, so a name server that answers
differently the second time (DNS rebinding) gains nothing.
"""

import socket
from collections import defaultdict
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import zip_longest
from typing import Final

from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

# IANA's special-purpose registries (RFC 6890 and its updates), listed here because `ipaddress`'s
# `is_global` has changed between patch releases of Python.
_NOT_PUBLIC_V4: Final[tuple[IPv4Network, ...]] = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT, and some clouds' metadata
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; 169.254.169.254 is most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""The IPv6 space that IANA has allocated as global unicast; the rest is refused."""
_NOT_PUBLIC_V6: Final[tuple[IPv6Network, ...]] = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: embeds any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = ip_network("64:ff9b::/96")

MOST: Final = 4
"""Addresses of a name that are tried. Each quarter of a second without an answer the next one is tried, with its own
socket: one name with a hundred silent addresses would use the file descriptors of thirty requests."""


class RefusedAddress(OSError):
    """The address is not public. The text doesn't contain it: internal addresses are confidential."""

    def __init__(self) -> None:
        super().__init__("not a public address")


def is_public(address: str) -> bool:
    """Whether a numeric address, as a resolver returns it, is public."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_V4)
    inner = _embedded(parsed)
    if inner is not None:
        return is_public(str(inner))
    return parsed in _GLOBAL_V6 and not any(parsed in network for network in _NOT_PUBLIC_V6)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address embedded in an IPv4-mapped or NAT64 address (RFC 6052)."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def public_socket(info: AddrInfoType) -> socket.socket:
    """A socket for an address about to be connected to: the final check, address literals included.

    Raises:
        RefusedAddress: It is not public.
    """
    family, kind, protocol, _, address = info
    if not is_public(address[0]):
        raise RefusedAddress
    return socket.socket(family=family, type=kind, proto=protocol)


class CheckedResolver(AbstractResolver):
    """Checks another resolver's answers: at least one address, public if required.

    Non-public addresses are left out, so a name with both kinds is unreachable, not refused, while
    its public addresses are down.
    """

    def __init__(self, resolver: AbstractResolver, *, public_only: bool) -> None:
        self._resolver = resolver
        self._public_only = public_only

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name that may be connected to.

        Raises:
            RefusedAddress: It has addresses, and none is public.
            OSError: It has none; aiohttp does not expect an empty answer.
        """
        found = await self._resolver.resolve(host, port, family)
        if not found:
            raise OSError("the name has no address")
        allowed = [each for each in found if not self._public_only or is_public(each["host"])]
        if not allowed:
            raise RefusedAddress
        return _first(allowed)

    async def close(self) -> None:
        """Close the other resolver."""
        await self._resolver.close()


def _first(found: Sequence[ResolveResult]) -> list[ResolveResult]:
    """The first few, alternating between families: one family may be unreachable."""
    families: defaultdict[int, list[ResolveResult]] = defaultdict(list)
    for address in found:
        families[address["family"]].append(address)
    turns = zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None][:MOST]

"""Where webhooks may go."""

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from tidings.channels.network.public_addresses import (
    CheckedResolver,
    RefusedAddress,
    is_public,
    public_socket,
)

PRIVATE = (
    "0.0.0.0",  # noqa: S104  # nothing listens on it here
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "192.169.0.1",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_not(address: str) -> None:
    assert is_public(address)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_address_hidden_in_another_is_judged_as_itself(inner: IPv4Address) -> None:
    mapped = IPv6Address(0xFFFF_0000_0000 + int(inner))
    translated = IPv6Address((0x64_FF9B << 96) + int(inner))

    assert is_public(str(mapped)) == is_public(str(inner))
    assert is_public(str(translated)) == is_public(str(inner))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_private(
    address: IPv4Address | IPv6Address,
) -> None:
    odd = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    translated = address.version == 6 and str(address).startswith(("64:ff9b:", "::ffff:"))

    assert not (is_public(str(address)) and odd and not translated)


@pytest.mark.parametrize("address", PRIVATE)
def test_no_socket_is_made_for_what_is_refused(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with pytest.raises(RefusedAddress) as caught:
        public_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80)))

    assert address not in str(caught.value)


def test_a_socket_is_made_for_what_is_public() -> None:
    with public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))) as made:
        assert made.family is socket.AF_INET


class Answers(AbstractResolver):
    """A name server with one answer."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=6, flags=0)
            for each in self._addresses
        ]

    async def close(self) -> None:
        self.closed = True


def careful(resolver: AbstractResolver, *, public_only: bool = True) -> CheckedResolver:
    return CheckedResolver(resolver, public_only=public_only)


async def test_of_a_names_addresses_only_the_public_ones_are_left() -> None:
    found = await careful(Answers("10.0.0.1", "8.8.8.8", "::1")).resolve("example.org", 443)

    assert [each["host"] for each in found] == ["8.8.8.8"]


async def test_a_name_inside_the_network_is_refused() -> None:
    with pytest.raises(RefusedAddress):
        await careful(Answers("10.0.0.1", "fd00::1")).resolve("example.org", 443)


async def test_a_name_without_an_address_is_not_called_forbidden() -> None:
    with pytest.raises(OSError, match="no address") as caught:
        await careful(Answers()).resolve("example.org", 443)

    assert not isinstance(caught.value, RefusedAddress)


async def test_where_all_may_be_reached_nothing_is_left_out() -> None:
    resolver = careful(Answers("10.0.0.1", "8.8.8.8"), public_only=False)

    assert len(await resolver.resolve("example.org", 443)) == 2


async def test_closing_closes_the_resolver_it_asks() -> None:
    inner = Answers()

    await careful(inner).close()

    assert inner.closed

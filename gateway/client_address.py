"""Where a request comes from: the peer, or what a trusted proxy says of it."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from schema.settings import Network

UNKNOWN = "unknown"
"""Stands for every peer without an address, such as that of a Unix socket."""

IPV6_PREFIX = 64
"""Whoever has one IPv6 address has all of its network's."""

Address = IPv4Address | IPv6Address


def client_address(forwarded: Iterable[str], peer: str | None, trusted: Sequence[Network]) -> str:
    """The client as it is counted: its IPv4 address, or its IPv6 network.

    Args:
        forwarded: the values of the request's `X-Forwarded-For` headers, in their order.
        peer: the address at the other end of the connection.
        trusted: the proxies whose word is taken. Whatever else a client writes into the header changes nothing:
            it is read from the right, where the nearest proxy has written, up to the first address that is no proxy.
            A header that can't be read up to there counts for nothing.
    """
    nearest = _parse(peer or "")
    if nearest is None:
        return UNKNOWN
    return _counted(_behind(forwarded, nearest, trusted))


def _behind(forwarded: Iterable[str], peer: Address, trusted: Sequence[Network]) -> Address:
    found = peer
    for hop in reversed([hop for value in forwarded for hop in value.split(",")]):
        if not _is_trusted(found, trusted):
            break
        address = _parse(hop.strip())
        if address is None:
            return peer
        found = address
    return found


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # An IPv4 client on a socket of both families.
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _counted(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, IPV6_PREFIX), strict=False))

"""Whom a request is counted for: nothing that a client writes may change it."""

from ipaddress import ip_network

import pytest

from gateway.client_address import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    "forwarded", [[], ["1.2.3.4"], ["10.0.0.1"], ["127.0.0.1, 10.0.0.1"], ["1.2.3.4", "5.6.7.8"], ["nonsense"], [""]]
)
def test_without_a_trusted_proxy_the_header_changes_nothing(forwarded: list[str]) -> None:
    assert client_address(forwarded, "203.0.113.9", ()) == "203.0.113.9"
    assert client_address(forwarded, "203.0.113.9", PROXIES) == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        # What the client wrote itself stands to the left of what the proxy wrote.
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        (["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
        (["garbage', 198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, 10.2.2.2, 10.1.1.1"], "198.51.100.7"),
        (["198.51.100.7", "10.2.2.2"], "198.51.100.7"),
        (["198.51.100.7,fd00::1"], "198.51.100.7"),
        (["::ffff:198.51.100.7"], "198.51.100.7"),
        (["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
    ],
)
def test_behind_trusted_proxies_the_first_address_that_is_none_counts(forwarded: list[str], counted: str) -> None:
    assert client_address(forwarded, "10.0.0.1", PROXIES) == counted


@pytest.mark.parametrize(
    "header",
    ["", ",", "unknown", "198.51.100.7:80", "198.51.100.007", "1e3", "198.51.100.7,", "1.1.1.1, evil, 10.2.2.2"],
)
def test_a_header_that_cannot_be_read_counts_for_nothing(header: str) -> None:
    assert client_address([header], "10.0.0.1", PROXIES) == "10.0.0.1"


def test_all_addresses_of_an_ipv6_network_count_as_one() -> None:
    mine = {client_address([], f"2001:db8:0:1::{part}", ()) for part in ("1", "ffff", "a:b:c", "1%eth0")}
    assert mine == {"2001:db8:0:1::/64"}
    assert client_address([], "2001:db8:0:2::1", ()) not in mine
    assert client_address(["2001:db8:0:1::5"], "fd00::9", PROXIES) in mine


def test_an_ipv4_address_in_its_ipv6_form_is_the_same_client() -> None:
    assert client_address([], "::ffff:203.0.113.9", ()) == "203.0.113.9"
    assert client_address(["198.51.100.7"], "::ffff:10.0.0.1", PROXIES) == "198.51.100.7"


@pytest.mark.parametrize("peer", [None, "", "/run/socket", "testclient"])
def test_a_peer_without_an_address_is_nobodys_proxy(peer: str | None) -> None:
    assert client_address(["198.51.100.7"], peer, PROXIES) == "unknown"

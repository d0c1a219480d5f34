from __future__ import annotations

import ipaddress

import pytest
from django.http import HttpRequest, HttpResponse
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from config.api.middleware import ClientAddressMiddleware, client_address

PROXIES = ["10.0.0.0/8", "2001:db8:1::/48"]


@pytest.fixture(autouse=True)
def _proxies(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(text) for text in PROXIES]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        # somebody on the internet, who may claim what they like
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        # a trusted proxy
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
        ("10.1.2.3", "10.4.4.4, 10.9.9.9", "10.4.4.4"),
        ("10.1.2.3", "203.0.113.7, unknown", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.7, unknown, 10.9.9.9", "10.9.9.9"),
        ("2001:db8:1::5", "2001:db8:ffff::1", "2001:db8:ffff::1"),
        # the front server of this machine, on a Unix socket
        ("", "203.0.113.7", "203.0.113.7"),
        ("/run/http.sock", "203.0.113.7", "203.0.113.7"),
        ("", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("", "", ""),
        ("", "garbage", ""),
        # one address, however it is written
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("::ffff:10.1.2.3", "203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert client_address(peer, forwarded_for) == client


@given(st.text(), st.lists(st.one_of(st.text(), st.ip_addresses().map(str))))
def test_whatever_is_claimed_the_result_is_an_address_or_empty(peer: str, claims: list[str]) -> None:
    found = client_address(peer, ", ".join(claims))
    assert found == "" or ipaddress.ip_address(found)


@given(st.ip_addresses(v=4, network="203.0.113.0/24"), st.text())
def test_a_stranger_cannot_claim_another_address(peer: ipaddress.IPv4Address, claim: str) -> None:
    assert client_address(str(peer), claim) == str(peer)


def test_the_request_carries_the_address() -> None:
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.client_address)
        return HttpResponse()

    request = HttpRequest()
    request.META |= {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_FORWARDED_FOR": "203.0.113.7"}
    ClientAddressMiddleware(view)(request)
    assert seen == ["203.0.113.7"]

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from audit.models import Entry
from conftest import Person, assert_problem
from instances import proxies
from instances.models import Instance
from webhooks.models import Event

SECRET, PROXY = "s3cret p@ss", "socks5://acme:s3cret%20p%40ss@proxy.example.com:1080"
MASKED = "socks5://acme:***@proxy.example.com:1080"


def patch(person: Person, instance: Instance, proxy: Any) -> Any:
    return person.client.patch(f"/api/instances/{instance.id}", {"settings": {"proxy": proxy}}, "json")


@pytest.mark.django_db
def test_the_password_of_a_proxy_is_shown_and_kept_in_clear_nowhere(alice: Person, instance: Instance) -> None:
    answer = patch(alice, instance, PROXY)
    assert answer.json()["settings"]["proxy"] == MASKED
    instance.refresh_from_db()
    assert instance.proxy == PROXY
    assert instance.settings == {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT proxy FROM instances_instance")
        (stored,) = cursor.fetchone()
    assert "s3cret" not in stored
    assert "acme" not in stored
    assert Event.objects.get().data["settings"]["proxy"] == MASKED
    assert Entry.objects.get(tag="api:instance:updated").changes == {"settings": [{}, {"proxy": MASKED}]}


@pytest.mark.django_db
def test_a_number_connects_anew_through_another_proxy_only(alice: Person, instance: Instance) -> None:
    for proxy, restarts in ((PROXY, 1), (MASKED, 1), (PROXY, 1), (f"{PROXY}1", 2), (None, 3), (None, 3)):
        assert patch(alice, instance, proxy).status_code == 200
        instance.refresh_from_db()
        assert instance.restarts == restarts, proxy
    assert instance.proxy is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.example.com:1080",
        "https://proxy.example.com:1080",
        "socks4://proxy.example.com:1080",
        "socks5://proxy.example.com",
        "socks5://proxy.example.com:0",
        "socks5://proxy.example.com:1080/path",
        "socks5://:1080",
        "",
        1,
        f"socks5://{'x' * 500}:1080",
    ],
)
def test_what_is_no_proxy_is_refused(alice: Person, instance: Instance, proxy: Any) -> None:
    problem = assert_problem(patch(alice, instance, proxy), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/settings/proxy"


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "127.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]"])
def test_a_private_proxy_is_refused_unless_it_is_allowed(
    alice: Person, instance: Instance, settings: Settings, host: str
) -> None:
    settings.PROXY_PRIVATE_NETWORKS = []
    assert_problem(patch(alice, instance, f"http://{host}:3128"), 422, "url_not_allowed")
    instance.refresh_from_db()
    assert instance.proxy is None
    with pytest.raises(proxies.ProxyUnusable):
        proxies.pinned(f"http://{host}:3128")


def test_a_name_is_dialled_by_the_address_that_was_checked(settings: Settings) -> None:
    settings.PROXY_PRIVATE_NETWORKS = []
    with pytest.raises(proxies.ProxyUnusable):
        proxies.pinned("socks5://acme:pw@localhost:1080")
    from ipaddress import ip_network

    settings.PROXY_PRIVATE_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    assert proxies.pinned("socks5://acme:pw@localhost:1080") in (
        "socks5://acme:pw@127.0.0.1:1080",
        "socks5://acme:pw@[::1]:1080",
    )


def test_the_words_of_the_library_are_cleared_of_credentials() -> None:
    said = f"failed to dial: {PROXY}: refused {SECRET}"
    assert proxies.scrubbed(said, None) == said
    assert "s3cret" not in proxies.scrubbed(said, PROXY)


@pytest.mark.django_db
@pytest.mark.parametrize("proxy", ["socks5://proxy.example.com:99999", "http://[:::]:80", "http://a@[1.2]:80"])
def test_what_only_looks_like_a_proxy_is_refused(alice: Person, instance: Instance, proxy: str) -> None:
    assert_problem(patch(alice, instance, proxy), 422, "url_not_allowed")

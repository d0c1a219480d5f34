"""The API as pages for people who are logged in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import Role, Session
from accounts.organizations import suspend
from audit.models import Entry
from conftest import PASSWORD, Person

pytestmark = [pytest.mark.django_db, pytest.mark.only_with("sqlite")]
PAGE = {"Accept": "text/html"}


def browser(person: Person) -> Client:
    """Logged in on the page, as a browser would."""
    client = Client(enforce_csrf_checks=True)
    assert log_in(client, person.user.email, PASSWORD).status_code == 302
    return client


def log_in(client: Client, email: str, password: str, query: str = "") -> Any:
    token = csrf_token(client.get("/account/login").content)
    fields = {"username": email, "password": password, "csrfmiddlewaretoken": token}
    return client.post(f"/account/login{query}", fields)


def csrf_token(content: bytes) -> str:
    found = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', content)
    assert found is not None
    return found[1].decode()


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path, headers=PAGE)
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (status, "text/html")
    return answer.content.decode()


def forms(text: str) -> set[str]:
    """The methods that a page offers besides GET."""
    return set(re.findall(r"(?:POST|PATCH|DELETE)(?=</button>)|(?<=data-method=\")DELETE", text))


def test_a_person_logs_in_and_reads(alice: Person) -> None:
    client = browser(alice)
    assert "alice@example.com" in page(client, "/api/")
    assert "List instances" in page(client, "/api/instances")


def test_the_login_leads_back_to_the_page_it_was_asked_from_and_to_no_other_site(alice: Person) -> None:
    for asked, led in (("?next=/api/keys", "/api/keys"), ("?next=https://evil.example/", "/api/"), ("", "/api/")):
        assert log_in(Client(enforce_csrf_checks=True), alice.user.email, PASSWORD, asked)["Location"] == led


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(alice: Person) -> None:
    texts = []
    for email, password in ((alice.user.email, "wrong"), ("nobody@example.com", PASSWORD)):
        answer = log_in(Client(enforce_csrf_checks=True), email, password)
        assert "The e-mail address or the password is wrong." in answer.content.decode()
        texts.append(re.sub(r'value="[^"]*"', "", answer.content.decode()))
    assert texts[0] == texts[1]


def test_a_login_without_the_token_against_forgery_is_refused(alice: Person) -> None:
    answer = Client(enforce_csrf_checks=True).post(
        "/account/login", {"username": alice.user.email, "password": PASSWORD}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")


def test_logging_out_ends_the_session(alice: Person) -> None:
    client = browser(alice)
    client.post("/account/logout", {"csrfmiddlewaretoken": csrf_token(page(client, "/api/").encode())})
    assert "Log in" in page(client, "/api/instances", 401)
    assert Session.objects.filter(user=alice.user, browser_key__isnull=False).live().count() == 0


def test_logins_on_the_page_are_in_the_audit_log(alice: Person) -> None:
    browser(alice)
    log_in(Client(enforce_csrf_checks=True), alice.user.email, "wrong")
    tags = list(Entry.objects.order_by("id").values_list("tag", flat=True))
    assert [tag.partition(":")[2] for tag in tags if "log" in tag][-2:] == ["user:logged_in", "user:login_failed"]


def test_a_page_offers_what_the_role_may_do(alice: Person, bob: Person, rita: Person, instance: Any) -> None:
    assert forms(page(browser(alice), "/api/instances")) == {"POST"}
    assert forms(page(browser(rita), "/api/instances")) == set()
    assert forms(page(browser(bob), "/api/messages")) == {"POST"}
    assert forms(page(browser(rita), "/api/messages")) == set()
    assert forms(page(browser(alice), f"/api/webhooks/{endpoint(alice)}")) == {"PATCH", "DELETE"}


def endpoint(person: Person) -> str:
    body = {"url": "https://example.com", "events": ["*"]}
    return str(person.client.post("/api/webhooks", body, format="json").json()["id"])


def test_the_pages_of_a_suspended_organization_offer_nothing(alice: Person) -> None:
    client = browser(alice)
    suspend(organization=alice.organization, reason="operator")
    assert forms(page(client, "/api/instances")) == set()


def test_entry_points_are_those_the_role_may_read(alice: Person, rita: Person) -> None:
    assert "/api/keys" in page(browser(alice), "/api/")
    assert "/api/keys" not in page(browser(rita), "/api/")
    assert "/api/instances" in page(browser(rita), "/api/")


def test_a_form_starts_with_an_example(alice: Person) -> None:
    assert "&quot;network&quot;: &quot;sandbox&quot;" in page(browser(alice), "/api/instances")


def test_a_problem_is_a_page_for_a_browser(alice: Person) -> None:
    client = browser(alice)
    assert "not_found" in page(client, "/api/instances/ins_nothing", 404)
    assert "not_authenticated" in page(Client(), "/api/instances", 401)


def test_a_session_writes_only_with_the_token_against_forgery(alice: Person) -> None:
    client = browser(alice)
    body: dict[str, Any] = {"data": {"name": "Support", "network": "sandbox"}, "content_type": "application/json"}
    refused = client.post("/api/instances", **body)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    token = csrf_token(page(client, "/api/instances").encode())
    assert client.post("/api/instances", **body, headers={"X-CSRFToken": token}).status_code == 201


def test_what_a_page_shows_is_escaped(alice: Person) -> None:
    alice.client.post("/api/instances", {"name": "<script>alert(1)</script>", "network": "sandbox"}, format="json")
    assert "<script>alert" not in page(browser(alice), "/api/instances")


def test_an_operator_without_an_organization_has_no_business_there(alice: Person) -> None:
    alice.user.memberships.filter(role=Role.OWNER).delete()
    assert "permission_denied" in page(browser(alice), "/api/instances", 403)

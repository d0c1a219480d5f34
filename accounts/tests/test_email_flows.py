"""Verified addresses, forgotten passwords, and nothing that tells who has an account."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts import authentication, mail
from accounts.models import Mail, User
from accounts.sessions import issue_tokens
from accounts.tasks import prune, sweep_mail
from accounts.tests.conftest import token_in
from audit.models import Entry
from conftest import PASSWORD, Person, assert_problem, bearer

pytestmark = pytest.mark.django_db
Delivered = Callable[[], list[EmailMessage]]
NEW = "another long password"


def post(path: str, client: APIClient | None = None, **body: Any) -> Any:
    return (client or APIClient()).post(f"/api/auth/{path}", body, format="json")


def test_who_registers_is_asked_to_verify_the_address(anonymous: APIClient, delivered: Delivered) -> None:
    body = {"email": "Dora@example.com", "password": PASSWORD, "name": "Dora", "organization": "Shop"}
    answer = anonymous.post("/api/auth/register", body, format="json").json()
    assert answer["organization"]["name"] == "Shop"
    assert not answer["user"]["email_verified"]
    (message,) = delivered()
    assert message.to == ["dora@example.com"]
    token = token_in(message)
    assert post("verify-email", token=token).json()["user"]["email_verified"]
    assert_problem(post("verify-email", token=token), 422, "invalid_link")


def test_a_new_address_counts_when_it_is_verified_and_the_old_one_is_told(alice: Person, delivered: Delivered) -> None:
    delivered()
    change = {"email": "Alice@new.example", "current_password": PASSWORD}
    answer = alice.client.patch("/api/auth/me", change, format="json").json()
    assert (answer["user"]["email"], answer["user"]["pending_email"]) == ("alice@example.com", "alice@new.example")
    (message,) = delivered()
    assert message.to == ["alice@new.example"]
    user = post("verify-email", token=token_in(message)).json()["user"]
    assert (user["email"], user["pending_email"], user["email_verified"]) == ("alice@new.example", None, True)
    (notice,) = delivered()
    assert notice.to == ["alice@example.com"]
    assert post("login", email="alice@new.example", password=PASSWORD).status_code == 200
    assert Entry.objects.get(tag="api:user:email_changed").changes == {
        "email": ["alice@example.com", "alice@new.example"]
    }


@pytest.mark.parametrize("password", [{}, {"current_password": "wrong"}])
def test_a_new_address_needs_the_password(alice: Person, delivered: Delivered, password: dict[str, str]) -> None:
    delivered()
    answer = alice.client.patch("/api/auth/me", {"email": "alice@new.example"} | password, format="json")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/current_password"
    assert delivered() == []


def test_an_address_of_somebody_else_is_not_given_away(alice: Person, charlie: Person, delivered: Delivered) -> None:
    delivered()
    change = {"email": "charlie@example.com", "current_password": PASSWORD}
    answer = alice.client.patch("/api/auth/me", change, format="json")
    assert answer.json()["user"]["pending_email"] == "charlie@example.com"
    (message,) = delivered()
    assert message.to == ["charlie@example.com"]
    assert "/account/" not in str(message.body)


def test_a_link_is_of_no_use_when_somebody_else_was_faster(alice: Person, delivered: Delivered) -> None:
    delivered()
    change = {"email": "dora@example.com", "current_password": PASSWORD}
    alice.client.patch("/api/auth/me", change, format="json")
    (message,) = delivered()
    User.objects.create_user("dora@example.com", PASSWORD, name="Dora")
    assert_problem(post("verify-email", token=token_in(message)), 422, "invalid_link")


def test_a_name_is_changed_at_once(alice: Person) -> None:
    assert alice.client.patch("/api/auth/me", {"name": "Alicia"}, format="json").json()["user"]["name"] == "Alicia"


def test_a_forgotten_password_is_replaced_once(alice: Person, delivered: Delivered) -> None:
    delivered()
    tokens = issue_tokens(user=alice.user)
    assert post("password-reset", email="ALICE@example.com").status_code == 202
    token = token_in(delivered()[0])
    assert_problem(post("password-reset/confirm", token=token, password="12345"), 400, "invalid_request")
    assert post("password-reset/confirm", token=token, password=NEW).status_code == 204
    assert_problem(post("password-reset/confirm", token=token, password=PASSWORD), 422, "invalid_link")
    assert post("login", email="alice@example.com", password=NEW).status_code == 200
    authentication.forget()
    assert_problem(bearer(tokens.access).get("/api/auth/me"), 401, "invalid_token")
    assert [message.to for message in delivered()] == [["alice@example.com"]]
    alice.user.refresh_from_db()
    assert alice.user.email_verified_at


@pytest.mark.parametrize("token", ["x", "usr_01h455vb4pex5vsknk084sn02q.x-y", "a.b", "%00", "usr_x.y"])
def test_what_is_no_link_is_refused(token: str) -> None:
    assert_problem(post("password-reset/confirm", token=token, password=NEW), 422, "invalid_link")
    assert_problem(post("verify-email", token=token), 422, "invalid_link")


def test_a_link_expires(alice: Person, delivered: Delivered, settings: Settings) -> None:
    delivered()
    post("password-reset", email="alice@example.com")
    token = token_in(delivered()[0])
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert_problem(post("password-reset/confirm", token=token, password=NEW), 422, "invalid_link")


@pytest.mark.parametrize("path", ["password-reset", "verify-email/resend"])
def test_known_and_unknown_addresses_get_the_same_answer_for_the_same_work(
    alice: Person, delivered: Delivered, path: str, django_assert_num_queries: Any
) -> None:
    delivered()
    Mail.objects.all().delete()
    post(path, email="warm-up@example.com")
    answers, queries = [], []
    for email in ("alice@example.com", "nobody@example.com"):
        with django_assert_num_queries(9, exact=False) as seen:
            answers.append(post(path, email=email))
        queries.append([query["sql"].split()[0] for query in seen.captured_queries])
    assert [(answer.status_code, answer.json()) for answer in answers] == [(202, answers[0].json())] * 2
    assert queries[0] == queries[1]
    assert [message.to for message in delivered()] == [["alice@example.com"]]


def test_who_is_switched_off_gets_no_link(alice: Person, delivered: Delivered) -> None:
    User.objects.update(is_active=False)
    post("password-reset", email="alice@example.com")
    assert delivered() == []


def test_asking_again_and_again_sends_one_mail_a_minute(alice: Person, delivered: Delivered) -> None:
    delivered()
    for _ in range(3):
        post("password-reset", email="alice@example.com")
    assert len(delivered()) == 1


class Unreachable:
    """A mail server that is away."""

    def __init__(self, **_: Any) -> None:
        pass

    def send_messages(self, messages: list[EmailMessage]) -> int:
        raise smtplib.SMTPServerDisconnected("away")


def test_a_mail_waits_for_its_server_and_is_given_up_at_last(alice: Person, settings: Settings) -> None:
    (row,) = Mail.objects.all()
    settings.EMAIL_BACKEND = f"{__name__}.Unreachable"
    for attempt in range(1, 8):
        Mail.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
        sweep_mail()
        row.refresh_from_db()
        assert row.attempts == attempt
    assert (row.next_attempt_at, row.sent_at) == (None, None)


def test_a_mail_is_sent_by_one_of_those_who_try(alice: Person, mailoutbox: list[EmailMessage]) -> None:
    (mail_id,) = mail.due()
    assert [mail.send(mail_id=mail_id) for _ in range(3)] == [True, False, False]
    assert len(mailoutbox) == 1


def test_old_mails_are_dropped(alice: Person, delivered: Delivered) -> None:
    delivered()
    Mail.objects.update(created_at=timezone.now() - timedelta(days=31))
    post("password-reset", email="alice@example.com")
    prune()
    assert [row.kind for row in Mail.objects.all()] == ["password_reset"]


def _opened(browser: Client, message: EmailMessage) -> tuple[str, str]:
    """Follow the link; the page's path and its token."""
    path = str(message.body).split("http://127.0.0.1:8000")[1].split()[0]
    page = browser.get(path)
    assert page.status_code == 200
    assert page["Referrer-Policy"] == "strict-origin"
    assert "no-store" in page["Cache-Control"]
    return path.partition("?")[0], token_in(message)


def test_the_page_of_a_link_acts_when_its_button_is_pressed(alice: Person, delivered: Delivered) -> None:
    browser = Client()
    path, token = _opened(browser, delivered()[0])
    alice.user.refresh_from_db()
    assert alice.user.email_verified_at is None
    assert browser.post(path, {"token": token}).status_code == 200
    alice.user.refresh_from_db()
    assert alice.user.email_verified_at
    assert browser.post(path, {"token": token}).status_code == 422
    assert browser.get(f"{path}?token=nonsense").status_code == 422


def test_the_page_for_a_new_password_says_what_is_wrong_with_one(alice: Person, delivered: Delivered) -> None:
    delivered()
    browser = Client()
    post("password-reset", email="alice@example.com")
    path, token = _opened(browser, delivered()[0])
    assert b"too common" in browser.post(path, {"token": token, "password": "password123"}).content
    assert browser.post(path, {"token": token, "password": ""}).status_code == 400
    assert browser.post(path, {"token": token, "password": NEW}).status_code == 200
    assert post("login", email="alice@example.com", password=NEW).status_code == 200


def test_a_page_takes_no_forged_post(alice: Person, delivered: Delivered) -> None:
    browser = Client(enforce_csrf_checks=True)
    path, token = _opened(browser, delivered()[0])
    assert browser.post(path, {"token": token}).status_code == 403

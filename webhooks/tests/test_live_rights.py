"""Who may open a WebSocket, and what closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.db import connection as db_connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import authentication, rights
from accounts.actor import Actor
from accounts.models import ApiKey, Membership, Session, User
from accounts.organizations import suspend
from accounts.sessions import Tokens, issue_tokens
from config.api.problems import Problem
from config.asgi import application
from config.ids import new_id
from conftest import PASSWORD, Person, bearer
from webhooks import tickets
from webhooks.live import feeds, revocation
from webhooks.tests.sockets import close_code, commit, commit_unannounced, opens, outside, received, socket

pytestmark = pytest.mark.usefixtures("committed")


async def test_a_ticket_opens_one_socket(alice: Person) -> None:
    response = await outside(alice.client.post, "/api/events/ticket")
    assert response.status_code == 201
    path = f"/ws/events?ticket={response.json()['ticket']}"
    async with socket(path=path) as first, socket(path=path) as second:
        assert await opens(first)
        assert not await opens(second)


async def test_of_many_at_once_one_has_the_ticket(alice: Person) -> None:
    ticket = (await outside(tickets.issue, await outside(lambda: alice.actor))).ticket

    def redeem() -> bool:
        try:
            return tickets.redeem(ticket, "127.0.0.1").id == alice.user.id
        except Problem:
            return False

    results = await asyncio.gather(*[outside(redeem) for _ in range(6)])
    assert sorted(results) == [False] * 5 + [True]


async def test_without_a_good_credential_the_handshake_is_refused() -> None:
    for path, authorization in [
        ("/ws/events", ""),
        ("/ws/events", "Bearer "),
        ("/ws/events", "Bearer wak_test_nonsense"),
        ("/ws/events", "Bearer a.b.c"),
        ("/ws/events", "Basic YTpi"),
        ("/ws/events?ticket=wtk_nonsense", ""),
        ("/ws/events?ticket=%ff%00", ""),
        ("/ws/other", ""),
    ]:
        async with socket(path=path, authorization=authorization) as communicator:
            assert not await opens(communicator), (path, authorization)


async def test_a_key_without_the_scope_read_is_refused(alice: Person) -> None:
    send_only = await outside(alice.key, "send")
    async with socket(send_only) as communicator:
        assert not await opens(communicator)


async def test_a_revoked_key_closes_its_sockets(key: str) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        await outside(ApiKey.objects.update, revoked=True)
        assert await close_code(communicator) == 4401


async def test_a_deactivated_person_loses_the_socket(access: str) -> None:
    async with socket(access) as communicator:
        assert await opens(communicator)
        await outside(User.objects.update, is_active=False)
        assert await close_code(communicator) == 4401


@pytest.mark.parametrize("loses", ["is_active", "membership"])
async def test_a_socket_opened_with_a_ticket_closes_when_the_person_loses_the_right(alice: Person, loses: str) -> None:
    path = f"/ws/events?ticket={(await outside(alice.client.post, '/api/events/ticket')).json()['ticket']}"
    async with socket(path=path) as communicator:
        assert await opens(communicator)
        if loses == "membership":
            await outside(Membership.objects.filter(user=alice.user).delete)
        else:
            await outside(User.objects.update, is_active=False)
        assert await close_code(communicator) == 4401


def _end_session(person: Person) -> None:
    Session.objects.filter(user=person.user).update(revoked_at=timezone.now())


def _take_membership(person: Person) -> None:
    Membership.objects.filter(user=person.user).delete()


@pytest.mark.parametrize("by_ticket", [False, True])
@pytest.mark.parametrize("act", [_end_session, _take_membership])
async def test_a_lost_session_or_membership_closes_the_socket(
    alice: Person, access: str, act: Callable[[Person], None], by_ticket: bool
) -> None:
    path, credential = "/ws/events", access
    if by_ticket:
        answer = await outside(bearer(access).post, "/api/events/ticket")
        path, credential = f"/ws/events?ticket={answer.json()['ticket']}", ""
    async with socket(credential, path=path) as communicator:
        assert await opens(communicator)
        await outside(act, alice)
        assert await close_code(communicator) == 4401


def _log_out(alice: Person, tokens: Tokens) -> None:
    assert bearer(tokens.access).post("/api/auth/logout").status_code == 204


def _log_out_everywhere(alice: Person, tokens: Tokens) -> None:
    assert alice.client.post("/api/auth/logout-everywhere").status_code == 204


def _change_password(alice: Person, tokens: Tokens) -> None:
    body = {"current_password": PASSWORD, "password": "another long password"}
    assert alice.client.post("/api/auth/change-password", body, format="json").status_code == 200


def _steal(alice: Person, tokens: Tokens) -> None:
    body = {"refresh": tokens.refresh}
    answers = [APIClient().post("/api/auth/refresh", body, format="json").status_code for _ in range(2)]
    assert answers == [200, 401]


def _deactivate(alice: Person, tokens: Tokens) -> None:
    alice.user.is_active = False
    alice.user.save()


def test_losses_count_within_a_second() -> None:
    # The half of a second that is left is for the queries; a busy machine is no failure.
    assert max(revocation.CHECK_SECONDS, authentication.CACHE_SECONDS) <= 0.5


@pytest.mark.parametrize("act", [_log_out, _log_out_everywhere, _change_password, _steal, _deactivate])
async def test_what_ends_a_session_ends_its_socket(alice: Person, act: Callable[[Person, Tokens], None]) -> None:
    tokens = await outside(issue_tokens, user=alice.user)
    async with socket(tokens.access) as communicator:
        assert await opens(communicator)
        await outside(act, alice, tokens)
        assert await close_code(communicator) == 4401


async def test_a_ticket_of_a_key_that_was_revoked_meanwhile_opens_nothing(alice: Person, key: str) -> None:
    answer = await outside(bearer(key).post, "/api/events/ticket")
    await outside(ApiKey.objects.update, revoked=True)
    async with socket(path=f"/ws/events?ticket={answer.json()['ticket']}") as communicator:
        assert not await opens(communicator)


async def test_a_key_of_other_addresses_opens_nothing(alice: Person, key: str) -> None:
    answer = await outside(bearer(key).post, "/api/events/ticket")
    await outside(ApiKey.objects.update, allowed_ips=["192.0.2.0/24"])
    authentication.forget()
    async with socket(key) as direct, socket(path=f"/ws/events?ticket={answer.json()['ticket']}") as by_ticket:
        assert not await opens(direct)
        assert not await opens(by_ticket)
    async with socket(key, x_forwarded_for="192.0.2.7") as communicator:  # from the Unix socket of the front server
        assert await opens(communicator)


async def test_a_key_whose_instances_change_is_cut_off(key: str) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        await outside(ApiKey.objects.update, instances=[new_id("ins")])
        assert await close_code(communicator) == 4401


async def test_a_suspended_organization_is_still_heard(alice: Person, key: str, draft: Any) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        await outside(suspend, organization=alice.organization, reason="operator")
        assert await communicator.receive_nothing(timeout=3 * revocation.CHECK_SECONDS)
        (event,) = await outside(commit, draft())
        assert await received(communicator, 1) == [event.payload()]


async def test_a_limited_key_hears_its_instances_alone(
    alice: Person, key: str, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "CHECK_SECONDS", 0.3)
    mine, other = new_id("ins"), new_id("ins")
    await outside(ApiKey.objects.update, instances=[mine])
    async with socket(key) as communicator:
        assert await opens(communicator)
        await outside(commit, draft(instance_id=other), draft(instance_id=None), draft(instance_id=other))
        (event,) = await outside(commit, draft(instance_id=mine))
        assert await received(communicator, 1) == [event.payload()]
        await outside(commit_unannounced, draft(instance_id=other), draft(instance_id=None))
        (event,) = await outside(commit_unannounced, draft(instance_id=mine))
        assert await received(communicator, 1) == [event.payload()]


async def test_a_header_picks_the_organization_of_a_socket(
    alice: Person, charlie: Person, access: str, draft: Any
) -> None:
    def join() -> None:
        Membership.objects.create(organization=charlie.organization, user=alice.user, role="viewer")

    async with socket(access, x_organization=charlie.organization.id) as foreign:
        assert not await opens(foreign)
    await outside(join)
    authentication.forget()
    async with socket(access, x_organization=charlie.organization.id) as communicator:
        assert await opens(communicator)
        await outside(commit, draft())
        (event,) = await outside(commit, draft(organization_id=charlie.organization.id, instance_id=new_id("ins")))
        assert await received(communicator, 1) == [event.payload()]


async def test_two_credentials_open_nothing(alice: Person, key: str, access: str) -> None:
    async with socket(access, x_api_key=key) as communicator:
        assert not await opens(communicator)
    headers = [(b"authorization", f"Bearer {access}".encode())] * 2
    communicator = WebsocketCommunicator(application, "/ws/events", headers=headers)
    assert not await opens(communicator)


def actor_of(key: str) -> Actor:
    return authentication.actor_of_key(key, "127.0.0.1")


async def test_all_sockets_of_a_process_are_checked_with_two_queries(alice: Person, access: str) -> None:
    keys = [await outside(alice.key) for _ in range(5)]
    actors = [await outside(lambda: alice.actor), *[await outside(actor_of, key) for key in keys]]
    watches = [revocation.Watch(actor, rights.place_of(actor), lambda: None) for actor in actors]

    def check() -> tuple[list[revocation.Watch], int]:
        with CaptureQueriesContext(db_connection) as queries:
            return revocation.losers(watches), len(queries)

    assert await outside(check) == ([], 4)  # new ones are looked at closely
    assert await outside(check) == ([], 2)
    await outside(ApiKey.objects.filter(pk=actors[3].id).update, scopes=["read"])
    assert await outside(check) == ([], 3)
    assert await outside(check) == ([], 2)
    await outside(ApiKey.objects.filter(pk=actors[3].id).update, scopes=["send"])
    await outside(Membership.objects.all().delete)
    assert set((await outside(check))[0]) == {watches[0], watches[3]}

"""Deleting an instance and logging it out, up to where the engine begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Entry
from broadcasts.models import Broadcast, Sender
from conftest import Person, assert_problem
from instances import tasks
from instances.holding import lease
from instances.holding.handlers import Unlinked
from instances.holding.writer import Writer
from instances.models import ConnectionChange, Instance, Worker
from instances.states import State, Wanted
from media.models import Media, Source
from messaging.models import Chat, Contact, Message
from subscriptions.selectors import count_instances
from webhooks.models import Endpoint, Event

MakeInstance = Callable[..., Instance]


def act(person: Person, instance: Instance, verb: str) -> Any:
    return person.client.post(f"/api/instances/{instance.id}/{verb}")


def delete(person: Person, instance: Instance) -> Any:
    return person.client.delete(f"/api/instances/{instance.id}")


def tags() -> list[str]:
    return [entry.tag.removeprefix("api:") for entry in Entry.objects.order_by("pk") if "instance" in entry.tag]


@pytest.fixture
def unlinked(alice: Person, make_instance: MakeInstance) -> Instance:
    return make_instance(alice, wanted="stopped", state="stopped", reason="stopped_by_user", device_jid=None)


@pytest.mark.django_db
def test_logging_out_is_left_to_a_session_worker(alice: Person, instance: Instance, worker: Worker) -> None:
    body = act(alice, instance, "logout").json()
    assert (body["wanted"], body["state"], body["reason"]) == ("logged_out", "stopped", "logging_out")
    assert act(alice, instance, "logout").json() == body
    assert [claimed.id for claimed in lease.claim(worker, 0)] == [instance.id]
    assert [event.type for event in Event.objects.all()] == ["instance.state"]
    assert_problem(act(alice, instance, "connect"), 409, "logging_out")
    assert act(alice, instance, "stop").json()["wanted"] == "logged_out"


@pytest.mark.django_db
def test_what_is_not_linked_is_only_stopped(alice: Person, showing: Instance, unlinked: Instance) -> None:
    assert act(alice, showing, "logout").json()["reason"] == "stopped_by_user"
    before = alice.client.get(f"/api/instances/{unlinked.id}").json()
    assert act(alice, unlinked, "logout").json() == before


@pytest.mark.parametrize(
    ("error", "reason", "tag"),
    [("", "logged_out_by_user", "link_removed"), ("WhatsApp could not be reached.", "link_left", "link_left")],
)
def test_a_logout_says_whether_whatsapp_was_told(
    alice: Person, held: Instance, running_writer: Writer, error: str, reason: str, tag: str
) -> None:
    act(alice, held, "logout")
    running_writer.submit(held.id, 1, Unlinked(error)).result(20)
    body = alice.client.get(f"/api/instances/{held.id}").json()
    assert (body["wanted"], body["state"], body["reason"]) == ("stopped", "logged_out", reason)
    assert (body["detail"], body["phone"]) == (error, held.phone)
    assert not Instance.objects.get().linked
    assert Entry.objects.filter(tag__endswith=f"instance:{tag}").exists()
    assert act(alice, held, "connect").json()["state"] == "linking"


@pytest.mark.django_db
def test_a_deleted_instance_is_gone_at_once(alice: Person, instance: Instance) -> None:
    assert delete(alice, instance).status_code == 204
    for answer in (
        delete(alice, instance),
        alice.client.get(f"/api/instances/{instance.id}"),
        act(alice, instance, "connect"),
        alice.client.get(f"/api/events?instance={instance.id}"),
        alice.client.post(
            "/api/messages", {"instance": instance.id, "to": "15550100002", "text": {"body": "x"}}, "json"
        ),
    ):
        assert_problem(answer, 404, "not_found")
    assert alice.client.get("/api/instances").json()["results"] == []
    assert count_instances(alice.organization.id)["sandbox"] == 0
    assert tags() == ["instance:deleted"]


@pytest.mark.django_db
def test_the_number_of_a_plan_is_free_at_once(alice: Person, make_instance: MakeInstance) -> None:
    mine = [make_instance(alice) for _ in range(5)]
    new = {"name": "Sixth", "network": "sandbox"}
    assert_problem(alice.client.post("/api/instances", new, "json"), 402, "instance_limit_reached")
    delete(alice, mine[0])
    assert alice.client.post("/api/instances", new, "json").status_code == 201


@pytest.mark.django_db
def test_a_linked_instance_stays_until_a_worker_removed_its_link(
    alice: Person, instance: Instance, worker: Worker
) -> None:
    delete(alice, instance)
    assert [claimed.id for claimed in lease.claim(worker, 0)] == [instance.id]
    tasks.remove(instance.id)
    assert Instance.objects.filter(pk=instance.pk).exists()
    Instance.objects.update(device_jid=None, holder=None, lease_until=None)
    tasks.sweep_removals()
    tasks.remove(instance.id)
    assert not Instance.objects.filter(pk=instance.pk).exists()
    assert [event.type for event in Event.objects.order_by("sequence")] == ["instance.state", "instance.deleted"]
    tasks.remove(instance.id)


@pytest.mark.django_db
def test_all_that_is_kept_of_it_goes_and_the_records_stay(alice: Person, unlinked: Instance) -> None:
    of = {"organization": alice.organization, "instance": unlinked}
    file = Media.objects.create(
        organization=alice.organization, network="sandbox", instance=unlinked, source=Source.INBOUND
    )
    text = {"type": "text", "content": {"body": "Hello"}, "chat": "15550100002@s.whatsapp.net"}
    Message.objects.create(**of, **text, direction="inbound", status="received", media=file)
    Message.objects.create(**of, **text, direction="outbound", status="queued")
    Contact.objects.create(instance=unlinked, phone="15550100002")
    chat = {"kind": "person", "jid": text["chat"], "last_at": unlinked.created_at}
    Chat.objects.create(**of, **chat, last_message_id=Message.objects.first().id)  # type: ignore[union-attr]
    broadcast = Broadcast.objects.create(
        organization=alice.organization, network="sandbox", message={"type": "text", "text": {"body": "x"}}
    )
    Sender.objects.create(broadcast=broadcast, instance=unlinked)
    endpoint = Endpoint.objects.create(
        organization=alice.organization, mode="test", url="https://example.com", events=["*"], instances=[unlinked.id]
    )
    key = alice.client.post(
        "/api/keys", {"name": "Its own", "mode": "test", "scopes": ["read"], "instances": [unlinked.id]}, "json"
    ).json()
    told_of = [f"messages/{Message.objects.first().pk}", f"chats/{Chat.objects.get().pk}", f"media/{file.pk}"]  # type: ignore[union-attr]
    assert [alice.client.get(f"/api/{path}").status_code for path in told_of] == [200] * 3
    delete(alice, unlinked)
    assert [alice.client.get(f"/api/{path}").status_code for path in told_of] == [404] * 3
    assert [alice.client.get(f"/api/{path}").json()["results"] for path in ("messages", "media")] == [[], []]
    tasks.remove(unlinked.id)
    for model in (Instance, Message, Chat, Contact, Media, ConnectionChange, Sender):
        assert not model._default_manager.exists(), model
    broadcast.refresh_from_db()
    assert broadcast.state == "cancelled"
    told = list(Event.objects.filter(instance_id=unlinked.id).order_by("sequence"))
    assert [event.type for event in told] == ["instance.state", "message.failed", "instance.deleted"]
    assert told[1].data["error"]["code"] == "instance_deleted"
    assert endpoint.deliveries.count() == 3
    for path in ("messages", "broadcasts", "media", "webhooks", "keys", f"keys/{key['id']}", "usage", "audit"):
        assert alice.client.get(f"/api/{path}").status_code == 200, path
    assert alice.client.patch(f"/api/webhooks/{endpoint.id}", {"description": "x"}, "json").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["delete", "logout", "restart"])
def test_rita_and_charlie_may_not(rita: Person, charlie: Person, instance: Instance, verb: str) -> None:
    for person, (status, code) in {"r": (403, "permission_denied"), "c": (404, "not_found")}.items():
        who = rita if person == "r" else charlie
        assert_problem(delete(who, instance) if verb == "delete" else act(who, instance, verb), status, code)
    instance.refresh_from_db()
    assert (instance.wanted, instance.state, instance.restarts) == (Wanted.CONNECTED, State.CONNECTED, 0)


@pytest.mark.django_db
def test_restarting_begins_anew(alice: Person, instance: Instance) -> None:
    body = act(alice, instance, "restart").json()
    assert (body["state"], body["reason"]) == ("connecting", "restarted")
    act(alice, instance, "restart")
    instance.refresh_from_db()
    assert instance.restarts == 2


@pytest.mark.django_db
def test_restarting_connects_what_is_offline(alice: Person, instance: Instance, make_instance: MakeInstance) -> None:
    act(alice, instance, "stop")
    assert act(alice, instance, "restart").json()["reason"] == "waiting_for_worker"
    banned = make_instance(alice, state="banned", reason="temporary_ban")
    assert act(alice, banned, "restart").json()["state"] == "connecting"


@pytest.mark.django_db
def test_the_history_tells_each_change_and_its_reason(alice: Person, instance: Instance) -> None:
    for verb in ("stop", "connect", "restart", "logout"):
        act(alice, instance, verb)
    path = f"/api/instances/{instance.id}/history"
    page = alice.client.get(path, {"limit": 3}).json()
    steps = page["results"] + alice.client.get(page["next"]).json()["results"]
    assert [step["reason"] for step in steps] == ["logging_out", "restarted", "waiting_for_worker", "stopped_by_user"]
    assert [step["state"] for step in steps] == ["stopped", "connecting", "connecting", "stopped"]
    assert steps[0]["reason_text"] == "The link is being removed."


@pytest.mark.django_db
def test_the_history_is_kept_for_some_days(
    alice: Person, instance: Instance, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in ("stop", "connect"):
        act(alice, instance, verb)
    tasks.prune()
    assert ConnectionChange.objects.count() == 2
    settings.CONNECTION_HISTORY_DAYS = -1  # as if they were of the day before yesterday
    tasks.prune()
    assert not ConnectionChange.objects.exists()

"""What WhatsApp is asked of people, and what is kept of the answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person as Somebody
from conftest import assert_problem
from instances.holding.writer import Item
from instances.models import Instance
from instances.whatsapp.news import ContactPresence, Person
from messaging.contacts import live
from messaging.contacts.presence import presence
from messaging.models import Contact
from messaging.profile.tests.conftest import CARLA, Number, _own_storage, hold, make_message, number, stored, worker
from webhooks import events as log
from webhooks.models import Event

__all__ = ["_own_storage", "hold", "make_message", "number", "stored", "worker"]
pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def check(person: Somebody, number: Number, *phones: str, **more: Any) -> Any:
    body = {"instance": number.instance_id, "phones": phones, **more}
    return person.client.post("/api/contacts/check", body, format="json")


def ask(person: Somebody, number: Number, path: str, **query: Any) -> Any:
    return person.client.get(f"/api/contacts/{path}", {"instance": number.instance_id, **query})


def test_each_number_has_an_answer_or_a_reason_why_not(bob: Somebody, number: Number) -> None:
    phones = ["+1 (555) 010-0002", "15550100003", "hello", "99912345678", "15550100009", CARLA]
    results = check(bob, number, *phones).json()["results"]
    assert [one["input"] for one in results] == phones
    carla, nobody, nonsense, nowhere, silent, again = results
    assert (carla["phone"], carla["exists"], carla["lid"]) == (CARLA, True, "777@lid")
    assert (carla["jid"], carla["business_name"]) == (f"{CARLA}@s.whatsapp.net", "Carla's Boats")
    assert (nobody["exists"], nobody["jid"], nobody["error"]) == (False, None, None)
    assert again == carla | {"input": CARLA}
    codes = [(one["exists"], one["error"]["code"]) for one in (nonsense, nowhere, silent)]
    assert codes == [(None, "invalid"), (None, "invalid_phone_number"), (None, "no_answer")]
    assert number.looked_up == [[CARLA, "15550100003", "15550100009"]]


def test_what_is_known_is_asked_again_only_when_it_is_old_or_wanted(bob: Somebody, number: Number) -> None:
    for _ in range(2):
        first = check(bob, number, CARLA, "15550100003").json()
    assert len(number.looked_up) == 1
    number.online = False
    assert check(bob, number, CARLA, "15550100003").json() == first
    answer = check(bob, number, CARLA, "15550100004")
    assert_problem(answer, 503, "instance_offline")
    assert answer.headers["Retry-After"] == "5"
    number.online = True
    check(bob, number, CARLA, again=True)
    Contact.objects.update(checked_at=timezone.now() - timedelta(days=2))
    check(bob, number, CARLA, "15550100003")
    assert number.looked_up[1:] == [[CARLA], ["15550100003"]]


@pytest.mark.parametrize("phones", [[], ["15550100002"] * 101, "15550100002", [1]])
def test_a_check_takes_up_to_a_hundred_numbers(bob: Somebody, number: Number, phones: Any) -> None:
    body = {"instance": number.instance_id, "phones": phones}
    assert_problem(bob.client.post("/api/contacts/check", body, format="json"), 400, "invalid_request")
    assert number.looked_up == []


def test_a_contact_is_shown_with_what_it_shows(rita: Somebody, number: Number) -> None:
    for name in (CARLA, "777@lid"):
        shown = ask(rita, number, name).json()
        assert (shown["phone"], shown["lid"], shown["on_whatsapp"]) == (CARLA, "777@lid", True)
        assert (shown["about"], shown["picture_id"], shown["devices"]) == ("At sea", "17", 2)
        assert shown["business_name"] == "Carla's Boats"
    assert_problem(ask(rita, number, "15550100003"), 422, "not_on_whatsapp")
    assert_problem(ask(rita, number, "hello"), 404, "not_found")
    number.account.carla = number.account.carla._replace(devices=0)
    assert_problem(ask(rita, number, "777@lid"), 422, "not_on_whatsapp")


def test_a_picture_is_asked_for_once_in_a_while(rita: Somebody, number: Number) -> None:
    check(rita, number, CARLA)
    Contact.objects.create(instance=number.instance, phone=CARLA, lid="777@lid")
    for _ in range(2):
        assert ask(rita, number, f"{CARLA}/picture").json() == {"id": "17", "url": "https://pps.whatsapp.net/17"}
    assert number.account.asked == ["picture of 777@lid"]
    ask(rita, number, f"{CARLA}/picture", preview="true")
    live._watches[number].offline()  # type: ignore[index]
    number.account.pictures.clear()
    assert_problem(ask(rita, number, f"{CARLA}/picture"), 404, "not_found")
    assert len(number.account.asked) == 3


def test_a_contact_link_leads_to_somebody(bob: Somebody, number: Number) -> None:
    for link, status in (("https://wa.me/qr/CARLA", 200), ("https://wa.me/qr/GONE", 404)):
        body = {"instance": number.instance_id, "link": link}
        answer = bob.client.post("/api/contacts/resolve-link", body, format="json")
        assert answer.status_code == status
        if status == 200:
            assert answer.json() == {"id": "777@lid", "phone": None, "lid": "777@lid", "name": "Carla"}


# --- presence -------------------------------------------------------------------------------


def told(number: Number, *, available: bool, last_seen: datetime | None = None) -> None:
    """WhatsApp tells of Carla by her LID."""
    news = ContactPresence(Person(None, "777@lid"), available, last_seen)
    live._watches[number].seen(news)  # type: ignore[index]
    written = presence([Item(number.instance_id, 1, news)], {number.instance_id: number.instance})
    log.append(written.drafts)


def test_presence_is_the_last_that_whatsapp_told(rita: Somebody, number: Number) -> None:
    Contact.objects.create(instance=number.instance, phone=CARLA, lid="777@lid", name="Carla")
    nothing = ask(rita, number, f"{CARLA}/presence").json()
    assert (nothing["presence"], nothing["at"]) == (None, None)
    assert number.account.asked == ["presence of 777@lid"]
    told(number, available=False, last_seen=NOON)
    shown = ask(rita, number, f"{CARLA}/presence").json()
    assert (shown["presence"], shown["last_seen_at"]) == ("unavailable", "2026-11-23T12:00:00.000Z")
    told(number, available=True)
    told(number, available=False)  # they do not show when they were seen, but we saw it
    shown = ask(rita, number, f"{CARLA}/presence").json()
    assert shown["presence"] == "unavailable"
    assert shown["last_seen_at"] > "2026-11-23T12:00:00.000Z"
    events = Event.objects.filter(type="contact.presence").order_by("sequence")
    assert [event.data["presence"] for event in events] == ["unavailable", "available", "unavailable"]
    assert (events[0].data["contact"]["phone"], events[0].data["contact"]["name"]) == (CARLA, "Carla")


def test_an_answer_at_once_is_shown_before_it_is_written(rita: Somebody, number: Number) -> None:
    watch = live._watches[number]  # type: ignore[index]
    number.account.watch_presence = lambda jid: watch.seen(  # type: ignore[method-assign]
        ContactPresence(Person(jid.phone, None), False, NOON)
    )
    shown = ask(rita, number, f"{CARLA}/presence").json()
    assert (shown["presence"], shown["last_seen_at"]) == ("unavailable", "2026-11-23T12:00:00.000Z")
    assert Contact.objects.get().phone == CARLA


def test_of_who_is_no_contact_any_more_nothing_is_kept_or_told(number: Number) -> None:
    told(number, available=True)
    assert not Contact.objects.exists()
    assert not Event.objects.filter(type="contact.presence").exists()


# --- the list -------------------------------------------------------------------------------


def test_contacts_are_found_by_name_and_number_page_by_page(
    rita: Somebody, charlie: Somebody, instance: Instance
) -> None:
    for place in range(5):
        Contact.objects.create(instance=instance, phone=f"1555010000{place}", name=f"Carla {place}")
    Contact.objects.create(instance=instance, lid="777@lid", business_name="Boats & Co")

    def found(**query: Any) -> list[str]:
        page, rows = rita.client.get("/api/contacts", {"instance": instance.id, "limit": 2, **query}).json(), []
        while True:
            rows += page["results"]
            if page["next"] is None:
                return [row["phone"] or row["lid"] for row in rows]
            page = rita.client.get(page["next"]).json()

    assert found() == ["777@lid", *(f"1555010000{place}" for place in (4, 3, 2, 1, 0))]
    assert found(q="boats") == ["777@lid"]
    assert found(q="carla 3") == ["15550100003"]
    assert found(q="+1 555 010-0001") == ["15550100001"]
    assert found(q="nobody") == []
    assert_problem(charlie.client.get("/api/contacts", {"instance": instance.id}), 404, "not_found")
    assert_problem(rita.client.get("/api/contacts"), 400, "invalid_request")

from __future__ import annotations

from config.dashboard import Shares
from conftest import Person
from subscriptions import dashboard
from subscriptions.models import Meter


def test_organizations_near_their_limit_are_shown_the_fullest_first(alice: Person, charlie: Person) -> None:
    Meter.objects.filter(organization=alice.organization, network="whatsapp").update(used=8_000)
    Meter.objects.filter(organization=alice.organization, network="sandbox").update(used=7_999)
    Meter.objects.filter(organization=charlie.organization, network="whatsapp").update(used=10_000)
    body = dashboard.near_the_limit().body
    assert isinstance(body, Shares)
    told = [(row.label, row.value, row.tone) for row in body.rows]
    assert told == [
        (f"{charlie.organization} (whatsapp)", "10,000 of 10,000", "danger"),
        (f"{alice.organization} (whatsapp)", "8,000 of 10,000", "warning"),
    ]


def test_each_plan_tells_how_many_have_it(alice: Person, charlie: Person) -> None:
    body = dashboard.plans().body
    assert isinstance(body, Shares)
    assert [(row.label, row.value) for row in body.rows] == [("Basic", "2"), ("Pro", "0"), ("Max", "0")]

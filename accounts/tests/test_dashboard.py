from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts import dashboard
from accounts.models import Organization
from accounts.organizations import suspend
from conftest import Person


def test_active_suspended_and_new_organizations_are_told(alice: Person, charlie: Person) -> None:
    Organization.objects.filter(pk=alice.organization.pk).update(created_at=timezone.now() - timedelta(days=8))
    suspend(organization=charlie.organization, reason="operator")
    figure = dashboard.organizations()
    assert (figure.value, figure.note) == ("1", "1 new this week; 1 suspended")

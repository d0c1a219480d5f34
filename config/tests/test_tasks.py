from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from config.tasks import prune

pytestmark = pytest.mark.django_db


def test_what_has_expired_is_dropped_and_nothing_else() -> None:
    past, future = (timezone.now() + timedelta(days=days) for days in (-1, 1))
    Session.objects.create(session_key="old", session_data="", expire_date=past)
    Session.objects.create(session_key="new", session_data="", expire_date=future)
    prune()
    assert [row.session_key for row in Session.objects.all()] == ["new"]

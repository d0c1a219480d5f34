from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.services import issue_tokens, refresh_tokens
from config.tasks import prune
from conftest import Person

pytestmark = pytest.mark.django_db


def test_what_has_expired_is_dropped_and_nothing_else(alice: Person) -> None:
    kept = OutstandingToken.objects.count()
    refresh_tokens(refresh=issue_tokens(user=alice.user).refresh)
    past, future = (timezone.now() + timedelta(days=days) for days in (-1, 1))
    OutstandingToken.objects.filter(blacklistedtoken__isnull=False).update(expires_at=past)
    Session.objects.create(session_key="old", session_data="", expire_date=past)
    Session.objects.create(session_key="new", session_data="", expire_date=future)
    prune()
    assert OutstandingToken.objects.count() == kept + 1
    assert not BlacklistedToken.objects.exists()
    assert [row.session_key for row in Session.objects.all()] == ["new"]

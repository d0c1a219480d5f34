from __future__ import annotations

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.db import connection
from pytest_django import Settings

from conftest import Person
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(alice: Person) -> Endpoint:
    """A row with an encrypted column."""
    return Endpoint.objects.create(organization=alice.organization, url="https://example.com", events=["*"])


def raw() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_endpoint")
        return str(cursor.fetchone()[0])


def test_the_column_holds_no_secret_and_the_model_does(endpoint: Endpoint) -> None:
    assert endpoint.secret not in raw()
    assert endpoint.secret.removeprefix("whsec_") not in raw()
    assert Endpoint.objects.get().secret == endpoint.secret


def test_keys_are_rotated_without_losing_a_secret(endpoint: Endpoint, settings: Settings) -> None:
    old, new = list(settings.FIELD_ENCRYPTION_KEYS), Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new, *old]
    row = Endpoint.objects.get()
    assert row.secret == endpoint.secret
    row.save()
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert Endpoint.objects.get().secret == endpoint.secret


def test_without_its_key_a_secret_cannot_be_read(endpoint: Endpoint, settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(InvalidToken):
        Endpoint.objects.get()

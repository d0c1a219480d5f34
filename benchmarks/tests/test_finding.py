"""Every query of the list of messages is served by an index of its own, on both databases."""

from __future__ import annotations

import pytest
from django.db import connection

from benchmarks import filling
from instances.models import Instance

pytestmark = pytest.mark.django_db
INDEXES = {
    "all": "listing",
    "of an instance": "listing_of_instance",
    "of a chat": "conversation",
    "received": "listing_inbound",
    "failed": "listing_by_rare_status",
    "images": "listing_by_type",
    "by client_ref": "listing_by_ref",
    "before a moment": "listing_of_instance",
}


def test_filters_use_their_indexes(instance: Instance) -> None:
    filling.fill(instance.id, 2_000)
    used = filling.explained(instance.id)
    assert {name: index for name, index in INDEXES.items() if index not in used[name]} == {}


def test_a_rare_word_is_found_by_the_index_of_words(instance: Instance) -> None:
    is_postgres = connection.vendor == "postgresql"
    filling.fill(instance.id, 20_000 if is_postgres else 2_000)  # of few messages PostgreSQL reads all
    used = filling.explained(instance.id)["with a rare word"]
    expected = "messaging_words_found" if is_postgres else "listing_of_instance"
    assert expected in used  # on SQLite: looked up by ids that the virtual table has found

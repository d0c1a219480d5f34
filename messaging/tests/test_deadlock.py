from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction

from conftest import Person, somebody_waits_for_a_lock, wait_for
from instances.models import Instance
from instances.services import draft
from messaging.models import Message
from messaging.tests.test_send import send
from subscriptions.models import Meter
from tests.conformance import Arbitrary
from webhooks import events

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")


def wait_for_ever() -> None:
    """Let the other one notice the deadlock, in the present transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL deadlock_timeout = '1min'")


def test_a_send_that_the_database_gives_up_in_a_deadlock_is_tried_again(
    committed: None, alice: Person, instance: Instance
) -> None:
    client, locked = alice.program(), threading.Event()

    def take_the_locks_in_the_wrong_order() -> None:
        with transaction.atomic():
            wait_for_ever()
            events.append([draft(instance, "instance.qr", Arbitrary())])
            locked.set()
            wait_for(somebody_waits_for_a_lock)
            Meter.objects.filter(organization=alice.organization).update(used=7)
        connections.close_all()

    other = threading.Thread(target=take_the_locks_in_the_wrong_order)
    other.start()
    locked.wait()
    assert send(client, instance).status_code == 202
    other.join()
    assert Message.objects.count() == 1
    assert Meter.objects.get(organization=alice.organization, network=instance.network).used == 8

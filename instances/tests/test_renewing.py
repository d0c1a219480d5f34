"""Leases are renewed although others lock the rows."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from instances.holding import lease
from instances.models import Instance, Worker


def lock_for(instance: Instance, locked: threading.Event, enough: threading.Event) -> None:
    try:
        with transaction.atomic():
            Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)
            locked.set()
            enough.wait(20)
    finally:
        connection.close()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows")
@pytest.mark.parametrize("seconds", [0.1, 20.0], ids=["for a moment", "for long"])
def test_a_row_that_others_have_locked_is_waited_for_a_moment(held: Instance, worker: Worker, seconds: float) -> None:
    locked, enough = threading.Event(), threading.Event()
    other = threading.Thread(target=lock_for, args=[held, locked, enough])
    other.start()
    assert locked.wait(20)
    timer = threading.Timer(seconds, enough.set)
    timer.start()
    try:
        renewal = lease.renew(worker, [held.pk])
    finally:
        timer.cancel()
        enough.set()
        other.join()
    assert renewal == ({held.pk} if seconds < 1 else set(), set())

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from config.dashboard import Shares, Table
from conftest import Person
from instances import dashboard
from instances.models import Instance, Network, Worker
from instances.states import State, Wanted

MakeInstance = Callable[..., Instance]


def _worker(name: str, silent_for: timedelta = timedelta(), **columns: int) -> Worker:
    return Worker.objects.create(
        name=name,
        network=Network.SANDBOX,
        queue=name,
        machine="m",
        pid=1,
        heartbeat_at=timezone.now() - silent_for,
        **{"capacity": 10} | columns,
    )


def test_instances_that_cannot_come_online_are_counted_apart(alice: Person, make_instance: MakeInstance) -> None:
    make_instance(alice)
    make_instance(alice, state=State.RECONNECTING, reason="connection_lost")
    make_instance(alice, state=State.LOGGED_OUT, reason="unlinked")
    make_instance(alice, state=State.STOPPED, reason="stopped_by_user", wanted=Wanted.STOPPED)
    figure = dashboard.connected()
    assert (figure.value, figure.note) == ("1", "of 3 instances that should be; 1 cannot")
    assert figure.tone == "danger"


def test_states_are_shares_of_all_instances(alice: Person, make_instance: MakeInstance) -> None:
    for _ in range(3):
        make_instance(alice)
    make_instance(alice, state=State.BANNED, reason="temporary_ban")
    body = dashboard.states().body
    assert isinstance(body, Shares)
    assert [(row.label, row.value, row.percent) for row in body.rows] == [
        ("Connected", "3", 75.0),
        ("Banned", "1", 25.0),
    ]


def test_only_workers_that_live_count_and_their_places(alice: Person, make_instance: MakeInstance) -> None:
    make_instance(alice, holder=_worker("one"))
    _worker("two", capacity=20)
    _worker("dead", timedelta(minutes=5))
    _worker("forgotten", timedelta(days=2))
    figure = dashboard.workers()
    assert (figure.value, figure.note) == ("2", "1 of 30 places taken; 1 gone today")


def test_without_a_worker_the_figure_warns(db: None) -> None:
    assert (dashboard.workers().value, dashboard.workers().tone) == ("0", "danger")


def test_the_workers_table_marks_who_went_away(db: None) -> None:
    _worker("one")
    _worker("dead", timedelta(minutes=5))
    body = dashboard.heartbeats().body
    assert isinstance(body, Table)
    assert [("one" in row[0], "gone for" in row[3]) for row in body.rows] == [(True, False), (False, True)]

"""The reckoning sees what went wrong."""

from __future__ import annotations

from chaos.reckoning import Freeze, Sent, broken, held_twice, reckon

SENT = [Sent("a", 0, "a0"), Sent("a", 1, "a1"), Sent("b", 0, "b0"), Sent("a", 2, "a2")]
ALL = ["a0", "b0", "a1", "a2"]


def test_nothing_is_wrong_when_all_came_once_and_in_the_order_of_its_chat() -> None:
    fine = reckon(SENT, ALL, dict.fromkeys(ALL, "delivered"))
    assert (fine.accepted, fine.arrived) == (4, 4)
    assert broken(fine, reckon(SENT, ALL), twice=0, hard_kills=0) == []


def test_what_did_not_come_is_lost_unless_its_sender_knows() -> None:
    statuses = {"a0": "failed", "a1": "unconfirmed", "a2": "sent", "b0": "delivered"}
    found = reckon(SENT, ["b0"], statuses)
    assert (found.failed, found.doubtful, found.lost) == (["a0"], ["a1"], ["a2"])
    assert reckon(SENT, ["b0"]).lost == ["a0", "a1", "a2"]


def test_what_came_and_is_called_doubtful_is_not_settled() -> None:
    assert reckon(SENT, ALL, {"a1": "unconfirmed"}).unsettled == ["a1"]


def test_what_came_twice_or_after_a_later_one_is_seen() -> None:
    found = reckon(SENT, ["a1", "b0", "a0", "a2", "a1"])
    assert (found.doubled, found.reordered) == (["a1"], ["a0"])


def test_what_was_in_doubt_may_come_after_a_later_one_but_once() -> None:
    found = reckon(SENT, ["a1", "a2", "b0", "a0", "a0"], doubted=["a0"])
    assert (found.doubled, found.reordered) == (["a0"], [])
    assert reckon(SENT, ["a1", "b0", "a0"], doubted=["a1"]).reordered == ["a0"]


def test_a_login_that_ends_another_is_two_holders_unless_one_was_frozen() -> None:
    connections = [
        {"since": 1.0, "until": 20.0, "replaced": True},
        {"since": 20.0, "until": 30.0, "replaced": False},
        {"since": 31.0, "until": None, "replaced": False},
    ]
    assert held_twice(connections, [Freeze(10.0, 40.0)]) == 0
    assert held_twice(connections, [Freeze(40.0, 50.0)]) == 1


def test_each_broken_promise_is_named() -> None:
    bad = reckon(SENT, ["a1", "a0", "a0"], {"a2": "failed", "a1": "unconfirmed"})
    said = broken(bad, reckon(SENT, ["a0", "a0"]), twice=2, hard_kills=0)
    assert len(said) == 7
    assert broken(reckon([], []), reckon(SENT, []), twice=0, hard_kills=1) == []

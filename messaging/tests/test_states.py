from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from messaging.states import PROGRESS, TRANSITIONS, Status, below

receipts = st.lists(st.sampled_from([Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED, Status.UNCONFIRMED]))


def after(status: str, news: list[Status]) -> str:
    for one in news:
        if status in below(one):
            status = one
    return status


@given(st.sampled_from(PROGRESS), receipts, st.randoms())
def test_in_whatever_order_receipts_come_the_status_is_the_furthest(
    start: Status, news: list[Status], random: object
) -> None:
    furthest = max([start, *news], key=PROGRESS.index)
    assert after(start, news) == furthest
    random.shuffle(news)  # type: ignore[attr-defined]
    assert after(start, news) == furthest


@given(receipts)
def test_what_has_failed_or_was_received_stays_so(news: list[Status]) -> None:
    assert after(Status.FAILED, news) == Status.FAILED
    assert after(Status.RECEIVED, news) == Status.RECEIVED


def test_the_transitions_lead_from_states_to_other_states() -> None:
    assert set(TRANSITIONS) == set(Status.values)
    for before, nexts in TRANSITIONS.items():
        assert nexts <= set(Status.values)
        assert before not in nexts


def test_only_what_has_not_left_can_be_queued_again_or_fail() -> None:
    unsent = [Status.SCHEDULED, Status.PREPARING, Status.HELD]
    assert below(Status.QUEUED) == (*unsent, Status.SENDING)
    assert below(Status.FAILED) == (*unsent, Status.QUEUED, Status.SENDING)
    assert below(Status.CANCELLED) == (*unsent, Status.QUEUED)

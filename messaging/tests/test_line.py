"""Who waits for whom when many send at once."""

from __future__ import annotations

from accounts.actor import Actor
from config.api.idempotency import Answer, Claim
from instances.whatsapp.jids import Jid
from messaging.accepting.line import GROUP_MESSAGES, LARGE, Line
from messaging.accepting.orders import Order, Outgoing


def order(organization: str, size: int = 1, claim: Claim | None = None) -> Order:
    one = Outgoing("ins_1", Jid("15550100002"), "text", {"body": "Hello"}, None)
    return Order(Actor(organization, "user", "1", frozenset()), [one] * size, lambda _: Answer(202, None), claim)


def line_of(*orders: Order) -> Line:
    line = Line()
    for one in orders:
        line.add(one)
    return line


def names(*orders: Order) -> list[str]:
    return [one.actor.organization_id for one in orders]


def test_single_messages_go_together_and_before_a_batch() -> None:
    line = line_of(order("large", 1000), order("a"), order("b"), order("c", LARGE - 1))
    assert names(*line.group()) == ["a", "b", "c"]
    assert names(*line.group()) == ["large"]


def test_batches_and_single_messages_take_turns() -> None:
    line = line_of(order("large", 1000), order("large", 1000), order("small"))
    seen = []
    for _ in range(4):
        seen += names(*line.group())
        line.add(order("small"))
    assert seen == ["small", "large", "small", "small", "large"]


def test_organizations_with_batches_take_turns() -> None:
    line = line_of(*(order("a", 1000) for _ in range(3)), order("b", 1000), order("c", 1000))
    assert [names(*line.group()) for _ in range(5)] == [["a"], ["b"], ["c"], ["a"], ["a"]]


def test_a_group_grows_no_further_when_it_is_large() -> None:
    line = line_of(*(order("a", 400) for _ in range(4)))
    assert [len(line.group()) for _ in range(2)] == [3, 1]
    line = line_of(*(order("a") for _ in range(GROUP_MESSAGES + 1)))
    assert [len(line.group()) for _ in range(2)] == [GROUP_MESSAGES, 1]


def test_two_orders_with_one_key_are_never_in_one_group() -> None:
    first, again, other = (Claim("scope", key, "hash") for key in ("k", "k", "l"))
    line = line_of(order("a", claim=first), order("a", claim=other), order("a", claim=again))
    assert [len(line.group()) for _ in range(2)] == [2, 1]


def test_who_comes_while_a_group_is_chosen_is_taken_along() -> None:
    line = line_of(order("a"))
    first = line.first()
    line.add(order("large", 1000))
    line.add(order("b"))
    assert names(*line.group(first)) == ["a", "b"]

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from instances.states import ENDED, REASONS, TRANSITIONS, State

FOLDER = Path(settings.BASE_DIR) / "instances"
# Where a reason stands in the calls that change a state.
PLACE = {"StateChange": 1, "change_state": 2}


def _reasons(expression: ast.AST) -> Iterator[str]:
    if isinstance(expression, ast.Constant):
        yield str(expression.value)
    elif isinstance(expression, ast.IfExp):
        yield from (*_reasons(expression.body), *_reasons(expression.orelse))


def _used() -> set[str]:
    """The reasons that stand in the code, and the default of the column."""
    found = {"new"}
    for path in FOLDER.rglob("*.py"):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            place = PLACE.get(getattr(getattr(node, "func", None), "id", ""))
            if place is not None and len(node.args) > place:  # type: ignore[attr-defined]
                found.update(_reasons(node.args[place]))  # type: ignore[attr-defined]
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "reason":
                found.update(_reasons(node.value))
    return found


def test_every_reason_in_the_code_is_explained_and_no_other() -> None:
    assert _used() == REASONS.keys()


@pytest.mark.parametrize("reason", REASONS)
def test_an_explanation_is_a_sentence(reason: str) -> None:
    assert REASONS[reason].sentence.endswith(".")
    assert REASONS[reason].advice == "" or REASONS[reason].advice.endswith(".")
    assert len(reason) <= 30


def test_the_transitions_lead_from_states_to_other_states() -> None:
    assert set(TRANSITIONS) == set(State.values)
    for before, after in TRANSITIONS.items():
        assert after <= set(State.values)
        assert before not in after


def test_every_state_can_be_reached_and_left() -> None:
    reached, edge = {State.CREATED}, {State.CREATED}
    while edge:
        edge = {after for before in edge for after in TRANSITIONS[before]} - reached
        reached |= edge
    assert reached == set(State.values)
    assert all(TRANSITIONS.values())


def test_every_end_can_be_left_by_connect() -> None:
    for end in (*ENDED, State.STOPPED):
        assert {State.LINKING, State.CONNECTING} <= TRANSITIONS[end]

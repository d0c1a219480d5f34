"""Bodies of every type, made up and mutilated: taken or refused with a field, never an error of ours."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.api.problems import Problem
from messaging.api.payload import parse
from messaging.kinds.examples import EXAMPLES

values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "\x00", "15550100002", "status", "1@newsletter", "120363000000000001@g.us", "a" * 70_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
OUTSIDE = ["instance", "to", "type", "client_ref", "context", "mentions", "mention_all", "view_once", "expires_in"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for step, part in inner for found in places(part, (*path, step)))]


def replaced(body: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    body = deepcopy(body)
    at: Any = body
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return body


@pytest.mark.parametrize("type_", EXAMPLES)
def test_the_example_of_a_type_is_taken(type_: str) -> None:
    outgoing = parse(orjson.dumps(EXAMPLES[type_]))
    assert (outgoing.type, str(outgoing.to)) == (type_, "15550100002@s.whatsapp.net")


@pytest.mark.parametrize("type_", EXAMPLES)
@settings(max_examples=25)
@given(data=st.data())
def test_a_wrong_value_anywhere_is_taken_or_pointed_at(type_: str, data: st.DataObject) -> None:
    body = EXAMPLES[type_]
    path = data.draw(st.sampled_from([*places(body)[1:], *((name,) for name in OUTSIDE)]))
    check(orjson.dumps(replaced(body, path, data.draw(values))))


@pytest.mark.parametrize("type_", EXAMPLES)
@settings(max_examples=15)
@given(content=values)
def test_any_content_is_taken_or_pointed_at(type_: str, content: Any) -> None:
    check(orjson.dumps(EXAMPLES[type_] | {type_: content}))


def check(raw: bytes) -> None:
    problem = None
    try:
        orjson.dumps(parse(raw).content)
    except Problem as error:
        problem = error
    assert problem is None or problem.status == 501 or (problem.status == 400 and problem.errors)

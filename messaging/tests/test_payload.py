from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.api.problems import Problem
from instances.whatsapp.jids import Jid
from messaging.api.payload import parse

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)
sends = st.builds(
    lambda instance, to, body, ref: {"instance": instance, "to": to, "type": "text", "text": {"body": body}} | ref,
    texts,
    st.from_regex("1[2-9][0-9]{9}", fullmatch=True),
    texts.filter(lambda text: len(text) <= 65_536),
    st.none().map(lambda _: {}) | texts.filter(lambda text: len(text) <= 200).map(lambda text: {"client_ref": text}),
)


@given(sends)
def test_a_good_body_is_taken_to_the_letter(body: dict[str, Any]) -> None:
    outgoing = parse(orjson.dumps(body))
    assert outgoing[:5] == (body["instance"], Jid(body["to"]), "text", body["text"], body.get("client_ref"))


@given(st.binary())
def test_any_bytes_are_a_send_or_a_problem(raw: bytes) -> None:
    with pytest.raises(Problem) as raised:
        parse(raw)
    assert raised.value.status == 400


@given(anything)
def test_any_json_is_a_send_or_a_problem(value: Any) -> None:
    with pytest.raises(Problem) as raised:
        parse(orjson.dumps(value))
    assert raised.value.code == "invalid_request"


@given(sends, st.sampled_from(["instance", "to", "type", "text", "client_ref", "extra"]), anything)
def test_a_wrong_field_is_pointed_at(body: dict[str, Any], name: str, value: Any) -> None:
    problem = None
    try:
        parse(orjson.dumps(body | {name: value}))
    except Problem as error:
        problem = error
    assert problem is None or problem.errors[0].pointer.startswith(f"/{name}")


@pytest.mark.parametrize("name", ["a`b", "a\nb", "x - at `$.y`", "", "é"])
def test_an_unknown_field_is_named_whatever_its_name(name: str) -> None:
    with pytest.raises(Problem) as raised:
        parse(orjson.dumps({name: 1}))
    assert (raised.value.errors[0].pointer, raised.value.errors[0].code) == (f"/{name}", "unknown_field")


def test_what_lies_behind_a_number_that_is_not_whole_is_read_as_carefully() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    body = b'{"instance": "i", "to": "15550100002", "type": "poll", "poll": {"selectable": 1.5, "x": %s}}' % deep
    with pytest.raises(Problem) as caught:
        parse(body)
    assert caught.value.code == "malformed_json"

from __future__ import annotations

import re

import pytest
from django.test import Client

from config.api.request_id import current_request_id
from conftest import assert_problem

GENERATED = re.compile(r"req_[0-9a-f]{32}")


@pytest.mark.parametrize("given", ["a", "7f000001-8f3e", "req_1:2.3_4", "x" * 128])
def test_a_given_request_id_comes_back(client: Client, given: str) -> None:
    answer = client.get("/nothing", headers={"X-Request-Id": given})
    assert assert_problem(answer, 404, "not_found")["request_id"] == given


@pytest.mark.parametrize("garbage", ["", " ", "a b", 'a"b', "a\nSet-Cookie: x", "é", "x" * 129, "{}"])
def test_garbage_is_replaced(client: Client, garbage: str) -> None:
    answer = client.get("/nothing", headers={"X-Request-Id": garbage})
    assert GENERATED.fullmatch(assert_problem(answer, 404, "not_found")["request_id"])


def test_every_request_without_an_id_gets_its_own(client: Client) -> None:
    ids = {client.get("/livez")["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(GENERATED.fullmatch(one) for one in ids)


def test_outside_of_requests_there_is_no_id(client: Client) -> None:
    client.get("/livez")
    assert current_request_id() == ""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Person
from instances.models import Instance
from messaging.finding import search
from messaging.finding.searchable import text_of, words_of
from messaging.models import Message
from messaging.tests.test_list_messages import listed

pytestmark = [pytest.mark.django_db, pytest.mark.every_case]
Make = Callable[..., Message]


@pytest.fixture
def say(instance: Instance, make_message: Make) -> Callable[..., str]:
    """Makes a text message; returns its id."""

    def say(body: str, **columns: Any) -> str:
        content = {"body": body}
        return make_message(columns.pop("of", instance), content=content, text=text_of("text", content), **columns).id

    return say


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ("Hello Carla", "hello"),
        ("Hello Carla", "CARLA hello"),
        ("Hello Carla", '"hello carla"'),
        ("Hello Carla", '"hello carla'),
        ("Hello Carla", "car*"),
        ("Hello Carla", '"hello car"*'),
        ("Grüße aus Köln", "gruße köln"),
        ("Grüße aus Köln", "GRÜSSE"),
        ("Café olé", "cafe ole"),
        ("Order ABC-123/4", "abc-123"),
        ("it's o'clock", "o'clock"),
        ("https://example.com/path?x=1", "example.com"),
        ("a_b", "a_b"),
        ("Привет мир", "привет"),
        ("שָׁלוֹם עולם", "שלום"),
        ("مُحَمَّد هنا", "محمد"),
        ("नमस्ते दुनिया", "नमस्ते"),
        ("我们明天在北京见面", "北京"),
        ("東京タワーへ行く", "タワー"),
        ("สวัสดีครับ", "สวัสดี"),
        ("안녕하세요 세계", "세계"),
        ("well done 👍🏽", "👍"),
        ("x" * 5000, "xxx*"),
    ],
)
def test_words_are_found_in_any_script(alice: Person, say: Any, body: str, query: str) -> None:
    say("something else")
    found = say(body)
    assert listed(alice, q=query) == [found]


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ("Hello Carla", "hello carl"),
        ("Hello Carla", '"carla hello"'),
        ("Hello dear Carla", '"hello carla"'),
        ("Hello Carla", "hello OR peter"),
        ("Hello Carla", "hello NOT carla"),
        ("我们明天在北京见面", "京北"),
    ],
)
def test_other_words_are_not_found(alice: Person, say: Any, body: str, query: str) -> None:
    say(body)
    assert listed(alice, q=query) == []


def test_the_newest_come_first_and_filters_hold(
    alice: Person, instance: Instance, make_instance: Any, say: Any
) -> None:
    other = make_instance(alice)
    ids = [say("hello"), say("hello", of=other), say("hello", direction="inbound"), say("goodbye")]
    assert listed(alice, q="hello") == [ids[2], ids[1], ids[0]]
    assert listed(alice, q="hello", instance=instance.id) == [ids[2], ids[0]]
    assert listed(alice, q="hello", instance=instance.id, direction="inbound") == [ids[2]]
    first = alice.client.get("/api/messages", {"q": "hello", "limit": "2"}).json()
    assert [row["id"] for row in alice.client.get(first["next"]).json()["results"]] == [ids[0]]


def test_nobody_finds_what_another_tenant_said(alice: Person, charlie: Person, make_instance: Any, say: Any) -> None:
    mine, foreign = say("secret plans"), say("secret plans", of=make_instance(charlie))
    assert (listed(alice, q="secret"), listed(charlie, q="secret")) == ([mine], [foreign])


def test_the_index_follows_the_ledger(alice: Person, say: Any) -> None:
    changed, gone = say("before"), say("before")
    Message.objects.filter(pk=changed).update(text=" ".join(words_of("after it was edited")))
    Message.objects.filter(pk=gone).delete()
    assert listed(alice, q="before") == []
    assert listed(alice, q="edited") == [changed]
    Message.objects.filter(pk=changed).update(status="failed")
    assert listed(alice, q="edited") == [changed]
    Message.objects.filter(pk=changed).update(text="")
    assert listed(alice, q="edited") == []
    assert count() == 0


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM messaging_words")
        return int(cursor.fetchone()[0])


def test_a_message_without_words_is_not_in_the_index(alice: Person, say: Any) -> None:
    say("...")
    assert count() == 0


@pytest.mark.parametrize(
    "query",
    ["'", '"', "a & b | !c", "') OR 1=1 --", "a:*b", "words:x", "{x y}:z", "^x", "NEAR(a b)", "\\", "x\\'", "a-b"],
)
def test_no_query_is_an_operator(alice: Person, say: Any, query: str) -> None:
    say("nothing of it")
    answer = alice.client.get("/api/messages", {"q": query})
    assert answer.status_code in (200, 400), answer.content
    if answer.status_code == 200:
        assert answer.json()["results"] == []


@settings(max_examples=60)
@given(text=st.text(max_size=80).filter(lambda text: "\x00" not in text))
def test_every_text_is_found_by_itself(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
    if 0 < len(words) <= search.MOST_TERMS:
        phrase = search.terms_of(" ".join(words))
        assert [word for term in phrase for word in term.words] == words


@pytest.mark.parametrize(
    ("type_", "content", "found"),
    [
        ("image", {"caption": "Our beach", "sha256": "00ff"}, "our beach"),
        ("poll", {"question": "Lunch?", "options": ["Soup", "Salad"], "selectable": 1}, "lunch soup salad"),
        ("contacts", [{"name": {"formatted_name": "Carla B."}, "phones": []}], "carla b"),
        ("location", {"latitude": 1, "longitude": 2, "name": "Office", "address": "Main St"}, "office main st"),
    ],
)
def test_the_words_of_other_types(type_: str, content: Any, found: str) -> None:
    assert text_of(type_, content) == found

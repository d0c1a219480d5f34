from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import assume, example, given
from hypothesis import strategies as st

from config.ids import InvalidId, first_id, from_uuid, id_at, new_id, to_uuid
from conftest import Person
from instances.models import Instance

prefixes = st.from_regex(r"[a-z]{3}", fullmatch=True)
SUFFIX = "01h455vb4pex5vsknk084sn02q"


@given(st.uuids(), prefixes)
def test_a_uuid_comes_back_from_its_id(value: uuid.UUID, prefix: str) -> None:
    text = from_uuid(value, prefix)
    assert text.startswith(f"{prefix}_")
    assert len(text) == len(prefix) + 27
    assert to_uuid(text, prefix) == value


@given(st.text(alphabet="0123456789abcdefghjkmnpqrstvwxyzILOU-", min_size=26, max_size=26))
@example("z" * 26)
@example("8" + "0" * 25)
@example(SUFFIX.upper())
def test_a_uuid_has_one_id_only(suffix: str) -> None:
    text = f"ins_{suffix}"
    try:
        value = to_uuid(text, "ins")
    except InvalidId:
        return
    assert from_uuid(value, "ins") == text


@given(st.one_of(st.text(), st.none(), st.integers(), st.binary(), st.text(max_size=25).map("ins_".__add__)))
@example("")
@example("ins_")
@example(f"ins_{SUFFIX} ")
@example(f"ins_{SUFFIX}\n")
@example(f"INS_{SUFFIX}")
@example(f"msg_{SUFFIX}")
@example("ins_\ud800" + "0" * 25)
@example("ins_\x00" + "0" * 25)
def test_anything_else_is_no_id(text: object) -> None:
    assume(not re.fullmatch(r"ins_[0-7][0-9a-hjkmnp-tv-z]{25}", str(text)))
    with pytest.raises(InvalidId):
        to_uuid(text, "ins")  # type: ignore[arg-type]


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = [new_id("msg") for _ in range(5000)]
    assert ids == sorted(set(ids))


def test_an_id_can_be_made_of_another_moment() -> None:
    then = datetime(2026, 1, 31, tzinfo=UTC)
    ids = [id_at(then, "msg") for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(first_id(then, "msg") < one < first_id(then + timedelta(milliseconds=1), "msg") for one in ids)
    value = to_uuid(ids[0], "msg")
    assert (value.version, value.variant) == (7, uuid.RFC_4122)


def test_the_order_of_the_texts_is_the_order_of_the_uuids() -> None:
    values = sorted(uuid.uuid4() for _ in range(200))
    texts = [from_uuid(value, "ins") for value in values]
    assert texts == sorted(texts)


@pytest.mark.django_db
def test_a_row_is_found_by_its_id(instance: Instance) -> None:
    assert Instance.objects.get(pk=instance.id) == instance
    assert Instance.objects.filter(pk__in=[instance.id, new_id("ins")]).get() == instance
    assert list(Instance.objects.values_list("pk", flat=True)) == [instance.id]
    assert Instance.objects.filter(pk__lt=new_id("ins")).get() == instance
    assert not Instance.objects.filter(pk=new_id("ins")).exists()


@pytest.mark.django_db
def test_foreign_keys_are_ids_too(alice: Person, instance: Instance) -> None:
    found = Instance.objects.select_related("organization").get(organization_id=alice.organization.id)
    assert (found.organization_id, found.organization.pk) == (alice.organization.id, alice.organization.id)


@pytest.mark.django_db
def test_rows_sort_by_age(alice: Person, make_instance: Callable[..., Instance]) -> None:
    ids = [make_instance(alice).id for _ in range(5)]
    assert list(Instance.objects.order_by("pk").values_list("pk", flat=True)) == ids


@pytest.mark.django_db
@pytest.mark.parametrize("garbage", ["", "garbage", "ins_garbage", f"org_{SUFFIX}", str(uuid.UUID(int=1)), 5])
@pytest.mark.parametrize("lookup", ["pk", "pk__in", "pk__lt"])
def test_a_lookup_with_anything_else_fails(garbage: object, lookup: str) -> None:
    with pytest.raises(ValidationError):
        Instance.objects.filter(**{lookup: [garbage] if lookup == "pk__in" else garbage}).first()

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from webhooks.catalogue import TYPES, is_pattern, matches
from webhooks.states import REASONS, State


@pytest.mark.parametrize("type_", TYPES)
def test_a_type_is_matched_by_its_name_its_group_and_the_star(type_: str) -> None:
    group = f"{type_.split('.')[0]}.*"
    other = "instance.*" if group == "message.*" else "message.*"
    for pattern in (type_, group, "*"):
        assert is_pattern(pattern)
        assert matches([pattern], type_)
    assert not matches([other], type_)
    assert not matches([name for name in TYPES if name != type_], type_)


@pytest.mark.parametrize("word", [*REASONS, *State.values])
def test_the_page_on_webhooks_explains_each_state_and_reason(word: str) -> None:
    assert f"`{word}`" in (Path(settings.BASE_DIR) / "docs" / "webhooks.md").read_text()

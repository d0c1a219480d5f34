from __future__ import annotations

import pytest

from webhooks.catalogue import TYPES, is_pattern, matches


@pytest.mark.parametrize("type_", TYPES)
def test_a_type_is_matched_by_its_name_its_group_and_the_star(type_: str) -> None:
    group = f"{type_.split('.')[0]}.*"
    other = "instance.*" if group == "message.*" else "message.*"
    for pattern in (type_, group, "*"):
        assert is_pattern(pattern)
        assert matches([pattern], type_)
    assert not matches([other], type_)
    assert not matches([name for name in TYPES if name != type_], type_)

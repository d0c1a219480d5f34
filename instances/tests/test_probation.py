from __future__ import annotations

import pytest

from instances.holding import probation as module
from instances.holding.probation import Probation


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBATION_SECONDS", 0.0)
    monkeypatch.setattr(module, "LONGEST_TRIAL_SECONDS", 0.0)


def test_a_number_is_on_trial_until_it_was_online_for_some_time() -> None:
    probation = Probation(3, linked=True)
    assert probation.lasts
    probation.online()
    assert probation.verdict() is None
    assert probation.lasts


def test_who_passes_is_suspected_no_more_until_the_next_connect(at_once: None) -> None:
    probation = Probation(3, linked=True)
    probation.online()
    assert probation.verdict() == "online"
    assert (probation.lasts, probation.crashes, probation.verdict()) == (False, 0, None)
    probation.begin()
    assert probation.lasts


def test_who_never_comes_online_holds_others_back_for_a_time_only(at_once: None) -> None:
    probation = Probation(3, linked=True)
    assert probation.verdict() == "ended"
    assert (probation.lasts, probation.crashes) == (False, 3)


def test_a_number_that_is_being_linked_cannot_harm() -> None:
    assert not Probation(0, linked=False).lasts

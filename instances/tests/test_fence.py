from __future__ import annotations

from pytest_django import Settings

from instances.holding.fence import Fence, clock


def test_a_fence_falls_before_its_lease_ends(settings: Settings) -> None:
    settings.LEASE_SECONDS = 10
    assert Fence(clock() - 7.9).holds
    assert not Fence(clock() - 8.1).holds


def test_a_renewal_counts_from_when_it_was_asked_for(settings: Settings) -> None:
    settings.LEASE_SECONDS = 10
    fence = Fence(clock() - 60)
    fence.renewed(clock() - 9)
    assert not fence.holds
    fence.renewed(clock())
    assert fence.holds

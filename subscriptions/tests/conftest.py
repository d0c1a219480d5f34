from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conftest import Person
from subscriptions.models import Meter
from subscriptions.quota import first_alert


@pytest.fixture
def set_meter(db: None) -> Callable[..., Meter]:
    """Gives somebody's meter other values, as an older history would have."""

    def set_meter(owner: Person, network: str = "sandbox", **columns: Any) -> Meter:
        meter = Meter.objects.get(organization=owner.organization, network=network)
        if "limit" in columns:
            columns = {"alert_at": first_alert(columns["limit"])} | columns
        for name, value in columns.items():
            setattr(meter, name, value)
        meter.save()
        return meter

    return set_meter

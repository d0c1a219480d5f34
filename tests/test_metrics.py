from __future__ import annotations

from functools import partial

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.testing import RunningStack
from tests.product import Api, Receiver, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("sqlite")]


def scrape(stack: RunningStack) -> dict[tuple[str, ...], float]:
    """{(sample, values of its labels in the order of their names): value}"""
    text = httpx.get(f"{stack.address}/metrics", timeout=30).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, *(value for _, value in sorted(one.labels.items()))): one.value for one in samples}


def test_what_all_processes_count_is_told_by_any_of_them(stack: RunningStack, acme: Api, receiver: Receiver) -> None:
    acme.post("/webhooks", {"url": receiver.url, "events": ["message.sent"]})
    before = scrape(stack)
    instance, _ = acme.linked()
    acme.send(instance, acme.phone("Carla"), "Hello")
    receiver.wait_for("message.sent")

    def grown(*sample: str) -> bool:
        return scrape(stack).get(sample, 0) > before.get(sample, 0)

    for sample in (
        ("messages_total", "outbound", "accepted", "text"),  # by the web
        ("messages_total", "outbound", "sent", "text"),  # by a session worker
        ("send_seconds_count",),
        ("webhook_attempts_total", "succeeded"),  # by the task worker
        ("webhook_lag_seconds_count",),
    ):
        wait_for(partial(grown, *sample), what=str(sample))
    now = scrape(stack)  # from the database; those of a test before may be on their way out
    assert now["instances", "connected"] >= 1
    assert now["session_numbers_held", "sandbox"] >= 1

"""A broadcast through the whole product: to virtual phones, past somebody who wants none."""

from __future__ import annotations

import csv
import io

import pytest

from stack.testing import RunningStack
from tests.product import Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


def test_a_table_becomes_messages_for_all_but_who_wrote_stop(stack: RunningStack, acme: Api) -> None:
    instance, number = acme.linked()
    carla, dora, stopped = (acme.phone(name) for name in ("Carla", "Dora", "Emil"))
    acme.write(stopped, number, "Stop!")
    wait_for(lambda: acme.get("/opt-outs", contact=stopped)["results"], what="an opt-out")

    message = {"type": "text", "text": {"body": "Hello {{name|there}}"}}
    template = acme.post("/templates", {"name": "Greeting", "message": message})["id"]
    draft = acme.post("/broadcasts", {"instance": instance, "template_id": template, "draft": True}, expect=202)["id"]
    table = f"to;name\n+{carla};Carla\n{dora};\n{stopped};Emil\nnobody;\n"
    headers = {"Content-Type": "text/csv"}
    taken = acme.call("POST", f"/broadcasts/{draft}/recipients", 202, content=table.encode(), headers=headers)
    assert (taken["accepted"], taken["opted_out"], taken["invalid"]) == (2, 1, 1)
    acme.post(f"/broadcasts/{draft}/start", expect=202)

    def delivered() -> bool:
        return bool(acme.get(f"/broadcasts/{draft}")["progress"]["delivered"] == 2)

    wait_for(delivered, 60, "two delivered messages")
    assert [one["text"] for one in acme.received(carla)] == ["Hello Carla"]
    assert [one["text"] for one in acme.received(dora)] == ["Hello there"]
    assert acme.received(stopped) == []
    report = acme.http.get(f"/api/broadcasts/{draft}/report.csv").text
    assert sorted(row["state"] for row in csv.DictReader(io.StringIO(report))) == ["delivered", "delivered", "skipped"]

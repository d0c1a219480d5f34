from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from config import metrics
from conftest import Person, assert_problem
from instances.models import Instance, Worker

pytestmark = pytest.mark.django_db


def scrape(client: Client, **headers: str) -> dict[str, dict[tuple[str, ...], float]]:
    """{sample: {values of the labels in the order of their names: value}}"""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.content
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def test_requests_are_timed_by_route_method_and_status(client: Client, alice: Person, instance: Instance) -> None:
    route = "api/instances/<str:instance_id>"
    before = metrics.HTTP_REQUEST_SECONDS.value(route, "GET", "200")
    for _ in range(3):
        alice.client.get(f"/api/instances/{instance.id}")
    assert scrape(client)["http_request_seconds_count"]["GET", route, "200"] == before + 3


def test_odd_methods_and_paths_do_not_make_new_series(client: Client) -> None:
    client.generic("BREW", "/coffee/1")
    client.get("/coffee/2")
    counts = scrape(client)["http_request_seconds_count"]
    assert {("other", "none", "404"), ("GET", "none", "404")} <= counts.keys()
    assert not any("coffee" in str(labels) for labels in counts)


def test_gauges_tell_what_the_database_says(client: Client, instance: Instance) -> None:
    Worker.objects.create(name="a", network="sandbox", queue="a", machine="m", pid=1, capacity=10)
    found = scrape(client)
    assert found["instances"][("connected",)] == 1
    assert found["instances"][("banned",)] == 0
    assert found["audit_protected"][()] == 1
    assert found["session_worker_capacity"][("a",)] == 10
    readings = {metric.name for metric in metrics.CATALOGUE if isinstance(metric, metrics.Reading)}
    assert readings <= found.keys()
    assert set(metrics.readings) == {metric for metric in metrics.CATALOGUE if isinstance(metric, metrics.Reading)}


def test_no_label_names_a_tenant() -> None:
    labels = {label for metric in metrics.CATALOGUE for label in metric.label_names}
    assert labels == {
        "route", "method", "status", "policy", "result", "direction", "type", "outcome", "reason", "source", "state",
        "network", "command", "worker",
    }  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), [("Bearer hush", 200), ("Bearer hus", 401), ("hush", 401), ("", 401)])
def test_with_a_token_only_who_has_it_gets_them(client: Client, settings: Settings, sent: str, status: int) -> None:
    settings.METRICS_TOKEN = "hush"
    answer = client.get("/metrics", headers={"Authorization": sent} if sent else {})
    assert answer.status_code == status
    if status == 401:
        assert_problem(answer, 401, "invalid_credentials")


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("127.0.0.1", None, 200),
        ("::1", None, 200),
        ("203.0.113.7", None, 403),
        ("203.0.113.7", "127.0.0.1", 403),
        ("127.0.0.1", "203.0.113.7", 403),  # through a proxy nobody told us of
        ("unix", "127.0.0.1", 200),  # through our own front server
        ("unix", "203.0.113.7", 403),
    ],
)
def test_without_a_token_only_loopback_gets_them(client: Client, peer: str, forwarded: str | None, status: int) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client.get("/metrics", headers=headers, REMOTE_ADDR=peer).status_code == status


COUNT = """
import os, django; django.setup()
from config import metrics

def count():
    for number in range(12):
        if not (pid := os.fork()):
            metrics.RATE_LIMITED.inc("key", by=2)
            metrics.SEND_SECONDS.observe(0.3)
            metrics.SOCKETS.inc(by=2)
            os._exit(0)
        os.waitpid(pid, 0)

metrics.SOCKETS.inc(by=3)
metrics.RATE_LIMITED.inc("key", by=3)
for turn in range(2):
    count()
    before = len(list(metrics.E.METRICS_DIR.iterdir()))
    told = [line for line in metrics.exposition().decode().splitlines() if line[0] != "#"]
    after = len(list(metrics.E.METRICS_DIR.iterdir()))
    print(*[line for line in told if line.startswith(("rate", "send_seconds", "sockets"))], sep="\\n")
    print(before > 20, after < 8)
"""


@pytest.mark.only_with("sqlite")
def test_processes_are_added_up_and_of_dead_ones_only_the_counts_stay(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COUNT],
        cwd=django_settings.BASE_DIR,
        env=os.environ | {"METRICS_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said = ended.stdout.splitlines()
    for dead, told in ((12, said[: len(said) // 2]), (24, said[len(said) // 2 :])):
        assert f'rate_limited_total{{policy="key"}} {dead * 2 + 3}.0' in told
        assert 'send_seconds_bucket{le="0.25"} 0.0' in told
        assert f'send_seconds_bucket{{le="0.5"}} {dead}.0' in told
        assert f"send_seconds_count {dead}.0" in told
        assert "sockets_open 3.0" in told
        assert told[-1] == "True True"

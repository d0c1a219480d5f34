"""Every metric of the product, for Prometheus. docs/metrics.md is drawn from here.

Counters and histograms of all processes of one machine meet in METRICS_DIR, if that folder exists when a process
starts; without it each process knows only its own. Gauges are read from the database when somebody asks
(``readings``). No label names a tenant.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import structlog
from django.db import DatabaseError

from config import env as E

if E.METRICS_DIR.is_dir():
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(E.METRICS_DIR)

import prometheus_client as prometheus
from prometheus_client import multiprocess, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.values import MultiProcessValue

log = structlog.get_logger(__name__)
_MANY = 10  # files of dead processes that are worth putting together
_HOST = socket.gethostname().replace("_", "-")
SHARED = "PROMETHEUS_MULTIPROC_DIR" in os.environ


def _process() -> str:
    """Names this process among those of all containers that share the folder."""
    return f"{_HOST}.{os.getpid()}"


if SHARED:
    values.ValueClass = MultiProcessValue(_process)

_registry = prometheus.CollectorRegistry()
_making = threading.Lock()
CATALOGUE: list[Metric] = []


class Metric:
    """One metric; made when it is first used, so that a process leaves no file for what it does not count."""

    kind: ClassVar[str]

    def __init__(self, name: str, help_: str, labels: Sequence[str] = ()) -> None:
        self.name, self.help, self.label_names = name, help_, tuple(labels)
        self._children: dict[tuple[str, ...], Any] = {}
        self._parent: Any = None
        CATALOGUE.append(self)

    def _make(self) -> Any:
        raise NotImplementedError

    def _child(self, labels: tuple[str, ...]) -> Any:
        child = self._children.get(labels)
        if child is None:
            with _making:
                self._parent = self._parent or self._make()
            child = self._children[labels] = self._parent.labels(*labels) if labels else self._parent
        return child

    def value(self, *labels: str) -> float:
        """What this process counted: of a histogram the number of observations. For tests."""
        name = f"{self.name}_count" if isinstance(self, Histogram) else self.name
        found = _registry.get_sample_value(name, dict(zip(self.label_names, labels, strict=True)))
        return found or 0.0


class Counter(Metric):
    kind = "counter"

    def _make(self) -> Any:
        return prometheus.Counter(self.name, self.help, self.label_names, registry=_registry)

    def inc(self, *labels: str, by: float = 1) -> None:
        """Count, under one value for each of the labels."""
        self._child(labels).inc(by)


class Histogram(Metric):
    kind = "histogram"

    def __init__(self, name: str, help_: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> None:
        super().__init__(name, help_, labels)
        self._buckets = buckets

    def _make(self) -> Any:
        return prometheus.Histogram(self.name, self.help, self.label_names, registry=_registry, buckets=self._buckets)

    def observe(self, seconds: float, *labels: str) -> None:
        self._child(labels).observe(max(0.0, seconds))


class Level(Metric):
    """A number of things that this process has now; the numbers of living processes are added up."""

    kind = "gauge"

    def _make(self) -> Any:
        gauge = prometheus.Gauge(
            self.name, self.help, self.label_names, registry=_registry, multiprocess_mode="livesum"
        )
        if not self.label_names:
            gauge.set(0)  # the file may be that of a process with the same number
        return gauge

    def inc(self, *labels: str, by: float = 1) -> None:
        self._child(labels).inc(by)

    def dec(self, *labels: str, by: float = 1) -> None:
        self._child(labels).dec(by)


class Reading(Metric):
    """A number that stands in the database. An app puts the function that reads it into ``readings``."""

    kind = "gauge"


_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)

HTTP_REQUEST_SECONDS = Histogram(
    "http_request_seconds",
    "Time from the request's arrival in the application to its answer.",
    ("route", "method", "status"),
    buckets=_FAST,
)
RATE_LIMITED = Counter("rate_limited_total", "Requests refused by a rate limit.", ("policy",))
RATE_LIMIT_CACHE_ERRORS = Counter(
    "rate_limit_cache_errors_total", "Requests let through because the limits' cache did not answer."
)
IDEMPOTENCY = Counter(
    "idempotency_total",
    "POSTs with an Idempotency-Key: asked (all of them), replayed, mismatch (another body), in_progress.",
    ("result",),
)
MESSAGES = Counter(
    "messages_total",
    "Messages accepted, sent, failed or unconfirmed (outbound) and received (inbound).",
    ("direction", "type", "outcome"),
)
SEND_SECONDS = Histogram("send_seconds", "Time from 202 to WhatsApp's acknowledgement.", buckets=_SLOW)
WEBHOOK_ATTEMPTS = Counter(
    "webhook_attempts_total", "Attempts to deliver: succeeded, refused (another status than 2xx), failed.", ("outcome",)
)
WEBHOOK_LAG_SECONDS = Histogram("webhook_lag_seconds", "Time from an event to its delivery.", buckets=_SLOW)
EGRESS_DENIED = Counter(
    "egress_denied_total", "Connections refused because they lead to an address that is not allowed."
)
RECONNECTS = Counter("instance_reconnects_total", "Connections of numbers that ended and are tried again.", ("reason",))
COMMANDS = Counter("instance_commands_total", "Live commands to numbers, by how they ended.", ("command", "outcome"))
LEASES_LOST = Counter("session_leases_lost_total", "Numbers a session worker had to let go because its lease ran out.")
QUARANTINES = Counter(
    "instance_quarantines_total", "Numbers put into quarantine because their workers died of connecting them."
)
DEGRADED = Counter("instance_degraded_total", "Connections that looked well and were found deaf.", ("reason",))
WORKERS_RECYCLED = Counter("session_workers_recycled_total", "Session workers replaced because they leaked handles.")
NUMBERS_GIVEN = Counter("session_numbers_given_total", "Numbers that a session worker gave to one that had fewer.")
AUDIT_ENTRIES = Counter("audit_entries_total", "Entries appended to the audit log.", ("source",))
SOCKETS = Level("sockets_open", "WebSockets that are open now.")

INSTANCES = Reading("instances", "Instances by state.", ("state",))
MESSAGES_QUEUED = Reading("messages_queued", "Messages that wait to be sent.")
MESSAGES_OLDEST_SECONDS = Reading("messages_oldest_queued_seconds", "Age of the oldest message that waits to be sent.")
DELIVERIES_PENDING = Reading("webhook_deliveries_pending", "Deliveries that are open, retries included.")
DELIVERIES_OVERDUE_SECONDS = Reading("webhook_oldest_due_seconds", "For how long the most overdue delivery is due.")
WORKERS = Reading("session_workers", "Session workers that give signs of life.", ("network",))
NUMBERS_HELD = Reading("session_numbers_held", "Numbers held by session workers under a valid lease.", ("network",))
NUMBERS_UNHELD = Reading("session_numbers_unheld", "Numbers that should be connected and nobody holds.", ("network",))
NUMBERS_QUARANTINED = Reading("session_numbers_quarantined", "Numbers in quarantine.", ("network",))
NUMBERS_ON_PROBATION = Reading("session_numbers_on_probation", "Numbers that are being connected.", ("network",))
WORKER_NUMBERS = Reading("session_worker_numbers", "Numbers that a session worker holds.", ("worker",))
WORKER_CAPACITY = Reading("session_worker_capacity", "Numbers that a session worker takes.", ("worker",))
WORKER_HEARTBEAT_SECONDS = Reading(
    "session_worker_heartbeat_age_seconds", "Since a session worker's last sign of life.", ("worker",)
)
WORKER_DRAINING = Reading("session_worker_draining", "1 while a session worker gives its numbers away.", ("worker",))
WORKER_DESCRIPTORS = Reading("session_worker_descriptors", "Open file descriptors of a session worker.", ("worker",))
WORKER_STORES = Reading("session_worker_store_connections", "Those of them that are session stores.", ("worker",))
WORKER_THREADS = Reading("session_worker_threads", "Threads of a session worker.", ("worker",))
WORKER_MEMORY = Reading("session_worker_memory_bytes", "Resident memory of a session worker.", ("worker",))
WORKER_CPU = Reading("session_worker_cpu", "Processors that a session worker kept busy of late.", ("worker",))
AUDIT_PROTECTED = Reading("audit_protected", "1 if the triggers that keep the audit log append-only are in place.")

Values = Mapping[tuple[str, ...], float]
# Asked at every scrape; keys are the values of the labels. Apps add theirs at start-up.
readings: dict[Reading, Callable[[], Values]] = {}


class _Readings:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        for metric, read in readings.items():
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.label_names)
            try:
                found = read()
            except DatabaseError as error:
                log.warning("metric_unknown", metric=metric.name, error=type(error).__name__)
                continue
            for labels, value in found.items():
                family.add_metric(labels, value)
            yield family


def exposition() -> bytes:
    """All metrics in Prometheus' text format: this process's, or with METRICS_DIR those of all processes."""
    asked = prometheus.CollectorRegistry()
    asked.register(_Readings())
    if not SHARED:
        asked.register(_registry)
        return prometheus.generate_latest(asked)
    with (E.METRICS_DIR / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # nobody may read while counts move from one file to another
        _forget_dead()
        multiprocess.MultiProcessCollector(asked, str(E.METRICS_DIR))
        return prometheus.generate_latest(asked)


def _forget_dead() -> None:
    """What a dead process had is gone; what it counted stays, in one file once there are many.

    Only processes of this host can be asked whether they live.
    """
    for file in _dead("gauge_live*"):
        file.unlink(missing_ok=True)
    for kind in ("counter", "histogram"):
        if len(dead := _dead(kind)) >= _MANY:
            _fold(kind, dead)


def _dead(kind: str) -> list[Path]:
    files = E.METRICS_DIR.glob(f"{kind}_{_HOST}.*.db")
    return [file for file in files if not Path(f"/proc/{file.stem.rpartition('.')[2]}").exists()]


def _fold(kind: str, files: Sequence[Path]) -> None:
    """Add the counts of files up in a new one, and remove them."""
    partial = E.METRICS_DIR / f"{kind}.partial"
    partial.unlink(missing_ok=True)
    total = MmapedDict(str(partial))
    for metric in multiprocess.MultiProcessCollector.merge(map(str, files), accumulate=False):
        for sample in metric.samples:
            names, texts = list(sample.labels), list(sample.labels.values())
            total.write_value(mmap_key(metric.name, sample.name, names, texts, metric.documentation), sample.value, 0.0)
    total.close()
    for file in files:
        file.unlink()
    partial.rename(E.METRICS_DIR / f"{kind}_{_HOST}.dead.db")


def by_label(rows: Iterable[tuple[str, float]]) -> Values:
    """Rows of one label and a value, as a reading returns them."""
    return {(label,): value for label, value in rows}

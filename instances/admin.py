from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from config.admin import LogAdmin, ReadOnlyAdmin, Rows, linked
from config.dashboard import age
from instances import dashboard, services
from instances.models import ConnectionChange, Instance, Worker
from instances.proxies import masked
from instances.states import ENDED, REASONS, State, Wanted
from webhooks.models import Event

_NUMBER = ["id", "name", "organization", "network", "phone", "lid", "device_jid"]


@admin.register(Instance)
class InstanceAdmin(ReadOnlyAdmin):
    """What a number does is decided by its tenant and its worker. Its QR and pairing codes would link it: not shown."""

    list_display = ["name", "phone", linked("organization"), "network", "state_label", "reason", "in_state_for"]
    list_filter = ["network", "state", "wanted"]
    search_fields = ["name", "phone", "lid", "organization__name"]
    search_help_text = "A name, a phone number, an organization's name, or an id: ins_…, org_…, wrk_…"
    id_fields = {"org": "organization", "wrk": "holder"}
    list_select_related = ["organization"]
    ordering = ["-id"]
    fieldsets = [
        ("Number", {"fields": [*_NUMBER, "created_at", "deleted_at"]}),
        ("State", {"fields": ["wanted", "state", "state_since", "sentence", "detail", "advice"]}),
        ("Settings", {"fields": ["settings", "proxy_shown", "labels_shown", "metadata"]}),
        ("Connection", {"fields": ["connected_at", "banned_until", "holder", "epoch", "lease_until", "restarts"]}),
        (
            "Harm to workers",
            {"fields": ["probation_since", "crashes", "crashed_at", "quarantines", "quarantined_until"]},
        ),
    ]
    readonly_fields = ["sentence", "advice", "proxy_shown", "labels_shown"]
    actions_detail = ["connect", "stop", "release"]

    @display(
        description="state",
        ordering="state",
        label={State.CONNECTED: "success", **dict.fromkeys(ENDED, "danger"), State.RECONNECTING: "warning"},
    )
    def state_label(self, instance: Instance) -> tuple[str, str]:
        return instance.state, instance.get_state_display()

    @display(description="for", ordering="-state_since")
    def in_state_for(self, instance: Instance) -> str:
        return age(instance.state_since)

    @display(description="reason")
    def sentence(self, instance: Instance) -> str:
        return REASONS[instance.reason].sentence

    def advice(self, instance: Instance) -> str:
        return REASONS[instance.reason].advice or "-"

    @display(description="proxy")
    def proxy_shown(self, instance: Instance) -> str:
        return masked(instance.proxy) or "-"

    @display(description="labels")
    def labels_shown(self, instance: Instance) -> str:
        return ", ".join(sorted(instance.labels)) or "-"

    def related(self, obj: Any) -> list[Rows]:
        return [*super().related(obj), Rows(Event, {"instance_id": obj.pk})]

    def offers(self, action: str, obj: Any) -> bool:
        if action == "release":
            return obj.quarantined_until is not None and obj.quarantined_until > timezone.now()
        online = obj.wanted == Wanted.CONNECTED and obj.state not in ENDED
        return online if action == "stop" else not online

    @action(
        description="Connect",
        icon="link",
        permissions=["act"],
        dialog={
            "title": "Connect this instance?",
            "description": "A linked instance logs in; any other shows a QR code to its tenant.",
            "form_class": None,
            "form_submit_text": "Connect",
        },
    )
    def connect(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(instance: Instance) -> str:
            services.connect(instance=instance)
            return f"{instance} connects."

        return self.act(request, object_id, work)

    @action(
        description="Stop",
        icon="link_off",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "Stop this instance?",
            "description": "It goes offline until somebody connects it again. The link is kept, messages wait.",
            "form_class": None,
            "form_submit_text": "Stop",
        },
    )
    def stop(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(instance: Instance) -> str:
            services.stop(instance=instance)
            return f"{instance} is stopped."

        return self.act(request, object_id, work)

    @action(
        description="End quarantine",
        icon="lock_open",
        permissions=["act"],
        dialog={
            "title": "End the quarantine of this instance?",
            "description": "It is connected again now, alone. If it takes down its worker once more, it comes back.",
            "form_class": None,
            "form_submit_text": "End quarantine",
        },
    )
    def release(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(instance: Instance) -> str:
            services.end_quarantine(instance=instance)
            return f"{instance} is tried again."

        return self.act(request, object_id, work)


@admin.register(ConnectionChange)
class ConnectionChangeAdmin(LogAdmin):
    """How numbers fared: each state they came into, and why."""

    list_display = ["at", linked("instance"), "state", "reason", "detail", "worker"]
    list_filter = ["state", "reason"]
    search_fields = ["=reason"]
    search_help_text = "A reason, or an id: chg_…, ins_…"
    id_fields = {"ins": "instance"}
    list_select_related = ["instance"]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ["name", "network", "heartbeat", "held_count", "capacity", "load", "memory", "draining", "pid"]
    list_filter = ["network"]
    search_fields = ["name", "machine"]
    ordering = ["-heartbeat_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        return super().get_queryset(request).annotate(held_count=Count("held"))

    @display(description="instances", ordering="held_count")
    def held_count(self, worker: Any) -> int:
        return int(worker.held_count)

    @display(description="heartbeat", ordering="heartbeat_at")
    def heartbeat(self, worker: Worker) -> str:
        return dashboard.heartbeat(worker)

    @display(description="draining for")
    def draining(self, worker: Worker) -> str:
        return age(worker.draining_since)

    @display(description="processors, threads, descriptors")
    def load(self, worker: Worker) -> str:
        return f"{worker.cpu:.2f}, {worker.threads:,}, {worker.descriptors:,}"

    @display(description="memory", ordering="memory_bytes")
    def memory(self, worker: Worker) -> str:
        return f"{worker.memory_bytes / 2**20:,.0f} MB"

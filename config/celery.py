"""The Celery application: it carries wake-ups; the database holds every promise.

Queues: ``tasks`` for the task worker, and one queue of its own for each session worker, named in its
row of ``instances.Worker``.
"""

from __future__ import annotations

import logging.config
import os
from typing import Any

import click
from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging, task_postrun, task_prerun
from django.conf import settings

from config import context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("whatsapp_api")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# A session worker: `celery -A config worker -P threads --hold-sessions --network sandbox`. The command line
# is read before Django is set up, so the options stand here and the step is named, not imported.
app.user_options["worker"].add(
    click.Option(("--hold-sessions",), is_flag=True, help="Hold WhatsApp sessions in this worker.")
)
app.user_options["worker"].add(click.Option(("--network",), help="Whose numbers to hold: sandbox or whatsapp."))
app.steps["worker"].add("instances.holding.bootstep:SessionHolder")


@beat_init.connect
def _pulse_at_once(**_: Any) -> None:
    # /health would otherwise wait for the first turn of the schedule.
    app.send_task("config.tasks.pulse", expires=60)


@setup_logging.connect
def _log_like_everybody(**_: Any) -> None:
    # With a receiver here Celery leaves the loggers alone, which else would write everything twice.
    logging.config.dictConfig(settings.LOGGING)


@celeryd_init.connect
def _source(**_: Any) -> None:
    context.set_process_source("task")


@task_prerun.connect
def _enter(task: Any, task_id: str, **_: Any) -> None:
    task.request.origin_token = context.enter(context.Origin("task", request_id=task_id))


@task_postrun.connect
def _leave(task: Any, **_: Any) -> None:
    if token := getattr(task.request, "origin_token", None):
        context.leave(token)

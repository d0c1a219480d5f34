from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


def _keep_triggers(using: str, **_: Any) -> None:
    from messaging.finding import search

    search.keep_triggers(connections[using])


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self) -> None:
        from config import metrics
        from instances import removal, selectors
        from instances.holding import attachments
        from media import handlers
        from messaging import removal as of_messages
        from messaging.accepting import preparing
        from messaging.metrics import READINGS
        from messaging.sending import holds
        from webhooks import catalogue

        attachments.modules += ["messaging.sending.lanes", "messaging.chats.live", "messaging.receiving.downloads"]
        attachments.modules += ["messaging.calls.live", "messaging.contacts.live", "messaging.profile.live"]
        catalogue.sources.append("messaging.api.event_shapes")
        handlers.prepared.append(preparing.prepared)
        handlers.settled.append(preparing.settled)
        metrics.readings.update(READINGS)
        post_migrate.connect(_keep_triggers, sender=self)
        selectors.additions.append(holds.shown)
        removal.clearing.insert(0, of_messages.clear)  # before the files that they name

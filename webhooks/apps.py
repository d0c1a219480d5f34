from typing import Any

from django.apps import AppConfig


def _describe(document: dict[str, Any]) -> None:
    from webhooks.api.event_types import describe

    describe(document)


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        from accounts import mail
        from config import metrics
        from config.api.additions import additions
        from webhooks import alerts, catalogue
        from webhooks.metrics import READINGS

        mail.texts.update(alerts.TEXTS)
        catalogue.sources.append("webhooks.api.event_shapes")
        additions.append(_describe)
        metrics.readings.update(READINGS)

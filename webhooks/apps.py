from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        from config import metrics
        from webhooks.metrics import READINGS

        metrics.readings.update(READINGS)

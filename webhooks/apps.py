from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        from accounts import mail
        from config import metrics
        from webhooks import alerts
        from webhooks.metrics import READINGS

        mail.texts.update(alerts.TEXTS)
        metrics.readings.update(READINGS)

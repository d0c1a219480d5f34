from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self) -> None:
        from config import metrics
        from instances.holding import attachments
        from messaging.metrics import READINGS

        attachments.modules += ["messaging.lanes", "messaging.chats.live"]
        metrics.readings.update(READINGS)

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self) -> None:
        from config import metrics
        from instances.holding import attachments
        from media import handlers
        from messaging import preparing
        from messaging.metrics import READINGS

        attachments.modules += ["messaging.lanes", "messaging.chats.live", "messaging.downloads"]
        handlers.prepared.append(preparing.prepared)
        handlers.settled.append(preparing.settled)
        metrics.readings.update(READINGS)

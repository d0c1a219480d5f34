from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self) -> None:
        from instances.holding import attachments

        attachments.modules.append("messaging.lanes")

from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from webhooks import catalogue

        catalogue.sources.append("media.api.event_shapes")

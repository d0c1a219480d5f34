from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from instances import removal
        from media import services
        from webhooks import catalogue

        removal.clearing.append(services.clear)
        catalogue.sources.append("media.api.event_shapes")

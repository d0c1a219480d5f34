from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config.logs import log_what_nobody_catches

        log_what_nobody_catches()

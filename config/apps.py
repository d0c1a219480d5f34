from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401 (registers them)
        from config.logs import log_what_nobody_catches

        log_what_nobody_catches()

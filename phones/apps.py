from django.apps import AppConfig


class PhonesConfig(AppConfig):
    name = "phones"

    def ready(self) -> None:
        from config.api import health
        from phones.network import check

        health.checks["sandbox"] = check

from django.apps import AppConfig


class PhonesConfig(AppConfig):
    name = "phones"

    def ready(self) -> None:
        from config.api import health
        from instances import linking
        from phones import services
        from phones.network import check

        health.checks["sandbox"] = check
        linking.before_pairing.append(services.prepare)

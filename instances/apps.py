from django.apps import AppConfig


class InstancesConfig(AppConfig):
    name = "instances"

    def ready(self) -> None:
        from config.api import health
        from instances.selectors import check_workers

        health.checks["session_workers"] = check_workers

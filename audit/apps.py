from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from django.db import connection

        from audit import signals, triggers  # noqa: F401 (the signals connect themselves)
        from config import metrics

        metrics.readings[metrics.AUDIT_PROTECTED] = lambda: {(): float(triggers.missing(connection) == 0)}

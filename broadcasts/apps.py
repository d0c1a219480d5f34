from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class BroadcastsConfig(AppConfig):
    name = "broadcasts"

    def ready(self) -> None:
        from broadcasts import opt_outs, triggers
        from messaging import receiving

        receiving.received.append(opt_outs.received)
        pre_migrate.connect(triggers.drop, sender=self)
        post_migrate.connect(triggers.create, sender=self)

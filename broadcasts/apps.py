from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class BroadcastsConfig(AppConfig):
    name = "broadcasts"

    def ready(self) -> None:
        from broadcasts import opt_outs, persons, services, triggers
        from instances import removal
        from messaging import contacts, receiving
        from webhooks import catalogue

        catalogue.sources.append("broadcasts.api.event_shapes")
        receiving.received.append(opt_outs.received)
        contacts.exporting.append(persons.exported)
        contacts.erasing.append(persons.erased)
        removal.clearing.insert(0, services.withdraw)  # before the messages that it would go on making
        pre_migrate.connect(triggers.drop, sender=self)
        post_migrate.connect(triggers.create, sender=self)

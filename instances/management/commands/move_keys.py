from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instances import keystores, moving
from instances.models import Instance, KeyStore, Network
from instances.whatsapp.keydatabase import KeyStoreUnusable
from instances.whatsapp.store import StoreFailed


class Command(BaseCommand):
    help = (
        "Move the WhatsApp keys of stopped instances into PostgreSQL, or back into files. Run it again if it is killed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("instances", nargs="*", metavar="INSTANCE", help="ids")
        parser.add_argument("--all", action="store_true", help="every linked instance")
        parser.add_argument("--network", choices=Network.values, help="with --all: of one network only")
        parser.add_argument("--to", required=True, choices=KeyStore.values)

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["instances"]) == options["all"]:
            raise CommandError("Name instances, or say --all.")
        chosen = options["instances"] or moving.movable(options["network"])
        self._prepare(chosen, options["to"])
        failed = [instance_id for instance_id in chosen if not self._move(instance_id, options["to"])]
        if failed:
            raise CommandError(f"{len(failed)} of {len(chosen)} were not moved.")

    def _prepare(self, chosen: list[str], to: str) -> None:
        for network in sorted(set(Instance.objects.filter(pk__in=chosen).values_list("network", flat=True))):
            if to == KeyStore.POSTGRES and not keystores.configured(to, network):
                raise CommandError(f"Set {keystores.VARIABLES[network]} first.")
            try:
                keystores.prepare(network)
            except KeyStoreUnusable as error:
                raise CommandError(str(error)) from error

    def _move(self, instance_id: str, to: str) -> bool:
        try:
            moved = moving.move(instance_id=instance_id, to=to)
        except (moving.NotMovable, StoreFailed) as error:
            self.stderr.write(f"{instance_id}: {error}")
            return False
        self.stdout.write(
            f"{instance_id}: " + (f"{moved.rows} rows" if moved.rows is not None else "was there already")
        )
        return True

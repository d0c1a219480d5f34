from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.actor import Actor
from accounts.api_keys import create_key
from accounts.models import ApiKey, Mode, Scope, User
from accounts.services import create_organization
from instances import services as instances
from instances.models import Instance, Network
from phones.models import VirtualPhone

PHONES = {"15550100001": "Acme", "15550100002": "Carla Customer"}


class Command(BaseCommand):
    """Idempotent. What is shown once (password, key) is kept in VAR_DIR/development.json, readable by its owner."""

    help = "An operator, an organization with a test key, an instance that waits for its scan, and two virtual phones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("This is for development only.")
        path = Path(settings.VAR_DIR) / "development.json"
        with transaction.atomic():
            seed = self._kept(path) or self._create()
            self._instance(seed)
        path.touch(mode=0o600)
        path.write_text(json.dumps(seed))
        self.stdout.write(json.dumps(seed) if options["json"] else json.dumps(seed, indent=2))

    @staticmethod
    def _kept(path: Path) -> dict[str, Any] | None:
        """What the last run made, if the database still has it."""
        if not path.exists():
            return None
        seed: dict[str, Any] = json.loads(path.read_text())
        known = ApiKey.objects.is_valid(seed["key"]) and User.objects.filter(email=seed["operator"]["email"]).exists()
        return seed if known and Instance.objects.filter(pk=seed["instance"]).exists() else None

    @staticmethod
    def _create() -> dict[str, Any]:
        password = secrets.token_urlsafe(12)
        User.objects.filter(email="operator@example.com").delete()
        operator = User.objects.create_superuser("operator@example.com", password, name="Operator")
        organization = create_organization(name="Acme", owner=operator)
        actor = Actor(organization.id, "user", operator.id, frozenset(Scope.values))
        _, key = create_key(actor=actor, name="Development", mode=Mode.TEST, scopes=list(Scope.values))
        instance = instances.create(actor=actor, name="First number", network=Network.SANDBOX)
        VirtualPhone.objects.filter(phone__in=PHONES).delete()
        for phone, name in PHONES.items():
            VirtualPhone.objects.create(organization=organization, phone=phone, name=name)
        return {
            "operator": {"email": operator.email, "password": password},
            "organization": {"id": organization.id, "name": organization.name},
            "key": key,
            "instance": instance.id,
            "phones": list(PHONES),
        }

    @staticmethod
    def _instance(seed: dict[str, Any]) -> None:
        instance = Instance.objects.select_related("organization").get(pk=seed["instance"])
        if instance.organization.suspended_at is None:
            instances.connect(instance=instance)

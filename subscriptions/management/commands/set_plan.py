from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.dateparse import parse_datetime

from accounts.models import Organization
from subscriptions import services
from subscriptions.models import Plan

NEVER = "never"
_TERMS = ("instances", "messages_per_month", "requests_per_minute", "message_retention_days")


def _moment(text: str) -> datetime | str:
    if text == NEVER:
        return NEVER
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise ValueError
    return moment


class Command(BaseCommand):
    """For operators. With terms of its own the plan is made or changed first; a new one is open to nobody else."""

    help = "Give an organization a plan, and an end to its subscription."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", help="its id, org_…")
        parser.add_argument("plan", help="the plan's code")
        for name in _TERMS:
            parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="changes the plan for all who have it")

        parser.add_argument("--until", type=_moment, help="when it ends: 2027-01-31T00:00:00Z, or never")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            organization = Organization.objects.get(pk=options["organization"])
        except (Organization.DoesNotExist, ValidationError) as error:
            raise CommandError(f"There is no organization {options['organization']}.") from error
        if terms := {name: options[name] for name in _TERMS if options[name] is not None}:
            self._save_plan(options["plan"], terms)
        try:
            services.set_plan(organization=organization, plan=options["plan"])
        except Plan.DoesNotExist as error:
            known = ", ".join(Plan.objects.order_by("position", "code").values_list("code", flat=True))
            raise CommandError(f"There is no plan {options['plan']}. There are: {known}.") from error
        if options["until"] is not None:
            until = options["until"]
            services.extend(organization=organization, until=None if until == NEVER else until)
        self.stdout.write(f"{organization} has the plan {options['plan']}.")

    @staticmethod
    def _save_plan(code: str, terms: dict[str, int]) -> None:
        plan = Plan.objects.filter(pk=code).first() or Plan(code=code, name=code, is_public=False, position=100)
        for name, value in terms.items():
            setattr(plan, name, value)
        try:
            plan.full_clean(validate_unique=False)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        services.save_plan(plan=plan)

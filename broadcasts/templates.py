"""Keeping templates. Members write them: they hold nothing that a member could not send."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actor import Actor
from audit.services import record
from broadcasts import templating
from broadcasts.models import Template
from config.api.problems import Problem


@transaction.atomic
def create(*, actor: Actor, name: str, message: dict[str, Any]) -> Template:
    """Raises Problem ``invalid_request`` or ``template_name_taken``."""
    templating.check(message)
    template = Template(organization_id=actor.organization_id, name=name, message=message)
    _save(template, force_insert=True)
    _record(template, "created")
    return template


@transaction.atomic
def change(*, template: Template, **changes: Any) -> Template:
    """Change ``name`` and ``message``; broadcasts keep what they were made with. Raises Problem as `create` does."""
    if "message" in changes:
        templating.check(changes["message"])
    for name, value in changes.items():
        setattr(template, name, value)
    template.updated_at = timezone.now()
    _save(template, update_fields=[*changes, "updated_at"])
    _record(template, "changed", fields=sorted(changes))
    return template


@transaction.atomic
def delete(*, template: Template) -> None:
    if Template.objects.filter(pk=template.pk).delete()[0]:
        _record(template, "deleted")


def _save(template: Template, **options: Any) -> None:
    try:
        with transaction.atomic():
            template.save(**options)
    except IntegrityError as error:
        raise Problem("template_name_taken") from error


def _record(template: Template, verb: str, **changes: Any) -> None:
    record(f"template:{verb}", organization_id=template.organization_id, subject=template.id, changes=changes)

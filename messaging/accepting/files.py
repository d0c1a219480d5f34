"""The files that messages to be sent name: turned into rows of ours before the messages are accepted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from accounts.actor import Actor
from config.api.idempotency import Claim
from config.api.problems import Problem
from config.models import IdempotencyKey
from instances.access import admitted as admitted_instance
from instances.models import Instance
from media import services as media
from media.models import Media
from media.references import MediaRef
from messaging.accepting.addressing import check_can_send, instances
from messaging.accepting.orders import Outgoing


def admitted(
    actor: Actor, outgoing: Sequence[Outgoing | Problem], claim: Claim | None = None
) -> Sequence[Outgoing | Problem]:
    """The same messages, each file named by its id; a message whose file is refused gives way to the Problem.

    Not inside a transaction: what comes as base64 is written to the storage. A request that came before is left as
    it is, since its first answer is given again. Nothing is kept or fetched for an instance that cannot send.
    """
    if not any(isinstance(one, Outgoing) and any(_refs(one)) for one in outgoing):
        return outgoing
    if claim is not None and _came_before(claim):
        return outgoing
    outgoing = _addressed(actor, outgoing)
    refs = [ref for one in outgoing if isinstance(one, Outgoing) for ref in _refs(one)]
    found = iter(media.admit(actor, refs))
    answers = [one if isinstance(one, Problem) else _with(one, found) for one in outgoing]
    media.used([str(ref.id) for one in answers if isinstance(one, Outgoing) for ref in _refs(one)])
    return answers


def _addressed(actor: Actor, outgoing: Sequence[Outgoing | Problem]) -> list[Outgoing | Problem]:
    """Messages that bring a file with them give way to the Problem of their instance."""
    known = instances(one.instance_id for one in outgoing if isinstance(one, Outgoing) and _brings_file(one))
    return [(isinstance(one, Outgoing) and _refusal(actor, one, known)) or one for one in outgoing]


def _brings_file(one: Outgoing) -> bool:
    return any(ref.id is None for ref in _refs(one))


def _refusal(actor: Actor, one: Outgoing, known: dict[str, Instance]) -> Problem | None:
    if not _brings_file(one):
        return None
    try:
        check_can_send(admitted_instance(actor, known.get(one.instance_id)))
    except Problem as problem:
        return problem
    return None


def shown(content: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    """A message's content with what is known of its file; the name that the message gives it stays."""
    return {**content, **described, **{name: content[name] for name in content.keys() & {"filename"}}}


def _came_before(claim: Claim) -> bool:
    return IdempotencyKey.objects.filter(scope=claim.scope, key=claim.key, status__isnull=False).exists()


def _refs(one: Outgoing) -> Iterator[MediaRef]:
    for part in (one, *one.items):
        if part.media is not None:
            yield part.media


def _with(one: Outgoing, found: Iterator[Media | Problem]) -> Outgoing | Problem:
    parts: list[Outgoing] = []
    refusal: Problem | None = None
    for place, part in enumerate((one, *one.items)):
        file = next(found) if part.media is not None else None
        if isinstance(file, Problem):
            refusal = refusal or (_in_album(file, place - 1) if place else file)
        parts.append(part if isinstance(file, Problem) else _renamed(part, file))
    head, *items = parts
    return refusal or head._replace(items=tuple(items))


def _renamed(part: Outgoing, file: Media | None) -> Outgoing:
    if file is None or part.media is None:
        return part
    return part._replace(media=MediaRef(part.media.kind, id=file.id))


def _in_album(problem: Problem, place: int) -> Problem:
    errors = [error._replace(pointer=f"/album/items/{place}{error.pointer}") for error in problem.errors]
    return Problem(problem.code, problem.detail, errors=errors, headers=problem.headers, **problem.extensions)

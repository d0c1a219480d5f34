from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from audit.api import views
from audit.api.serializers import AuditQuery
from config.api.operations import Moment, Operation, Operations, Page, Shape, Tag, identifier

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class AuditActor(Shape):
    """Who acted. Operators are not named."""

    kind: Literal["user", "key", "operator", "anonymous", "system"]
    id: str | None
    name: Annotated[str, Meta(description="E-mail address, or the key's name.")] | None


class AuditEntry(Shape):
    """One act. `hash` covers the entry and `previous`, the hash of the one before."""

    id: Annotated[str, identifier("aud")]
    sequence: Annotated[int, Meta(ge=1)]
    at: Moment
    tag: Annotated[str, Meta(examples=["api:key:created"])]
    actor: AuditActor
    address: str | None
    request_id: str | None
    subject: str | None
    changes: dict[str, Any]
    previous: Hash
    hash: Hash


class AuditPage(Page[AuditEntry]):
    pass


TAG = Tag("Audit", "Who did what.")
OPERATIONS: Operations = {
    views.AuditView.get: Operation(
        "Who did what, when and from where",
        "For owners and admins. `?format=csv` exports everything that matches.",
        answers={200: AuditPage},
        query=AuditQuery,
        paged=True,
        media={"text/csv": {"type": "string"}},
        problems=["invalid_request"],
    ),
}

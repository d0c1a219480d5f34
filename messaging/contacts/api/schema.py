from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from config.api.lines import LINES
from config.api.operations import Moment, Operation, Operations, Shape, Tag, identifier
from instances.api.schema import InstanceId
from messaging.contacts.api import views
from messaging.contacts.api.serializers import ContactQuery
from messaging.models import Erasure as ErasureRow


class Erasure(Shape):
    """The deletion of all that is kept of a person. It does not name them."""

    id: Annotated[str, identifier("ers")]
    instance: InstanceId
    status: ErasureRow.Status
    messages: Annotated[int, Meta(description="Deleted so far.", ge=0)]
    events: Annotated[int, Meta(description="Of the log, whose data was taken out so far.", ge=0)]
    created_at: Moment
    finished_at: Moment | None


_PROBLEMS = ("not_a_person", "test_key_on_live", "live_key_on_sandbox")
TAG = Tag("Contacts", "What is kept of one person: handed out, and erased.")
OPERATIONS: Operations = {
    views.ContactExportView.get: Operation(
        "Export a person's data",
        "All that an instance keeps of a phone number or an LID: a JSON object `{kind, data}` on each line.",
        query=ContactQuery,
        answers={200: None},
        media={LINES: {"type": "string", "description": "An object with `kind` and `data` on each line."}},
        problems=_PROBLEMS,
    ),
    views.ContactView.delete: Operation(
        "Erase a person's data",
        "Deletes it in the background; ask for the erasure to see how far that is. It cannot be undone.",
        query=ContactQuery,
        answers={202: Erasure},
        problems=_PROBLEMS,
    ),
    views.ErasureView.get: Operation("One erasure", answers={200: Erasure}),
}
